"""What the inventory tells of chargers stands beside what events tell: neither harms the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.chargers.inventory import (
    Listing,
    is_listed,
    listings_of,
    mark_vanished,
    merge_listing,
    shown_state,
)
from shared.chargers.states import merge, tellings_of
from shared.emabler.models.inventory import read_charger
from shared.push.decode import decode
from shared.push.digest import named
from shared.storage import limits
from shared.storage.rows import Row, Value
from tests import payloads

type Columns = dict[str, Value]

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
ITEM: dict[str, Any] = {
    "id": 11,
    "chargerId": "CH-0042",
    "name": "Yard 1",
    "state": "Online",
    "siteId": 77,
    "siteName": "Yard",
    "model": "Duo",
    "manufacturer": "Acme",
    "firmware": "1.2",
    "serial": "S-1",
    "lastSeen": "2026-11-02T11:59:01.1234567Z",
    "pushIntegrationEnabled": False,
    "sockets": [
        {"id": 1, "name": "left", "status": "Charging", "lastUpdated": "2026-11-02T11:00:00Z"}
    ],
}


def listed(after: float = 0, **changes: Any) -> dict[str, Listing]:
    """What the inventory tells of each row, observed so many seconds after noon."""
    charger = read_charger(ITEM | changes)
    assert charger is not None
    return {each.key: each for each in listings_of(charger, NOW + timedelta(seconds=after))}


def socket(after: float = 0, **changes: Any) -> Listing:
    return listed(after, sockets=[ITEM["sockets"][0] | changes])["CH-0042|1"]


def pushed(**changes: Any) -> Columns:
    event = named(decode(payloads.state_v2(**changes)))
    (telling,) = [each for each in tellings_of(event) if each.key == "CH-0042|1"]
    columns = merge(None, telling)
    assert columns is not None
    return columns


def test_a_charger_and_its_sockets_have_their_rows() -> None:
    """Name, site, model, firmware, push and last seen in the one row, the state in the other."""
    rows = {key: merge_listing(None, each) for key, each in listed().items()}

    assert rows == {
        "CH-0042|!": {
            "schema": 1,
            "charger": "CH-0042",
            "inventory_rest_id": "11",
            "inventory_name": "Yard 1",
            "inventory_state": "Online",
            "inventory_site": "77",
            "inventory_site_name": "Yard",
            "inventory_model": "Duo",
            "inventory_manufacturer": "Acme",
            "inventory_firmware": "1.2",
            "inventory_serial": "S-1",
            "inventory_last_seen": "2026-11-02T11:45:00.000000Z",
            "inventory_push_enabled": False,
            "inventory_instant": "2026-11-02T12:00:00.000000Z",
        },
        "CH-0042|1": {
            "schema": 1,
            "charger": "CH-0042",
            "socket": 1,
            "inventory_name": "left",
            "inventory_status": "Charging",
            "inventory_updated": "2026-11-02T11:00:00.000000Z",
            "inventory_instant": "2026-11-02T12:00:00.000000Z",
        },
    }


def test_the_same_again_changes_nothing() -> None:
    """An inventory that says later what it said before is nothing new."""
    for key, each in listed().items():
        row = merge_listing(None, each)
        assert merge_listing(row, each) is None
        assert merge_listing(row, listed(3600)[key]) is None


def test_what_is_not_listed_any_more_goes() -> None:
    """A later listing leaves nothing of the one before; an earlier one changes nothing."""
    first, later = listed()["CH-0042|!"], listed(60, siteId=None, name="Yard 2")["CH-0042|!"]
    row = merge_listing(merge_listing(None, first), later)

    assert row == merge_listing(None, later)
    assert row is not None
    assert "inventory_site" not in row
    assert merge_listing(row, first) is None


STATUS = st.sampled_from(["Charging", "Available", None])
LISTINGS = st.builds(
    socket,
    st.integers(0, 3),
    status=STATUS,
    lastUpdated=st.sampled_from([None, "2026-11-02T12:00:00Z"]),
)


@given(st.lists(LISTINGS, min_size=1, max_size=5, unique_by=lambda each: each.observed), st.data())
def test_the_last_observation_stands_in_any_order(
    listings: list[Listing], data: st.DataObject
) -> None:
    """Whatever the order of writing: what was observed last is what the row says."""
    row: Columns | None = None
    for each in data.draw(st.permutations(listings)):
        row = merge_listing(row, each) or row
    last = max(listings, key=lambda each: each.observed)

    assert row is not None
    told = {name: value for name, value in row.items() if name != "inventory_instant"}
    assert told == {"schema": 1, "charger": "CH-0042", "socket": 1, **last.columns} or any(
        # What was said before the last one, and again by it, carries the earlier instant.
        each.columns == last.columns and each is not last
        for each in listings
    )


@given(st.sampled_from(["Available", "Charging"]), LISTINGS)
def test_events_and_inventory_stand_beside_each_other(status: str, listing: Listing) -> None:
    """Neither takes anything from the other, whoever came first."""
    event = named(decode(payloads.state_v2(status=status)))
    (telling,) = [each for each in tellings_of(event) if each.key == "CH-0042|1"]

    one = merge(merge_listing(None, listing), telling)
    other = merge_listing(merge(None, telling), listing)

    assert one == other
    assert one is not None
    assert one.items() >= pushed(status=status).items()
    limits.check_row(Row("0", "CH-0042|1", one))


def test_a_state_of_the_inventory_is_never_shown_over_a_newer_event() -> None:
    """The two are compared by instant; push's stands where they tie or REST tells no time."""
    row = pushed(deviceTimeStamp="2026-11-02T11:00:00Z", status="Available")
    shown = {
        updated: shown_state(merge_listing(row, socket(lastUpdated=updated)) or {})
        for updated in (
            "2026-11-02T10:59:59Z",
            "2026-11-02T11:00:00Z",
            "2026-11-02T12:00:00.0000001+01:00",
            "2026-11-02T11:00:01Z",
            "0001-01-01T00:00:00Z",
            None,
        )
    }

    assert [each and (each.status, each.source) for each in shown.values()] == [
        ("Available", "push"),
        ("Available", "push"),
        ("Available", "push"),
        ("Charging", "rest"),
        ("Available", "push"),
        ("Available", "push"),
    ]
    for same in ("SuspendedEV", "suspended CAR"):
        row = pushed(deviceTimeStamp="2026-11-02T11:00:00Z", status=same)
        listing = socket(status="SuspendedCAR", lastUpdated="2026-11-02T11:30:00Z")
        told = shown_state(merge_listing(row, listing) or {})
        assert told is not None
        assert (told.status, told.source) == (same, "push")
    alone = shown_state(merge_listing(None, socket(lastUpdated=None)) or {})
    assert alone is not None
    assert (alone.status, alone.instant, alone.source) == ("Charging", "", "rest")
    assert shown_state({"charger": "CH-0042"}) is None


