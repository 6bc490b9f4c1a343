"""Days on which nothing goes wrong: no session is odd, and none is held back from billing."""

from __future__ import annotations

import pytest

from tests.fleet.plays import Played
from tests.management.operator import Operator


@pytest.mark.parametrize("seed", range(20))
async def test_a_clean_day_has_no_finding(seed: int) -> None:
    """Twenty fleets' days without a fault: not one finding, open sessions included."""
    operator = Operator()

    await operator.ingest(*Played(seed, faults="off").bodies)

    sessions = (await operator.run("sessions", "list", "--json")).rows
    assert len(sessions) > 20
    assert [row for row in sessions if row["findings"]] == []


@pytest.mark.parametrize("seed", range(20))
async def test_reconciling_a_clean_day_finds_nothing(seed: int) -> None:
    """The same days held against eMabler's books: all confirmed, nothing repaired or found."""
    played = Played(seed, faults="off")

    assert (await played.judged_by_the_product()).equal

    assert played.run is not None
    assert played.run.met == {}
    assert played.run.sessions.keys() <= {"confirmed", "unchanged"}


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        ("stop_twice", "stop_conflict"),
        ("meter_zero_at_start", "meter_start_zero"),
        ("transaction_id_missing", "transaction_id_missing"),
        ("clock_wrong", "device_time_implausible"),
    ],
)
async def test_what_a_fault_does_to_a_session_is_found(fault: str, finding: str) -> None:
    """A day with one fault that strikes often shows the finding that is made for it."""
    operator = Operator()

    await operator.ingest(*Played(21, faults=f"{fault}=0.5").bodies)

    sessions = (await operator.run("sessions", "list", "--json", "--finding", finding)).rows
    assert sessions
