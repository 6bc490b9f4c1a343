"""Reading items: whatever they are like, and what is told of how they differ from the contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.emabler.models import sessions
from shared.emabler.models.inventory import (
    CHARGER_STATES,
    read_charger,
    read_socket,
    read_tag,
)
from shared.emabler.models.push_configurations import (
    read_push_configuration,
    read_push_endpoint,
    read_push_message,
)
from shared.emabler.models.reading import ENOUGH_ITEMS, Drift, Flaw, Item, fields_relied_on
from shared.emabler.models.sessions import read_finished_session, read_ongoing_session
from shared.emabler.paging import read_page

type Reader = Callable[[Item, Drift | None], object]

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
CHARGER: dict[str, Any] = {
    "id": 11,
    "chargerId": "CH-0042",
    "name": "Yard 1",
    "state": "SuspendedCHARGER",
    "siteId": 77,
    "siteName": "Yard",
    "model": "Duo",
    "manufacturer": "Acme",
    "firmware": "1.2",
    "serial": "S-1",
    "lastSeen": "2026-11-02T11:59:01.1234567Z",
    "pushIntegrationEnabled": True,
    "sockets": [
        {"id": 1, "name": "left", "status": "available", "lastUpdated": "2026-11-02T11:00:00Z"},
        {"id": "2", "name": None, "status": 6, "lastUpdated": "0001-01-01T00:00:00Z"},
    ],
}
TAG: dict[str, Any] = {
    "id": 5,
    "idTag": "04A22B7F",
    "expiringDate": "2027-01-01T00:00:00+02:00",
    "startDate": None,
    "lastUpdated": "2026-11-01T00:00:00Z",
    "driverId": 9,
    "driverExternalId": "D-9",
}
ONGOING: dict[str, Any] = {
    "chargerId": "CH-0042",
    "socketId": 2**40,
    "transactionId": 1032427936,
    "startTime": "2026-11-02T09:11:32.3991208Z",
    "startMeterWh": 100,
    "authorizedIdTag": "04A22B7F",
    "siteId": 77,
    "createdAt": "2026-11-02T09:11:33Z",
    "updatedAt": "2026-11-02T09:20:33Z",
}
SESSION: dict[str, Any] = {
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
READERS: dict[str, tuple[Reader, dict[str, Any], set[str]]] = {
    "finished_session": (read_finished_session, SESSION, {"id", "chargerId"}),
    "ongoing_session": (
        read_ongoing_session,
        ONGOING | {"socketId": 1},
        {"chargerId", "transactionId"},
    ),
    "charger": (read_charger, CHARGER | {"sockets": []}, {"chargerId"}),
    "socket": (read_socket, CHARGER["sockets"][0], {"id"}),
    "tag": (read_tag, TAG, {"idTag"}),
    "push_configuration": (read_push_configuration, {"id": 1}, {"id"}),
    "push_endpoint": (read_push_endpoint, {"id": 1, "endpointType": "x"}, set()),
    "push_message": (read_push_message, {"messageType": "x"}, set()),
}


def test_a_charger_is_read_with_its_sockets() -> None:
    """Names or numbers of states, case or none, sentinels and seven digits: all has its place."""
    found = read_charger(CHARGER)

    assert found is not None
    assert (found.charger, found.rest_id, found.site, found.site_name) == (
        "CH-0042",
        "11",
        "77",
        "Yard",
    )
    assert (found.state, found.push_enabled) == ("SuspendedCharger", True)
    assert found.last_seen == datetime(2026, 11, 2, 11, 59, 1, 123456, UTC)
    left, right = found.sockets
    assert (left.number, left.name, left.status) == (1, "left", "Available")
    assert left.updated == datetime(2026, 11, 2, 11, tzinfo=UTC)
    assert (right.number, right.name, right.status, right.updated) == (
        2,
        None,
        "SuspendedCharger",
        None,
    )


@pytest.mark.parametrize("number", range(12))
def test_states_by_number_are_those_of_the_older_revision(number: int) -> None:
    """0 to 11, as number or as text, are the documented names in their order."""
    for state in (number, str(number), CHARGER_STATES[number].upper()):
        found = read_charger(CHARGER | {"state": state})
        assert found is not None
        assert found.state == CHARGER_STATES[number]


def test_a_state_that_nobody_announced_is_kept_and_told() -> None:
    """A new name, or a number beyond the list, stays as it came and is counted."""
    drift = Drift()
    states = ["Exploded", 12, "-1", "9" * 40, 3.5, True]
    found = [read_charger(CHARGER | {"state": state}, drift) for state in states]

    assert [each and each.state for each in found] == ["Exploded", "12", "-1", "9" * 40, None, None]
    assert drift.told() == {
        "charger.state unknown_value": 4,
        "charger.state wrong_type": 2,
    }


def test_an_ongoing_session_is_read() -> None:
    """The transaction is a text whatever it came as; a socket that cannot be is none."""
    drift = Drift()
    found = read_ongoing_session(ONGOING, drift)

    assert found is not None
    assert (found.transaction, found.charger, found.site) == ("1032427936", "CH-0042", "77")
    assert (found.start_meter_wh, found.tag, found.socket) == (100.0, "04A22B7F", None)
    assert drift.told() == {"ongoing_session.socketId unknown_value": 1}


@pytest.mark.parametrize(
    ("date", "limit"),
    [
        ("2027-01-01T00:00:00+02:00", datetime(2026, 12, 31, 22, tzinfo=UTC)),
        (None, None),
        ("", None),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1601-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59.9999999Z", None),
        ("9999-12-31T23:59:59-12:00", None),
    ],
)
def test_sentinels_are_no_limit(date: str | None, limit: datetime | None) -> None:
    """A date of a server's date type, null or blank: the tag has no such limit."""
    found = read_tag(TAG | {"expiringDate": date, "startDate": date})

    assert found is not None
    assert (found.valid_until, found.valid_from) == (limit, limit)


