"""Plausibility: each finding by a planted case, at its bounds, and none where all is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.push.decode import decode
from shared.push.digest import digest_of
from shared.push.events import TransactionStart, TransactionStop
from shared.sessions.claims import Claim, Source, claim_from_row, claim_of, claim_row
from shared.sessions.plausibility import FINDINGS, Kind, Limits, is_held
from shared.sessions.summary import fold, summary_row
from tests import payloads

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
POWER = Limits(max_power_kw=22.0)


def start(**fields: Any) -> Claim:
    told: dict[str, Any] = {"start": START, "meter_start_wh": 1000.0, "name": "a", "digest": "a"}
    return Claim(source=Source.START, charger="CH", **({"transaction": "7"} | told | fields))


def stop(**fields: Any) -> Claim:
    told: dict[str, Any] = {"name": "b", "digest": "b", "end": START + HOUR, "energy_wh": 12000.0}
    told |= {"start": START, "meter_start_wh": 1000.0, "meter_end_wh": 13000.0}
    return Claim(source=Source.STOP, charger="CH", **({"transaction": "7"} | told | fields))


def found(*claims: Claim) -> tuple[str, ...]:
    return fold(claims, POWER).findings


def claim(body: bytes) -> Claim:
    event = decode(body)
    assert isinstance(event, TransactionStart | TransactionStop)
    return claim_of(event, digest_of(event))


def test_a_session_as_it_should_be_has_no_finding() -> None:
    """An hour with 12 kWh at 22 kW, told by its start and its stop."""
    assert found(start(), stop()) == ()
    assert found(start()) == ()
    assert found(stop(start=None, meter_start_wh=None)) == ()


CASES: dict[str, list[list[Claim]]] = {
    "stop_conflict": [[stop(), stop(name="c", digest="c", end=START + HOUR + 3 * SECOND)]],
    "transaction_id_reused": [
        [start(), start(name="c", digest="c", start=START + 25 * HOUR)],
    ],
    "transaction_id_missing": [[start(transaction="-1")], [stop(transaction=None)]],
    "end_before_start": [[start(), stop(end=START - 3 * SECOND)]],
    "meter_end_below_start": [[stop(meter_end_wh=999.0, energy_wh=None)]],
    "energy_differs_from_meter": [
        [stop(energy_wh=12122.0)],
        [stop(energy_wh=0.0)],
        [stop(energy_wh=600.0, meter_end_wh=1499.0)],
    ],
    "energy_below_zero": [
        [stop(energy_wh=-1.0, meter_start_wh=None, meter_end_wh=None)],
        [stop(energy_wh=-5000.0, start=None, meter_start_wh=None, meter_end_wh=None)],
        [stop(energy_wh=None, meter_end_wh=999.0)],
    ],
    "energy_beyond_power": [
        [stop(start=None, energy_wh=529_001.0, meter_end_wh=530_001.0)],
        [stop(start=None, energy_wh=9e9, meter_start_wh=None, meter_end_wh=None)],
        [stop(end=START - HOUR, energy_wh=529_001.0, meter_end_wh=530_001.0)],
        [stop(energy_wh=23_001.0, meter_end_wh=24_001.0)],
        [stop(end=START, energy_wh=1001.0, meter_end_wh=2001.0)],
    ],
    "meter_start_zero": [[stop(meter_start_wh=0.0, meter_end_wh=7_654_321.0, energy_wh=12000.0)]],
    "device_time_implausible": [
        [claim(payloads.start_v2(deviceTimeStamp="1970-01-01T00:00:00Z"))],
        [claim(payloads.start_v2(deviceTimeStamp="2038-01-01T00:00:00Z"))],
    ],
    "start_time_implausible": [
        [claim(payloads.full_v2(deviceTimeStampStart="1970-01-01T00:00:00Z"))],
    ],
}


@pytest.mark.parametrize("name", FINDINGS)
def test_each_finding_is_made_by_a_planted_case(name: str) -> None:
    """Every name of the table has cases that give it, and the session is held when it is hard."""
    for claims in CASES[name]:
        summary = fold(claims, POWER)
        assert name in summary.findings
        row = summary_row(summary, "0", "s")
        assert row.columns["held"] is is_held(summary.findings)
        if FINDINGS[name][0] is Kind.HARD:
            assert row.columns["held"] is True


AT_THE_BOUND: dict[str, list[Claim]] = {
    "a stop 2 s later": [stop(), stop(name="c", digest="c", end=START + HOUR + 2 * SECOND)],
    "starts a day apart": [start(), start(name="c", digest="c", start=START + 24 * HOUR)],
    "an end 2 s before the start": [
        stop(end=START - 2 * SECOND, energy_wh=0.0, meter_end_wh=1000.0)
    ],
    "a meter that stood still": [stop(meter_end_wh=1000.0, energy_wh=0.0)],
    "100 Wh beside the meter": [stop(energy_wh=600.0, meter_end_wh=1500.0)],
    "1 % beside the meter": [stop(energy_wh=12120.0)],
    "all that the time allows": [stop(energy_wh=23_000.0, meter_end_wh=24_000.0)],
    "a day at full power": [stop(start=None, energy_wh=529_000.0, meter_end_wh=530_000.0)],
    "no energy, no time": [stop(start=None, energy_wh=0.0, meter_end_wh=1000.0)],
    "a new meter": [stop(meter_start_wh=0.0, meter_end_wh=12000.0)],
}


@pytest.mark.parametrize("case", AT_THE_BOUND)
def test_a_bound_itself_is_no_finding(case: str) -> None:
    """Each limit is the last value that is well."""
    assert found(*AT_THE_BOUND[case]) == ()


def test_the_power_is_a_setting() -> None:
    """What is beyond one fleet's sockets is a fast charger of another one."""
    claims = [stop(energy_wh=100_000.0, meter_end_wh=101_000.0)]

    assert fold(claims, POWER).findings == ("energy_beyond_power",)
    assert fold(claims, Limits(max_power_kw=150)).findings == ()


def test_only_a_hard_finding_holds_a_session() -> None:
    """A missing id and a wrong clock are recorded, and stand in nobody's way."""
    soft = [name for name, (kind, _) in FINDINGS.items() if kind is Kind.SOFT]

    assert not is_held(soft)
    assert not is_held([])
    assert all(is_held([*soft, name]) for name in FINDINGS if name not in soft)


def test_a_clock_s_mark_is_part_of_what_a_message_says() -> None:
    """Two messages alike but for a refused time are two claims: the store knows no order."""
    received = "2026-11-02T09:11:33.100000Z"
    refused, missing = (
        payloads.start_v2(receivedTimestamp=received, deviceTimeStamp=when)
        for when in ("1970-01-01T00:00:00Z", None)
    )

    assert claim(refused).start == claim(missing).start
    assert claim(refused).digest != claim(missing).digest
    assert claim(missing).marks == ()
    assert claim_from_row(claim_row(claim(refused), "0")) == claim(refused)


@given(
    st.permutations(
        [start(), stop(), stop(name="c", digest="c", energy_wh=1.0), start(name="d", digest="d")]
    )
)
def test_findings_do_not_depend_on_the_order_of_claims(claims: list[Claim]) -> None:
    """A finding is a function of the set of claims."""
    assert found(*claims) == found(*sorted(claims, key=lambda each: each.name))


def test_rest_alone_is_judged_as_well() -> None:
    """What only REST tells is judged by its time and energy."""
    rest = replace(stop(), source=Source.REST, meter_start_wh=None, meter_end_wh=None)

    assert found(rest) == ()
    assert found(replace(rest, energy_wh=23_001.0)) == ("energy_beyond_power",)