def test_what_vanishes_is_marked_and_comes_back() -> None:
    """The mark has its instant; an older inventory neither sets nor lifts it, a newer one does."""
    row = merge_listing(None, listed(60)["CH-0042|!"])
    later, earlier = "2026-11-02T12:02:00.000000Z", "2026-11-02T12:01:00.000000Z"

    assert mark_vanished(None, later) is None
    assert mark_vanished({"charger": "CH-0042"}, later) is None
    assert mark_vanished(row, earlier) is None
    gone = mark_vanished(row, later)
    assert row is not None
    assert gone == row | {"inventory_vanished": later}
    assert (is_listed(row), is_listed(gone), is_listed({"charger": "x"})) == (True, False, False)
    assert mark_vanished(gone, "2026-11-02T13:00:00.000000Z") is None
    assert merge_listing(gone, listed(90)["CH-0042|!"]) is None
    back = merge_listing(gone, listed(180)["CH-0042|!"])
    assert back is not None
    assert is_listed(back)


def test_long_and_odd_texts_are_kept_within_the_limits() -> None:
    """A name of any length fits its column, and an id with separators its key."""
    rows = listed(name="x" * 100_000, chargerId="C/\\#?|~")

    for each in rows.values():
        limits.check_row(Row("0", each.key, merge_listing(None, each) or {}))
