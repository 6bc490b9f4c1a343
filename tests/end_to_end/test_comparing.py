"""What the documented messages are compared with: differences are found, and only those."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from local.emabler.examples import NOON, Expected, load
from tests.end_to_end.comparing import compare_events, compare_sessions, compare_sockets

EXPECTED: Expected = load(NOON).expected

type Row = dict[str, Any]


def event_rows() -> list[Row]:
    """What `events list --json` prints when all is well, as far as it is compared."""
    events: list[Row] = [msgspec.to_builtins(event) for event in EXPECTED.events]
    return [event | {"generation": event["generations"][0]} for event in events]


def session_rows() -> list[Row]:
    return [msgspec.to_builtins(session) for session in EXPECTED.sessions]


def as_pushed(socket: Row) -> Row:
    """A row as `chargers list` prints it of a socket that only push told of."""
    told = {"pushed_status": socket["status"], "pushed_instant": socket["instant"]}
    return socket | told


def test_what_only_the_inventory_tells_is_no_difference() -> None:
    """A socket that push never named, and a later state of REST, are not push's to be compared."""
    row = as_pushed(msgspec.to_builtins(EXPECTED.chargers[0]))
    later = row | {"status": "Reserved", "instant": "2026-03-14T11:00:00Z"}
    only_listed = row | {"socket": 9, "pushed_status": None, "pushed_instant": None}

    assert compare_sockets(EXPECTED.chargers[:1], [later, only_listed]) == []
    assert compare_sockets(EXPECTED.chargers[:1], [row | {"pushed_status": "Reserved"}])


def test_a_store_that_is_right_has_no_differences() -> None:
    """The expected rows themselves pass, in any order, with rows about whole chargers beside."""
    sockets = [as_pushed(msgspec.to_builtins(socket)) for socket in EXPECTED.chargers]
    whole: list[Row] = [{"charger": "HKI-JATKASAARI-12", "socket": None, "status": None}]

    assert compare_events(EXPECTED.events, event_rows()[::-1]) == []
    assert compare_sessions(EXPECTED.sessions, session_rows()[::-1]) == []
    assert compare_sockets(EXPECTED.chargers, sockets + whole) == []


def test_differences_of_spelling_are_none() -> None:
    """Instants in another offset, "NoError" for "No Error" and empty for absent are the same."""
    row: Row = msgspec.to_builtins(EXPECTED.chargers[0])
    row |= {"error_code": "noerror", "instant": "2026-03-14T08:31:12.004518+02:00"}
    assert compare_sockets(EXPECTED.chargers[:1], [as_pushed(row)]) == []


@pytest.mark.parametrize("change", ["missing", "doubled", "unasked", "generation", "instant"])
def test_a_journal_that_is_wrong_is_told(change: str) -> None:
    """A missing, doubled, invented, misread or misdated event each makes a difference."""
    rows = event_rows()
    match change:
        case "missing":
            rows.pop()
        case "doubled":
            rows.append(rows[0])
        case "unasked":
            rows.append(rows[0] | {"charger": "NOBODY"})
        case "generation":
            rows[1]["generation"] = "v2"
        case _:
            rows[0]["instant"] = "2026-03-14T06:30:04.582131Z"

    assert compare_events(EXPECTED.events, rows)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "open"),
        ("end", None),
        ("energy_wh", 18641.0),
        ("meter_start_wh", None),
        ("sources", ["start", "stop"]),
        ("transaction", "48213"),
        ("socket", 2),
    ],
)
def test_a_session_that_is_wrong_is_told(field: str, value: object) -> None:
    """Each field of a session that differs makes a difference."""
    rows = session_rows()
    rows[0][field] = value
    assert compare_sessions(EXPECTED.sessions, rows)


def test_a_session_listed_twice_is_told() -> None:
    """Two rows of one session are a difference, be they equal."""
    rows = session_rows()
    assert compare_sessions(EXPECTED.sessions, [*rows, rows[0]]) == [
        "a session is listed more than once"
    ]
