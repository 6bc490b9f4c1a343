"""A session's summary: a pure fold of its claims, the same in whatever order they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.instants import format_instant
from shared.sessions.claims import BEGINNINGS, Claim, Source
from shared.sessions.plausibility import USUAL, Limits, findings_of, is_held
from shared.storage.rows import SCHEMA, Row, Value

SUMMARY_NAME = "!"
"""The last part of a summary's key: it sorts before every claim's."""


class State(StrEnum):
    """Where a session stands. `PART`: it is part of another session, which holds what it says."""

    OPEN = "open"
    ENDED = "ended"
    PART = "part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is known of a session, and from whom. Energy in Wh, instants UTC.

    `findings` name what is odd about it (`shared.sessions.plausibility`). `rests`: how many REST
    items eMabler lists of it, as far as is known.
    """

    charger: str
    transaction: str | None
    state: State
    start: datetime | None
    end: datetime | None
    energy_wh: float | None
    meter_start_wh: float | None
    meter_end_wh: float | None
    tag: str | None
    socket: int | None
    site: str | None
    sources: tuple[Source, ...]
    starts: int
    stops: int
    findings: tuple[str, ...]
    start_claim: Claim | None
    stop_claim: Claim | None
    rest_claim: Claim | None
    erased: bool = False
    part_of: str | None = None
    rests: int = 0

    @property
    def pushed(self) -> Pushed | None:
        """What push alone says of the session; None where it says nothing."""
        told = [claim for claim in (self.stop_claim, self.start_claim) if claim is not None]
        if not told:
            return None
        return Pushed(
            sources=tuple(source for source in Source if any(c.source is source for c in told)),
            start=_first(told, "start"),
            end=_first(told, "end"),
            energy_wh=_energy(self.stop_claim, self.start_claim, None),
            tag=_first(told, "tag"),
            socket=_first(told, "socket"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What push says of a session, to be held against what REST says. Energy in Wh."""

    sources: tuple[Source, ...]
    start: datetime | None
    end: datetime | None
    energy_wh: float | None
    tag: str | None
    socket: int | None


def fold(claims: Iterable[Claim], limits: Limits = USUAL) -> Summary:
    """Fold the claims of one session; at least one, in any order.

    That REST listed the session as going on counts only until anything else tells of it. A REST
    item that is gone counts only where eMabler lists none of them any more.
    """
    ordered = sorted(claims, key=_rank)
    starts = [claim for claim in ordered if claim.source is Source.START]
    stops = [claim for claim in ordered if claim.source is Source.STOP]
    items = [claim for claim in ordered if claim.source is Source.REST]
    listed = [claim for claim in items if not claim.gone]
    rests = listed or items
    start = starts[-1] if starts else None
    stop = stops[-1] if stops else None
    rest = rests[-1] if rests else None
    # What push says stands first; REST completes it where push says nothing.
    told = [claim for claim in (stop, start, rest) if claim is not None] or ordered[-1:]
    part_of = ordered[0].part_of
    folded = Summary(
        charger=told[0].charger,
        transaction=_transaction(ordered, told),
        state=State.PART if part_of else State.ENDED if stop or rest else State.OPEN,
        start=_first(told, "start"),
        end=_first(told, "end"),
        energy_wh=_energy(stop, start, rest),
        meter_start_wh=_first(told, "meter_start_wh"),
        meter_end_wh=_first(told, "meter_end_wh"),
        tag=_first(told, "tag"),
        socket=_first(told, "socket"),
        site=_first(told, "site"),
        sources=tuple(source for source in Source if any(c.source is source for c in told)),
        starts=len(starts),
        stops=len(stops),
        findings=(),
        start_claim=start,
        stop_claim=stop,
        rest_claim=rest,
        erased=any(claim.erased for claim in ordered),
        part_of=part_of,
        rests=len(listed),
    )
    return replace(folded, findings=findings_of(starts, stops, folded, limits))


def _transaction(claims: Sequence[Claim], told: Sequence[Claim]) -> str | None:
    """The session's own id: claims that were paired with it have none that identifies it."""
    own = [claim for claim in told if claim.within is None]
    # All that is told may be copies, where another claim of the session is not the one that counts.
    own = own or [claim for claim in claims if claim.within is None]
    return (own or told)[0].transaction


def _rank(claim: Claim) -> tuple[str, str, str]:
    """Claims of one source by what decides among them, the deciding one last.

    Among REST's answers the one observed last; among stops the latest end, among starts the
    latest start; ties by content.
    """
    instant = claim.start if claim.source in BEGINNINGS else claim.end
    return (
        format_instant(claim.observed) if claim.observed else "",
        format_instant(instant) if instant else "",
        claim.digest,
    )


def _first[T](claims: Sequence[Claim], name: str) -> T | None:
    for claim in claims:
        value: T | None = getattr(claim, name)
        if value is not None:
            return value
    return None


def _energy(stop: Claim | None, start: Claim | None, rest: Claim | None) -> float | None:
    """The energy told; else what the meters say; a v1 stop tells its end only."""
    if stop is not None:
        if stop.energy_wh is not None:
            return stop.energy_wh
        meter_start = stop.meter_start_wh
        if meter_start is None and start is not None:
            meter_start = start.meter_start_wh
        if stop.meter_end_wh is not None and meter_start is not None:
            return stop.meter_end_wh - meter_start
    return rest.energy_wh if rest is not None else None


_COLUMNS = (
    "charger",
    "transaction",
    "energy_wh",
    "meter_start_wh",
    "meter_end_wh",
    "tag",
    "socket",
    "site",
    "starts",
    "stops",
)
_OF_EACH_SOURCE = ("energy_wh", "meter_start_wh", "meter_end_wh", "tag", "socket")


def summary_row(summary: Summary, bucket: str, session: str, etag: str | None = None) -> Row:
    """The summary as a row, with columns of its own for each source."""
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "state": str(summary.state),
        "sources": ",".join(summary.sources),
    }
    for name in _COLUMNS:
        _set(columns, name, getattr(summary, name))
    _set(columns, "start", summary.start)
    _set(columns, "end", summary.end)
    _set(columns, "part_of", summary.part_of)
    if summary.erased:
        columns["erased"] = True
    if summary.findings:
        columns["findings"] = ",".join(summary.findings)
        columns["held"] = is_held(summary.findings)
    for claim in (summary.start_claim, summary.stop_claim, summary.rest_claim):
        if claim is None:
            continue
        for name in (*_OF_EACH_SOURCE, "start", "end"):
            _set(columns, f"{claim.source}_{name}", getattr(claim, name))
    if summary.rest_claim is not None:
        columns["rest_id"] = summary.rest_claim.name
        _set(columns, "rest_observed", summary.rest_claim.observed)
    return Row(bucket, f"{session}|{SUMMARY_NAME}", columns, etag)


def _set(columns: dict[str, Value], name: str, value: Value | datetime | None) -> None:
    if isinstance(value, datetime):
        columns[name] = format_instant(value)
    elif value is not None:
        columns[name] = value


def is_summary(row: Row) -> bool:
    """Whether a row of the sessions table is a summary, not a claim."""
    return row.key.endswith(f"|{SUMMARY_NAME}")