@pytest.mark.parametrize("date", ["soon", 1793577600, True, [], "2027-13-01T00:00:00Z"])
@pytest.mark.parametrize("name", ["expiringDate", "startDate"])
def test_a_limit_that_cannot_be_read_is_not_taken_for_none(name: str, date: object) -> None:
    """An expired tag would charge: such a tag is left out, and told."""
    drift = Drift()

    assert read_tag(TAG | {name: date}, drift) is None
    assert drift.told() == {f"tag.{name} wrong_type": 1}


@pytest.mark.parametrize("kind", READERS)
def test_what_is_as_documented_is_no_drift(kind: str) -> None:
    """An item that holds what we rely on, and fields of others, leaves nothing to tell."""
    read, item, _ = READERS[kind]
    drift = Drift()

    assert read(item | {"somethingNew": {"a": 1}}, drift) is not None
    assert drift.told() == {}
    assert drift.items[kind] == 1


@pytest.mark.parametrize("kind", READERS)
def test_each_field_that_we_rely_on_is_looked_for(kind: str) -> None:
    """What a reader relies on is known without an item, and is what its items hold."""
    read, item, _ = READERS[kind]
    relied_on = fields_relied_on(read)

    assert {name for _, name in relied_on} - {"fullConsumptionKWh"} == item.keys() - {"note"}
    assert {each for each, _ in relied_on} == {kind}


@pytest.mark.parametrize("kind", READERS)
def test_a_field_that_vanishes_or_changes_type_is_told(kind: str) -> None:
    """Absent in all items, or of a type that no reading understands: counted under its name."""
    read, item, ids = READERS[kind]
    optional = {"startDate", "lastSeen", "pushIntegrationEnabled"}
    optional |= {"siteId"} if kind == "ongoing_session" else set()
    optional |= {"lastUpdated"} if kind == "tag" else set()
    for name in item:
        vanished, changed = Drift(), Drift()
        for _ in range(ENOUGH_ITEMS):
            read({key: value for key, value in item.items() if key != name}, vanished)
        read(item | {name: {"an": "object"}}, changed)

        told = set() if name in optional else {f"{kind}.{name} missing"}
        told |= {f"{kind}.{name} required_missing"} if name in ids else set()
        assert {each for each in vanished.told() if "KWh" not in each} == told
        assert f"{kind}.{name} wrong_type" in changed.told()


@pytest.mark.parametrize("kind", READERS)
def test_what_identifies_an_item_may_not_be_null(kind: str) -> None:
    """Other texts may be null at any time; an id that is null is counted."""
    read, item, ids = READERS[kind]
    for name in item:
        drift = Drift()
        found = read(item | {name: None}, drift)
        assert (found is None) == (name in ids)
        assert drift.told() == ({f"{kind}.{name} required_missing": 1} if name in ids else {})


