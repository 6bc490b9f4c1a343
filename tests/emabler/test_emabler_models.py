"""REST answers read tolerantly: what is missing is none, other ways of writing are understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.emabler.models.sessions import (
    canonical,
    digest_of_item,
    read_finished_session,
)
from shared.instants import format_instant

ITEM: dict[str, Any] = {
    "id": 9001,
    "chargerId": "CH-0042",
    "socketId": 1,
    "evseTransactionId": "1032427936",
    "timestampStart": "2026-11-02T09:11:32.3991208Z",
    "timestampEnd": "2026-11-02T10:41:43.6331432Z",
    "fullConsumptionWh": 12300,
    "authorizedTagId": "TAG123",
    "siteId": 77,
}


def read(**changes: Any) -> Any:
    return read_finished_session(ITEM | changes)


def test_a_finished_session_is_read() -> None:
    """Each field of the item that is compared has its place, the item itself is kept."""
    found = read()

    assert (found.rest_id, found.charger, found.transaction) == ("9001", "CH-0042", "1032427936")
    assert (found.socket, found.energy_wh, found.tag, found.site) == (1, 12300.0, "TAG123", "77")
    assert format_instant(found.start) == "2026-11-02T09:11:32.399120Z"
    assert format_instant(found.end) == "2026-11-02T10:41:43.633143Z"
    assert found.item == ITEM


@pytest.mark.parametrize("nothing", [None, "", "  ", True, 7.5, [], {}])
@pytest.mark.parametrize("name", ["id", "chargerId"])
def test_without_an_id_or_a_charger_it_is_unidentified(name: str, nothing: object) -> None:
    """An item that nothing identifies is no session of ours."""
    assert read(**{name: nothing}) is None
    assert read_finished_session({k: v for k, v in ITEM.items() if k != name}) is None


@pytest.mark.parametrize("nothing", [None, "", " ", [], {}, True])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("evseTransactionId", "transaction"),
        ("socketId", "socket"),
        ("timestampStart", "start"),
        ("timestampEnd", "end"),
        ("fullConsumptionWh", "energy_wh"),
        ("authorizedTagId", "tag"),
        ("siteId", "site"),
    ],
)
def test_null_and_absent_are_none(name: str, field: str, nothing: object) -> None:
    """Strings are never marked nullable, and each may be null, empty, absent or of another kind."""
    assert getattr(read(**{name: nothing}), field) is None
    absent = read_finished_session({k: v for k, v in ITEM.items() if k != name})
    assert absent is not None
    assert getattr(absent, field) is None


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"id": "9001"}, "rest_id", "9001"),
        ({"id": 2**63}, "rest_id", str(2**63)),
        ({"chargerId": 42}, "charger", "42"),
        ({"evseTransactionId": 1032427936}, "transaction", "1032427936"),
        ({"evseTransactionId": "007"}, "transaction", "007"),
        ({"socketId": "2"}, "socket", 2),
        ({"socketId": 2.0}, "socket", 2),
        ({"socketId": 0}, "socket", 0),
        ({"socketId": 1e30}, "socket", None),
        ({"socketId": -1}, "socket", None),
        ({"socketId": 1.5}, "socket", None),
        ({"fullConsumptionWh": "12300.5"}, "energy_wh", 12300.5),
        ({"fullConsumptionWh": 0}, "energy_wh", 0.0),
        ({"fullConsumptionWh": "many"}, "energy_wh", None),
        ({"fullConsumptionWh": "NaN"}, "energy_wh", None),
        ({"fullConsumptionWh": "Infinity"}, "energy_wh", None),
        ({"fullConsumptionWh": 10**400}, "energy_wh", None),
        ({"fullConsumptionWh": None, "fullConsumptionKWh": 12.3}, "energy_wh", 12300.0),
        ({"fullConsumptionWh": 0, "fullConsumptionKWh": 12.3}, "energy_wh", 0.0),
        ({"fullConsumptionWh": None, "fullConsumptionKWh": "0.5"}, "energy_wh", 500.0),
        ({"fullConsumptionWh": None, "fullConsumptionKWh": 1e308}, "energy_wh", None),
        ({"siteId": "77"}, "site", "77"),
        ({"authorizedTagId": "A\ud800"}, "tag", None),
        ({"authorizedTagId": "A" * 10_001}, "tag", None),
        ({"authorizedTagId": "Ä" * 10_001}, "tag", None),
        ({"timestampEnd": "0001-01-01T00:00:00Z"}, "end", None),
        ({"timestampStart": "1601-01-01T00:00:00Z"}, "start", None),
        ({"timestampStart": 1762074692}, "start", None),
        ({"timestampStart": "yesterday"}, "start", None),
    ],
)
def test_values_are_understood_however_they_are_written(
    given: dict[str, Any], field: str, value: object
) -> None:
    """Numbers come as texts, texts as numbers, energy in kWh only, and dates as sentinels."""
    assert getattr(read(**given), field) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*ITEM, "fullConsumptionKWh"], JSON)))
def test_no_item_raises(item: dict[str, Any]) -> None:
    """Whatever eMabler lists is read or unidentified."""
    found = read_finished_session(item)

    assert found is None or (found.rest_id and found.charger)


@given(st.dictionaries(st.text(), JSON))
def test_the_canonical_text_is_of_the_content(item: dict[str, Any]) -> None:
    """The order of fields changes nothing, all else does, and half surrogates can be written."""
    turned = dict(reversed(item.items()))

    assert canonical(turned) == canonical(item)
    assert canonical(item | {"\x00new": 1}) != canonical(item)
    assert json.loads(canonical(item)) == item
    canonical({"userName": "\ud800", **item}).encode()


@given(st.dictionaries(st.text(st.characters()), JSON))
def test_the_digest_is_of_the_content(item: dict[str, Any]) -> None:
    """As the canonical text, for any item, numbers beyond 64 bits and half surrogates included."""
    assert digest_of_item(dict(reversed(item.items()))) == digest_of_item(item)
    assert digest_of_item(item | {"\x00new": 1}) != digest_of_item(item)
    assert len(digest_of_item({"userName": "\ud800", "n": 2**70, **item})) == 32


def test_the_digest_is_the_same_on_every_machine() -> None:
    """It stands in rows for years: what it is of an item must never change."""
    assert (
        digest_of_item({"id": 1, "b": None, "a": [1.5, "ä", True]})
        == "cc190b227382486cf8d42d1adcdaff0c"
    )
