"""The decision table: each cause from what brings it about, its order, its bounds."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.authorization.rules import (
    OF_THE_TAG,
    ON_REMEMBERED_FACTS,
    RULES,
    Policy,
    Situation,
    decide,
    must_count_group,
)
from shared.authorization.taps import REASONS, Cause, Reason
from shared.chargers.known import KnownCharger
from shared.tags.groups import Group
from shared.tags.reading import OpenSession
from shared.tags.records import Scope, Tag
from tests.authorization.taps import CHARGER, MOMENT, NOW, SECOND

PAGE = Path(__file__).resolve().parents[2] / "docs" / "authorization.md"
DAY = timedelta(days=1)
HERE, ELSEWHERE = OpenSession(f"{CHARGER}|7", NOW), OpenSession("CH-9|8", NOW)

BLOCKED = Tag(tag="T", blocked=True)
KNOWN = Situation(charger_id=CHARGER, charger=KnownCharger(known=True), tag=Tag(tag="T"))


def tagged(of: Group | None = None, **fields: object) -> Situation:
    tag = Tag(tag="T", **fields)  # type: ignore[arg-type] # fields of a tag
    return replace(KNOWN, tag=tag, group=of)


CASES: dict[Cause, list[Situation]] = {
    Cause.STOP: [
        replace(KNOWN, open_sessions=(HERE,)),
        replace(KNOWN, open_sessions=(ELSEWHERE, HERE)),
        replace(KNOWN, tag=BLOCKED, open_sessions=(HERE,)),
        replace(KNOWN, tag=None, open_sessions=(HERE,)),
        replace(KNOWN, charger=KnownCharger(known=False), open_sessions=(HERE,)),
        replace(tagged(valid_until=NOW), open_sessions=(HERE,)),
        replace(tagged(valid_from=NOW + DAY), open_sessions=(HERE,)),
        replace(tagged(group="G"), open_sessions=(HERE,)),
        replace(tagged(Group(name="G", blocked=True), group="G"), open_sessions=(HERE,)),
        replace(tagged(scope=Scope(chargers=("other",))), open_sessions=(HERE,)),
        replace(tagged(most_sessions=1), open_sessions=(HERE,)),
        replace(
            tagged(Group(name="G", most_sessions=1), group="G"),
            open_sessions=(HERE,),
            group_sessions=9,
        ),
    ],
    Cause.UNKNOWN_CHARGER: [
        replace(KNOWN, charger=KnownCharger(known=False)),
        replace(KNOWN, charger=KnownCharger(known=False), tag=None),
    ],
    Cause.UNKNOWN_TAG: [replace(KNOWN, tag=None), replace(KNOWN, tag=None, open_sessions=())],
    Cause.BLOCKED: [replace(KNOWN, tag=BLOCKED), tagged(blocked=True, valid_until=NOW - DAY)],
    Cause.EXPIRED: [tagged(valid_until=NOW), tagged(valid_until=NOW - DAY)],
    Cause.NOT_YET_VALID: [tagged(valid_from=NOW + MOMENT)],
    Cause.GROUP_UNKNOWN: [tagged(group="G")],
    Cause.GROUP_BLOCKED: [tagged(Group(name="G", blocked=True), group="G")],
    Cause.GROUP_EXPIRED: [tagged(Group(name="G", valid_until=NOW), group="G")],
    Cause.SITE_UNKNOWN: [
        tagged(scope=Scope(sites=("S",))),
        tagged(Group(name="G", scope=Scope(("other",), ("S",))), group="G"),
    ],
    Cause.OUT_OF_SCOPE: [
        tagged(scope=Scope(chargers=("other",))),
        tagged(scope=Scope(chargers=(CHARGER.lower(),))),
        tagged(Group(name="G", scope=Scope(chargers=("other",))), group="G"),
        # A scope of the tag's own stands in place of its group's.
        tagged(
            Group(name="G", scope=Scope(chargers=(CHARGER,))),
            group="G",
            scope=Scope(chargers=("other",)),
        ),
        replace(
            tagged(scope=Scope(sites=("S",))), charger=KnownCharger(known=True, sites=("else",))
        ),
    ],
    Cause.TAG_LIMIT: [
        replace(tagged(most_sessions=1), open_sessions=(ELSEWHERE,)),
        replace(
            tagged(most_sessions=2), open_sessions=(ELSEWHERE, OpenSession("CH-8|8", NOW - DAY / 2))
        ),
    ],
    Cause.GROUP_LIMIT: [
        replace(tagged(Group(name="G", most_sessions=2), group="G"), group_sessions=2),
        replace(tagged(Group(name="G", most_sessions=2), group="G"), group_sessions=3),
    ],
    Cause.KNOWN_TAG: [
        KNOWN,
        tagged(valid_from=NOW, valid_until=NOW + MOMENT),
        tagged(scope=Scope(chargers=("other", CHARGER))),
        replace(
            tagged(scope=Scope(("other",), ("else", "S"))),
            charger=KnownCharger(known=True, sites=("S",)),
        ),
        tagged(Group(name="G", valid_until=NOW + MOMENT), group="G"),
        tagged(
            Group(name="G", scope=Scope(chargers=("other",))),
            group="G",
            scope=Scope(chargers=(CHARGER,)),
        ),
        replace(tagged(most_sessions=2), open_sessions=(ELSEWHERE,)),
        replace(KNOWN, open_sessions=(ELSEWHERE, ELSEWHERE)),
        replace(tagged(Group(name="G", most_sessions=2), group="G"), group_sessions=1),
    ],
}


@pytest.mark.parametrize(
    ("cause", "situation"),
    [(cause, situation) for cause, situations in CASES.items() for situation in situations],
)
def test_each_cause_comes_about(cause: Cause, situation: Situation) -> None:
    """What is known of tag, group, charger and sessions has the cause of the table."""
    decision = decide(situation, Policy(), NOW)

    assert decision.cause is cause
    assert decision.allowed is (cause in (Cause.STOP, Cause.KNOWN_TAG))
    assert decision.reason == REASONS.get(cause)


def test_every_rule_is_tried() -> None:
    """Each rule has a case of its own above, and the last one always applies."""
    assert list(CASES) == [rule.cause for rule in RULES]
    assert RULES[-1].applies(replace(KNOWN, tag=None), Policy(), NOW)


def test_the_documented_table_is_the_code_s() -> None:
    """docs/authorization.md lists the rules in their order: cause, when, answer, reason."""
    text = PAGE.read_text(encoding="utf-8").partition("## The rules")[2].partition("\n## ")[0]
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| \d+ \|", line)
    ]

    assert found == [
        [
            str(n),
            f"`{rule.cause}`",
            rule.when,
            "allowed" if rule.allows else "denied",
            f"`{REASONS[rule.cause]}`" if not rule.allows else "",
        ]
        for n, rule in enumerate(RULES, 1)
    ]


def test_every_other_cause_is_documented() -> None:
    """Causes that no rule has are in the page's second table, with the reason of a denial."""
    text = PAGE.read_text(encoding="utf-8").partition("## When no rule decides")[2]
    text = text.partition("\n## ")[0]
    found = dict(re.findall(r"^\| `(\w+)` \|.*\| (?:`(\w+)`)? *\|$", text, re.MULTILINE))

    others = [cause for cause in Cause if cause not in {rule.cause for rule in RULES}]
    assert found == {str(cause): str(REASONS.get(cause, "")) for cause in others}


