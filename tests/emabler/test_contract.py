"""eMabler's description of its API against what we rely on: what vanished or changed is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.emabler.calls import Options
from shared.emabler.contract import ADVICE, Difference, differences, relied_on
from shared.emabler.models.reading import fields_relied_on

DESCRIPTION = Path(__file__).resolve().parents[2] / "local" / "emabler" / "openapi.json"
ITEMS = {
    "finished_session": "FinishedSession",
    "ongoing_session": "OngoingSession",
    "charger": "Charger",
    "socket": "Socket",
    "tag": "Tag",
    "push_configuration": "PushConfiguration",
    "push_endpoint": "PushEndpoint",
    "push_message": "PushMessage",
}

type Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def description() -> dict[str, Any]:
    """The documented contract, as the simulator describes it."""
    found: dict[str, Any] = json.loads(DESCRIPTION.read_bytes())
    return found


def compared(description: Any, options: Options | None = None) -> list[tuple[str, str]]:
    return [(each.subject, each.flaw) for each in differences(description, options or Options())]


def fields() -> list[tuple[str, str]]:
    read = [(each.kind, each.read) for each in relied_on(Options())]
    read += [within for each in relied_on(Options()) for within in each.within.values()]
    return [each for _, reader in read for each in sorted(fields_relied_on(reader))]


def test_the_documented_contract_is_what_we_rely_on(description: dict[str, Any]) -> None:
    """Each call, field and type that the product uses is in it, with room for our page sizes."""
    assert compared(description) == []
    assert compared(description, Options(finished_sessions_path="v2/transactions")) == []


@pytest.mark.parametrize(("kind", "name"), fields())
def test_a_field_that_vanishes_is_named(description: dict[str, Any], kind: str, name: str) -> None:
    """Each field that a reader looks for is missed when the description does not have it."""
    del description["components"]["schemas"][ITEMS[kind]]["properties"][name]

    assert compared(description) == [(f"{kind}.{name}", "missing")]


@pytest.mark.parametrize(("kind", "name"), fields())
def test_a_field_that_becomes_an_object_is_named(
    description: dict[str, Any], kind: str, name: str
) -> None:
    """No reader takes an object for a value."""
    within = description["components"]["schemas"][ITEMS[kind]]["properties"]
    within[name] = {"type": "object", "properties": {"value": within[name]}}

    assert (f"{kind}.{name}", "wrong_type") in compared(description)


def schema(description: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = description["components"]["schemas"][name]
    return found


def field(description: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(description, kind)["properties"][name]
    return found


def described(description: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = description["paths"][path][method]
    return found


V3 = "/v3/transactions"
CHANGES: list[tuple[str, Change, list[tuple[str, str]]]] = [
    ("a path", lambda d: d["paths"].pop(V3), [("path", "missing")]),
    ("a method", lambda d: d["paths"][V3].pop("post"), [("path", "missing")]),
    (
        "a filter",
        lambda d: schema(d, "FinishedSessionQueryV3")["properties"].pop("stopTime"),
        [("request.stopTime", "missing")],
    ),
    (
        "filters of look-ups",
        lambda d: [
            schema(d, "FinishedSessionQueryV3")["properties"].pop(name)
            for name in ("chargerIDs", "startTime", "startTimeSearchEnd")
        ],
        [
            ("request.startTime", "missing"),
            ("request.startTimeSearchEnd", "missing"),
            ("request.chargerIDs", "missing"),
        ],
    ),
    (
        "a filter of another type",
        lambda d: field(d, "FinishedSessionQueryV3", "evseTransactionIds").update(type="string"),
        [("request.evseTransactionIds", "wrong_type")],
    ),
    (
        "a query parameter",
        lambda d: described(d, "/v2/tags", "get").update(parameters=[]),
        [("request.sortKey", "missing"), ("request.page", "missing"), ("request.limit", "missing")],
    ),
    (
        "a smaller page",
        lambda d: field(d, "FinishedSessionQueryV3", "limit").update(maximum=100),
        [("request.limit", "too_large")],
    ),
    (
        "a sort key",
        lambda d: described(d, "/v2/chargers", "get").update(
            parameters=[
                {"name": "sortKey", "in": "query", "schema": {"enum": ["Name"]}},
                {"name": "page", "in": "query", "schema": {"type": "integer"}},
                {"name": "limit", "in": "query", "schema": {"type": "integer"}},
            ]
        ),
        [("request.sortKey", "unknown_value")],
    ),
    (
        "the total of pages",
        lambda d: schema(d, "FinishedSessionPage")["properties"].pop("totalRecords"),
        [("page.totalRecords", "missing")],
    ),
    (
        "a next page as a text",
        lambda d: field(d, "FinishedSessionPage", "hasNextPage").update(type="string"),
        [],
    ),
    (
        "a state that we do not know",
        lambda d: field(d, "Charger", "state")["enum"].append("Melted"),
        [("charger.state", "unknown_value")],
    ),
    (
        "states as numbers of the older revision",
        lambda d: field(d, "Charger", "state").update(type="integer", enum=list(range(12))),
        [],
    ),
    ("an id as a text", lambda d: field(d, "FinishedSession", "id").update(type="string"), []),
    (
        "an id that is a number or a text, in the newer way",
        lambda d: field(d, "FinishedSession", "id").update(type=["string", "integer", "null"]),
        [],
    ),
    (
        "a time as a number",
        lambda d: field(d, "FinishedSession", "timestampEnd").update(type="integer"),
        [("finished_session.timestampEnd", "wrong_type")],
    ),
    (
        "no word of an answer",
        lambda d: described(d, "/v2/tags", "get").update(responses={"200": {}}),
        [("answer", "not_described")],
    ),
    (
        "no word of items",
        lambda d: field(d, "TagPage", "items").pop("items"),
        [("tag", "not_described")],
    ),
    (
        "a bare list of push configurations",
        lambda d: d["components"]["schemas"].update(
            PushConfigurationPage={
                "type": "array",
                "items": {"$ref": "#/components/schemas/PushConfiguration"},
            }
        ),
        [],
    ),
    (
        "an item that is put together",
        lambda d: d["components"]["schemas"].update(
            Tag={"allOf": [{"$ref": "#/components/schemas/Rest"}, {"type": "object"}]},
            Rest=d["components"]["schemas"]["Tag"],
        ),
        [],
    ),
    (
        "paths below the base path",
        lambda d: d.update(paths={f"/api/v2/cpo{path}": each for path, each in d["paths"].items()}),
        [],
    ),
    ("something new", lambda d: field(d, "Tag", "idTag").update(description="x" * 9), []),
]


@pytest.mark.parametrize(("what", "change", "expected"), CHANGES, ids=[row[0] for row in CHANGES])
def test_what_changes_is_named(
    description: dict[str, Any], what: str, change: Change, expected: list[tuple[str, str]]
) -> None:
    """Each kind of change that matters is one difference; one that does not is none."""
    change(description)

    assert compared(description) == expected, what


def test_each_difference_says_what_to_do(description: dict[str, Any]) -> None:
    """The call, what is otherwise, and what to do; a setting where one helps."""
    described(description, V3, "post")
    del description["paths"]["/v2/tags"]
    (found,) = differences(description, Options())

    assert str(found).startswith("GET v2/tags: path missing: ")
    assert "EMABLER_TAGS_PATH" in str(found)
    assert {flaw for *_, rows in CHANGES for _, flaw in rows} == ADVICE.keys()
    assert isinstance(found, Difference)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$ref", "paths", "type", "items", "properties", "allOf", "enum", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON), JSON)
def test_no_description_raises(description: dict[str, Any], paths: Any) -> None:
    """Whatever stands there is compared: it is somebody else's text."""
    assert compared(description | {"paths": paths}) != []


@given(data=st.data())
def test_no_part_of_a_description_is_needed(data: st.DataObject) -> None:
    """Any part of it may be anything: what cannot be read is not described, and nothing raises."""
    whole = json.loads(DESCRIPTION.read_bytes())
    part = whole
    for _ in range(data.draw(st.integers(1, 9))):
        if not isinstance(part, dict) or not part:
            break
        name = data.draw(st.sampled_from(sorted(part)))
        if data.draw(st.booleans()) or not isinstance(part[name], dict):
            part[name] = copy.deepcopy(data.draw(JSON))
            break
        part = part[name]

    compared(whole)


def test_a_description_that_refers_to_itself_ends(description: dict[str, Any]) -> None:
    """References in a circle are not followed for ever."""
    schema(description, "Tag").clear()
    schema(description, "Tag")["$ref"] = "#/components/schemas/Tag"

    assert compared(description) == [("tag", "not_described")]