def test_a_field_that_only_some_items_lack_has_not_vanished() -> None:
    """Servers leave out what is null: one item that lacks a field is nothing to tell."""
    drift = Drift()
    bare = {key: value for key, value in SESSION.items() if key != "authorizedTagId"}

    for _ in range(ENOUGH_ITEMS - 1):
        read_finished_session(bare, drift)
    assert drift.told() == {}
    read_finished_session(bare, drift)
    assert drift.vanished() == [("finished_session", "authorizedTagId")]
    assert drift.told() == {"finished_session.authorizedTagId missing": ENOUGH_ITEMS}
    read_finished_session(SESSION, drift)

    assert drift.flaws["finished_session", "authorizedTagId", Flaw.MISSING] == ENOUGH_ITEMS
    assert drift.vanished() == []
    assert drift.told() == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_no_item_raises(kind: str, data: st.DataObject) -> None:
    """Whatever eMabler lists is read or is none, with and without a count of drift."""
    read, item, _ = READERS[kind]
    names = dict.fromkeys([*item, "fullConsumptionKWh", "sockets"], JSON)
    given = data.draw(st.fixed_dictionaries({}, optional=names))

    assert read(given, Drift()) == read(given, None)


class _Text(str):
    __slots__ = ()


class _Whole(int):
    pass


def unusual(value: object) -> object:
    """A value that reads the same and is of no type that the quick way knows."""
    if isinstance(value, str):
        return _Text(value)
    return _Whole(value) if isinstance(value, int) and not isinstance(value, bool) else value


VALUES = st.one_of(
    JSON,
    st.integers(-(2**70), 2**70),
    st.datetimes().map(lambda each: each.isoformat()),
    st.sampled_from(
        (
            *("", " ", "\x1c", " 7 ", "007", "ä", "1e3", "2026-11-02T09:11:32.3991208Z"),
            *("0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"),
            *("9998-12-31T23:59:59-12:00", "9999-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"),
        )
    ),
)


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_the_quick_way_reads_what_the_careful_one_reads(kind: str, data: st.DataObject) -> None:
    """What is usual is read in one step: the same value, and the same drift."""
    read, item, _ = READERS[kind]
    drawn = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(item, VALUES)))
    quick, careful = Drift(), Drift()

    with patch.object(sessions, "digest_of_item", return_value=""):
        found = read(drawn, quick)
        again = read({name: unusual(value) for name, value in drawn.items()}, careful)

    assert found == again
    assert (quick.flaws, quick.items) == (careful.flaws, careful.items)


def test_a_page_is_read() -> None:
    """Items as they came, the total where it is a number, whether there is more, and when."""
    page = read_page({"items": [SESSION], "totalRecords": 7, "hasNextPage": True, "new": 1}, 3, NOW)

    assert (page.number, page.items, page.total, page.has_next) == (3, (SESSION,), 7, True)
    assert (page.asked, page.rows, page.unreadable) == (NOW, 1, 0)


@pytest.mark.parametrize(
    ("fields", "total", "has_next", "told"),
    [
        ({"totalRecords": 2**40, "hasNextPage": False}, 2**40, False, {}),
        ({"totalRecords": "7", "hasNextPage": "True"}, 7, True, {}),
        ({"totalRecords": 7.0, "hasNextPage": "false"}, 7, False, {}),
        (
            {"totalRecords": -1, "hasNextPage": 1},
            None,
            None,
            {"page.totalRecords wrong_type": 1, "page.hasNextPage wrong_type": 1},
        ),
        (
            {"totalRecords": True, "hasNextPage": []},
            None,
            None,
            {"page.totalRecords wrong_type": 1, "page.hasNextPage wrong_type": 1},
        ),
        (
            {},
            None,
            None,
            {
                "page.totalRecords required_missing": 1,
                "page.hasNextPage required_missing": 1,
            },
        ),
    ],
)
def test_what_a_page_says_of_the_others_is_read_or_not_told(
    fields: dict[str, Any],
    total: int | None,
    has_next: bool | None,  # noqa: FBT001 - a column of the table above
    told: dict[str, int],
) -> None:
    """No guess is made: what cannot be read is None, and noted."""
    drift = Drift()
    page = read_page({"items": [1, {}, None]} | fields, 1, NOW, drift)

    assert (page.total, page.has_next, page.items, page.unreadable) == (total, has_next, ({},), 2)
    assert drift.told() == {"page.items wrong_type": 1} | told
