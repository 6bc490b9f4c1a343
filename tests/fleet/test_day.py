"""A charging day of the simulated fleet: the same for a seed, believable, its truth untouched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from local.emabler.fleet.day import Day, Plan, decide_rightly, play_out
from local.emabler.fleet.facts import Session
from local.emabler.fleet.faults import FAULTS, Rates
from local.emabler.fleet.network import MOST_CHARGERS, Generation, Standing
from local.emabler.fleet.story import Tap
from local.emabler.fleet.truth import Answered
from local.errors import LocalError
from tests.fleet.plays import BEGINS, Played

CHECKOUT = Path(__file__).resolve().parents[2]
DIGEST = "fb3a4b8bbf3a00f993cdcc6b380b46885373911533f557f1152fabda8aa49f19"
MANY = "default,offline=0.5,transaction_id_reused=0.3,stop_twice=0.2,clock_wrong=0.3"
PRINT_DIGEST = "from tests.fleet.test_day import digest; print(digest())"


def digest(seed: int = 7) -> str:
    """One digest of all messages in their order, of the truth, and of what a store must hold."""
    played = Played(seed, faults="default")
    found = hashlib.sha256(b"\n".join(played.bodies))
    found.update(msgspec.json.encode(played.expected))
    booked = sorted(played.day.truth.sessions.items())
    found.update(
        msgspec.json.encode([(n, each.start, each.end, each.session.energy) for n, each in booked])
    )
    return found.hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_is_the_same_day_in_every_process(hash_seed: str) -> None:
    """Another process, with another order of hashes and another locale, plays the same bytes."""
    process = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert process.stdout.strip() == DIGEST


def test_another_seed_is_another_day() -> None:
    """Two seeds have neither chargers nor messages in common."""
    assert digest(8) != DIGEST


@pytest.mark.parametrize("seed", range(3))
def test_a_day_is_the_same_however_it_is_cut(seed: int) -> None:
    """Played in steps of some minutes, with taps answered in between, it is what it is at once."""
    whole, cut = (
        Played(seed, faults=MANY, step=step) for step in (timedelta(days=9), timedelta(minutes=7))
    )

    assert cut.bodies == whole.bodies
    assert cut.expected == whole.expected
    for name in ("sessions", "ongoing", "chargers"):
        assert sorted(map(str, cut.books.shelf(name))) == sorted(map(str, whole.books.shelf(name)))


def test_a_seed_is_the_same_day_on_another_date() -> None:
    """Played on another date, the same drivers come, and the same faults strike."""

    def told(begins: datetime) -> list[tuple[str, str | None]]:
        day = Day(Plan(seed=5, chargers=6, begins=begins), Rates.read("default"))
        play_out(day, decide_rightly)
        return [(name, message.fault) for name, message in sorted(day.told.messages.items())]

    assert told(BEGINS) == told(datetime(2031, 1, 2, 17, tzinfo=UTC))


def test_what_goes_wrong_on_the_way_changes_no_truth() -> None:
    """Lost, repeated, late, reordered and broken messages leave the books as they are."""
    well = Played(11)
    ill = Played(
        11, faults="lost=0.2,repeated=0.2,late=0.2,reordered=0.2,malformed=0.1,push_silent"
    )

    assert ill.books.shelves == well.books.shelves
    assert ill.day.truth.sockets == well.day.truth.sockets
    assert len(ill.deliveries) != len(well.deliveries)


def test_a_denied_driver_does_not_charge() -> None:
    """A session follows a tap that was allowed, whoever allowed it, and no other."""

    def stingy(tap: Tap) -> Answered:
        return Answered(tap, allowed=not tap.asked, by="customer" if tap.asked else "registry")

    day = Day(Plan(seed=2, chargers=6, begins=BEGINS), Rates.read("off"))
    play_out(day, stingy)
    denied = [each.tap.tag.id for each in day.truth.taps if not each.allowed]
    charging = {booked.session.tag.standing for booked in day.truth.sessions.values()}

    assert len(denied) > 10
    assert charging == {Standing.REGISTERED}
    assert len(day.truth.sessions) == sum(each.allowed for each in day.truth.taps)


def sessions_by_socket(day: Day) -> list[list[Session]]:
    found: dict[tuple[str, int], list[Session]] = defaultdict(list)
    for booked in day.truth.sessions.values():
        found[booked.session.charger.id, booked.session.socket].append(booked.session)
    return [sorted(group, key=lambda session: session.starts) for group in found.values()]


def test_sockets_live_believably() -> None:
    """On a socket sessions come one after another, and each begins where the register stands."""
    for group in sessions_by_socket(Played(4, chargers=20, days=2).day):
        for one, other in pairwise(group):
            assert one.ends < other.starts
            assert one.ended
            assert other.meter_start == one.meter_end
        for session in group:
            hours = (session.ends - session.starts) / timedelta(hours=1)
            assert 0.15 < hours < 6
            assert 0 < session.energy < max(session.charger.model.powers) * hours


def test_states_tell_the_session() -> None:
    """Of a charger, the states between boot and end are those of OCPP in their order."""
    allowed = {
        ("Available", "Preparing"),
        ("Preparing", "Charging"),
        ("Preparing", "Available"),
        ("Charging", "SuspendedEV"),
        ("Charging", "Finishing"),
        ("Charging", "Faulted"),
        ("SuspendedEV", "Finishing"),
        ("Finishing", "Available"),
        ("Faulted", "Available"),
    }
    states: dict[tuple[str, int], list[str]] = defaultdict(list)
    for delivery in Played(6, chargers=20, generation=Generation.V2).deliveries:
        fields = json.loads(delivery.body)
        if "status" in fields and fields["socketId"]:
            states[fields["chargerId"], fields["socketId"]].append(fields["status"])

    seen = {pair for told in states.values() for pair in pairwise(told) if pair[0] != pair[1]}

    assert seen == allowed


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_strikes_by_itself(name: str) -> None:
    """A fault that is named alone changes what is told; no other fault is met."""
    well, ill = Played(9, chargers=12), Played(9, chargers=12, faults=f"{name}=0.5")
    met = {message.fault for message in ill.day.told.messages.values()} | {
        booked.session.fault for booked in ill.day.truth.sessions.values()
    }

    assert ill.bodies != well.bodies
    assert met <= {None, name, "transaction_id_lent"}


def test_thousands_of_chargers_are_a_plan_like_any_other() -> None:
    """Three thousand are prepared and begin; more than ids have room for are refused."""
    day = Day(Plan(seed=1, chargers=3_000, begins=BEGINS), Rates.read("off"))
    due = day.due(BEGINS + timedelta(minutes=7))

    booted = {json.loads(delivery.body)["chargerId"] for delivery in due.deliveries}
    assert len(booted) > 2_900
    with pytest.raises(LocalError, match="usage_wrong"):
        Plan(seed=1, chargers=MOST_CHARGERS + 1, begins=BEGINS)


def test_a_fleet_without_an_end_lives_on() -> None:
    """Days follow each other, and the ledger of messages is not kept."""
    day = Day(Plan(seed=1, chargers=2, begins=BEGINS, days=None), Rates.read("off"), remember=False)
    last = BEGINS + timedelta(days=3)
    told = 0
    while due := day.due(last):
        told += len(due.deliveries)
        if not due.taps:
            break
        for tap in due.taps:
            day.answer(decide_rightly(tap))

    assert told > 100
    assert not day.over
    assert not day.told.messages
    assert all(booked.end is None for booked in day.truth.sessions.values())