def test_an_earlier_rule_decides_before_a_later_one() -> None:
    """Where two causes come together, the one of the earlier rule is told."""
    denials = [
        tagged(blocked=True),
        tagged(valid_until=NOW),
        tagged(valid_from=NOW + DAY),
        tagged(scope=Scope(chargers=("other",))),
    ]
    for one, other in itertools.combinations(denials, 2):
        assert one.tag is not None
        assert other.tag is not None
        both = replace(
            one.tag,
            valid_until=one.tag.valid_until or other.tag.valid_until,
            valid_from=one.tag.valid_from or other.tag.valid_from,
            scope=one.tag.scope or other.tag.scope,
        )
        told = decide(replace(KNOWN, tag=both), Policy(), NOW).cause
        assert told is decide(one, Policy(), NOW).cause


@given(
    blocked=st.booleans(),
    valid_from=st.none() | st.sampled_from([NOW - MOMENT, NOW, NOW + MOMENT]),
    valid_until=st.none() | st.sampled_from([NOW - MOMENT, NOW, NOW + MOMENT]),
)
def test_a_tag_is_allowed_exactly_within_its_validity(
    *, blocked: bool, valid_from: datetime | None, valid_until: datetime | None
) -> None:
    """Allowed means: not blocked, from `valid_from` on, before `valid_until`."""
    situation = tagged(blocked=blocked, valid_from=valid_from, valid_until=valid_until)

    begun = valid_from is None or valid_from <= NOW
    over = valid_until is not None and valid_until <= NOW

    decision = decide(situation, Policy(), NOW)

    assert decision.allowed == (begun and not over and not blocked)


