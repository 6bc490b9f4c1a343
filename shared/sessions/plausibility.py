"""What is odd about a session: findings as pure functions of its claims and of what they fold to.

*Soft* findings are recorded. *Hard* ones are recorded, and the session is held: it is not to be
billed before somebody looked at it. The rules are of this field's own experience (OCPP 1.6
StartTransaction and StopTransaction as chargers really send them); the limits are settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from shared.identifiers import identifies_a_transaction
from shared.sessions.claims import Claim

AGREEMENT = timedelta(seconds=2)
"""Starts or ends that differ by no more than this agree (one session's start is told with four
and with seven fractional digits in eMabler's own samples)."""

REUSED_AFTER = timedelta(days=1)

_LONGEST = timedelta(days=1)
"""What a session whose time is not known is taken for: none gives its full power for longer."""

_METER_WH, _METER_SHARE = 100.0, 0.01
"""Energy and meter difference agree within the larger of 100 Wh and 1 %: meters are rounded."""

_SLACK_WH = 1000.0
"""Added to what time and power allow: a register's last step, and clocks cut to seconds."""


class Kind(StrEnum):
    """What a finding means for billing."""

    SOFT = "soft"
    HARD = "hard"


FINDINGS: Mapping[str, tuple[Kind, str]] = {
    "stop_conflict": (
        Kind.HARD,
        "two stops contradict each other in end, meter end or energy; the later one is shown",
    ),
    "transaction_id_reused": (
        Kind.HARD,
        "starts of one transaction id lie more than a day apart: several sessions in one",
    ),
    "transaction_id_missing": (
        Kind.SOFT,
        "the id is missing, 0 or negative: the claim stands alone until reconciliation pairs it",
    ),
    "end_before_start": (Kind.HARD, "the session ends more than 2 s before it starts"),
    "meter_end_below_start": (Kind.HARD, "the meter ends below where it started"),
    "energy_differs_from_meter": (
        Kind.HARD,
        "the energy told and the meter's difference differ by more than 100 Wh and 1 %",
    ),
    "energy_below_zero": (Kind.HARD, "the energy is less than nothing"),
    "energy_beyond_power": (
        Kind.HARD,
        (
            "more energy than the session's time (where that is not known, a day) at "
            "`SESSION_MAX_POWER_KW` allows, with 1 kWh to spare"
        ),
    ),
    "meter_start_zero": (
        Kind.HARD,
        "the meter starts at 0 and ends beyond what that time and power allow",
    ),
    "device_time_implausible": (
        Kind.SOFT,
        "the charger's clock cannot have been right; the time of reception stands in",
    ),
    "start_time_implausible": (
        Kind.SOFT,
        "the start in a full message cannot be right; it is left out",
    ),
}
"""Finding → its kind and meaning; docs/sessions.md holds the same table."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session can be. `max_power_kw` is the most that a socket of the fleet gives."""

    max_power_kw: float = 400.0


USUAL = Limits()


class Folded(Protocol):
    """What a session's claims fold to, as far as plausibility goes. Wh, UTC."""

    @property
    def start(self) -> datetime | None:
        """When it began."""
        ...

    @property
    def end(self) -> datetime | None:
        """When it ended."""
        ...

    @property
    def energy_wh(self) -> float | None:
        """The energy that it is about to be billed by."""
        ...

    @property
    def meter_start_wh(self) -> float | None:
        """The register at its start."""
        ...

    @property
    def meter_end_wh(self) -> float | None:
        """The register at its end."""
        ...


def is_held(findings: Iterable[str]) -> bool:
    """Whether a session is not to be billed before somebody looked at it."""
    return any(FINDINGS[name][0] is Kind.HARD for name in findings)


def findings_of(
    starts: Sequence[Claim], stops: Sequence[Claim], folded: Folded, limits: Limits
) -> tuple[str, ...]:
    """All findings of a session, in the order of their table."""
    found = {
        *_of_claims(starts, stops),
        *_of_energy(folded, limits),
        *(mark for claim in (*starts, *stops) for mark in claim.marks),
    }
    return tuple(name for name in FINDINGS if name in found)


def _of_claims(starts: Sequence[Claim], stops: Sequence[Claim]) -> Iterator[str]:
    if any(_differ(one, other) for i, one in enumerate(stops) for other in stops[i + 1 :]):
        yield "stop_conflict"
    times = [claim.start for claim in starts if claim.start is not None]
    if times and max(times) - min(times) > REUSED_AFTER:
        yield "transaction_id_reused"
    pushed = (*starts, *stops)
    if not any(claim.within or claim.part_of for claim in pushed) and any(
        not identifies_a_transaction(claim.transaction) for claim in pushed
    ):
        yield "transaction_id_missing"


def _differ(one: Claim, other: Claim) -> bool:
    """Whether two stops contradict each other in what both tell."""
    if one.end and other.end and abs(one.end - other.end) > AGREEMENT:
        return True
    return any(
        a is not None and b is not None and a != b
        for a, b in (
            (one.meter_end_wh, other.meter_end_wh),
            (one.energy_wh, other.energy_wh),
        )
    )


def _of_energy(folded: Folded, limits: Limits) -> Iterator[str]:
    lasted = None if folded.start is None or folded.end is None else folded.end - folded.start
    if lasted is not None and lasted < -AGREEMENT:
        yield "end_before_start"
        lasted = None
    meter = None
    if folded.meter_start_wh is not None and folded.meter_end_wh is not None:
        meter = folded.meter_end_wh - folded.meter_start_wh
    energy = folded.energy_wh
    if meter is not None and meter < 0:
        yield "meter_end_below_start"
    elif meter is not None and energy is not None and _apart(energy, meter):
        yield "energy_differs_from_meter"
    if energy is not None and energy < 0:
        yield "energy_below_zero"
    hours = max(_LONGEST if lasted is None else lasted, timedelta()) / timedelta(hours=1)
    most = hours * limits.max_power_kw * 1000 + _SLACK_WH
    if energy is not None and energy > most:
        yield "energy_beyond_power"
    if folded.meter_start_wh == 0 and meter is not None and meter > most:
        yield "meter_start_zero"


def _apart(energy: float, meter: float) -> bool:
    return abs(energy - meter) > max(_METER_WH, _METER_SHARE * abs(meter))
