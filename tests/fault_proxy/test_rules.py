"""Rules are read from lines and from JSON, checked, and matched with calls."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings

from local.errors import LocalError
from local.fault_proxy.requests import Call, Kind
from local.fault_proxy.rules import FAULTS, Rule, check, parse_rule, read_rule
from tests.fault_proxy.strategies import rules


def test_a_line_is_read() -> None:
    """Every kind of value can be written in a line."""
    line = "busy service=table table=events kind=point,batch rate=0.1 count=20 retry_after=1"

    assert parse_rule(f"{line} inside=yes") == Rule(
        "busy",
        service="table",
        table="events",
        kind=("point", "batch"),
        rate=0.1,
        count=20,
        retry_after=1,
        inside=True,
    )
    assert parse_rule("slow nth=3,5 seconds=0.5").nth == (3, 5)


@settings(max_examples=60)
@given(rules())
def test_a_rule_survives_being_written(rule: Rule) -> None:
    """A rule written as a line, or as JSON, is read back as the same rule."""
    assert parse_rule(str(rule)) == rule
    assert read_rule(msgspec.json.decode(msgspec.json.encode(rule))) == rule


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "there is no fault ''"),
        ("lazy", "there is no fault 'lazy'"),
        ("busy rate", "'rate' in the rule 'busy rate' has no '='"),
        ("busy count=1 count=2", "names count twice"),
        ("busy colour=red", "unknown field `colour`"),
        ("busy rate=0", "$.rate"),
        ("busy rate=1.5", "$.rate"),
        ("busy rate=often", "$.rate"),
        ("busy count=0", "$.count"),
        ("busy nth=0", "$.nth"),
        ("busy kind=writes", "$.kind"),
        ("slow seconds=-1", "$.seconds"),
        ("slow how=reset", "'how' is no option of slow"),
        ("reset_after retry_after=1", "'retry_after' is no option of reset_after"),
        ("busy code=ServerBusy", "'code' is no option of busy"),
        ("refused code=ServerBusy", "the code is none of AuthorizationPermissionMismatch"),
        ("busy nth=2 rate=0.5", "nth and rate are both given"),
        ("busy service=blob table=events", "no call can match"),
        ("missing_table container=bodies", "no call can match"),
        ("late_write kind=query", "late_write chooses reads"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(line: str, said: str) -> None:
    """What is wrong in a line is said, with the code usage_wrong and an example."""
    with pytest.raises(LocalError) as caught:
        parse_rule(line)

    assert caught.value.code == "usage_wrong"
    assert said in caught.value.what


def test_a_rule_made_in_python_is_checked_too() -> None:
    """The limits of numbers hold for rules that never were text."""
    with pytest.raises(LocalError, match="rate"):
        check(Rule("busy", rate=2))
    with pytest.raises(LocalError, match="Expected `object`"):
        read_rule(7)


@pytest.mark.parametrize(
    ("line", "call", "matches"),
    [
        ("busy", Call("blob", "GET", "query"), True),
        ("busy service=table", Call("blob", "GET", "query"), False),
        ("busy table=events", Call("table", "GET", "query", "Events"), True),
        ("busy table=events", Call("table", "GET", "query", "events2"), False),
        ("busy table=!events", Call("table", "GET", "query", "Events"), False),
        ("busy table=!events", Call("table", "GET", "query", "events2"), True),
        ("busy table=!events", Call("blob", "GET", "query", "bodies"), False),
        ("busy table=events", Call("blob", "GET", "query", "events"), False),
        ("busy table=events", Call("table", "GET", "manage"), False),
        ("busy container=bodies", Call("blob", "PUT", "single", "bodies"), True),
        ("busy queue=jobs", Call("queue", "POST", "single", "jobs"), True),
        ("busy method=put", Call("blob", "PUT", "single", "bodies"), True),
        ("busy method=PUT", Call("blob", "POST", "single", "bodies"), False),
        ("missing_table", Call("blob", "GET", "point", "bodies"), False),
    ],
)
def test_a_rule_chooses_calls(line: str, call: Call, *, matches: bool) -> None:
    """Every part of a rule that is given must agree with the call."""
    assert parse_rule(line).matches(call) is matches


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("busy", {"point", "query", "single", "batch", "manage"}),
        ("busy kind=read", {"point", "query"}),
        ("busy kind=write", {"single", "batch"}),
        ("busy kind=batch", {"batch"}),
        ("busy kind=read,manage", {"point", "query", "manage"}),
        ("error_after_write", {"single", "batch"}),
        ("error_after_write kind=manage", {"manage"}),
        ("late_write", {"single", "batch"}),
        ("missing_table", {"point", "query", "single", "batch"}),
    ],
)
def test_kinds_group_calls(line: str, kinds: set[Kind]) -> None:
    """Reads are points and queries, writes are single ones and transactions."""
    assert parse_rule(line).kinds == kinds


def test_every_fault_can_be_asked_for_by_its_name_alone() -> None:
    """No fault needs an option."""
    assert [str(parse_rule(fault)) for fault in FAULTS] == list(FAULTS)