@pytest.mark.parametrize(
    ("seconds", "cause"),
    [(-1, Cause.NOT_YET_VALID), (0, Cause.KNOWN_TAG), (59, Cause.KNOWN_TAG), (60, Cause.EXPIRED)],
)
def test_bounds_hold_to_the_second(seconds: int, cause: Cause) -> None:
    """The first second of validity is in it, the second of its end is not."""
    situation = tagged(valid_from=NOW, valid_until=NOW + 60 * SECOND)

    assert decide(situation, Policy(), NOW + seconds * SECOND).cause is cause


@pytest.mark.parametrize("hours", [1, 24, 720])
def test_a_session_counts_as_open_for_so_long(hours: int) -> None:
    """Up to the configured hours after its start, and not at their end."""
    policy = Policy(longest_open=timedelta(hours=hours))
    situation = replace(KNOWN, tag=BLOCKED, open_sessions=(HERE,))
    end = NOW + timedelta(hours=hours)

    assert decide(situation, policy, end - SECOND).cause is Cause.STOP
    assert decide(situation, policy, end).cause is Cause.BLOCKED


def test_old_sessions_use_up_no_limit() -> None:
    """What counts as over fills no limit either."""
    situation = replace(tagged(most_sessions=1), open_sessions=(ELSEWHERE,))

    assert decide(situation, Policy(), NOW + DAY - SECOND).cause is Cause.TAG_LIMIT
    assert decide(situation, Policy(), NOW + DAY).cause is Cause.KNOWN_TAG


def test_a_charger_whose_clock_is_ahead_may_stop() -> None:
    """A session that starts in our future is open."""
    ahead = OpenSession(f"{CHARGER}|7", NOW + DAY / 2)

    assert decide(replace(KNOWN, open_sessions=(ahead,)), Policy(), NOW).cause is Cause.STOP


def test_chargers_are_not_judged_while_none_was_ever_known() -> None:
    """An empty list of chargers is no list: the tag alone decides then."""
    situation = replace(KNOWN, charger=KnownCharger(known=False))

    assert decide(situation, Policy(chargers_are_judged=False), NOW).cause is Cause.KNOWN_TAG
    assert decide(situation, Policy(), NOW).reason is Reason.UNKNOWN_CHARGER_ID


def test_a_session_on_a_charger_of_a_like_name_is_no_stop() -> None:
    """The charger's whole id counts, as keys write it."""
    for session in (f"{CHARGER}0|7", f"x{CHARGER}|7", f"{CHARGER.lower()}|7"):
        situation = replace(KNOWN, tag=BLOCKED, open_sessions=(OpenSession(session, NOW),))
        assert decide(situation, Policy(), NOW).cause is Cause.BLOCKED

    odd = replace(
        KNOWN,
        charger_id="Säule 1",
        tag=BLOCKED,
        open_sessions=(OpenSession("S=C3=A4ule=201|7", NOW),),
    )
    assert decide(odd, Policy(), NOW).cause is Cause.STOP


def test_only_an_allowance_with_a_limit_counts_the_group() -> None:
    """Sessions of a group are counted when nothing else denies the tap, and once."""
    limited = Group(name="G", most_sessions=2)
    allowed = tagged(limited, group="G")
    counted = replace(allowed, group_sessions=0)

    assert must_count_group(allowed, decide(allowed, Policy(), NOW))
    for situation in (
        counted,
        tagged(limited, group="G", blocked=True),
        replace(allowed, open_sessions=(HERE,)),
        tagged(Group(name="G"), group="G"),
        KNOWN,
    ):
        assert not must_count_group(situation, decide(situation, Policy(), NOW))


def test_which_denials_rest_on_what() -> None:
    """A denial rests on the tag's own row, on facts that may be remembered, or on its group."""
    denials = {rule.cause for rule in RULES if not rule.allows}
    live = {Cause.UNKNOWN_TAG, Cause.BLOCKED, Cause.EXPIRED, Cause.NOT_YET_VALID, Cause.TAG_LIMIT}

    assert denials - ON_REMEMBERED_FACTS == live
    assert denials >= OF_THE_TAG
