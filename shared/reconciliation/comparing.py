"""The store's index rows of a window of ends against eMabler's picture of it. Pure.

A window in which nothing is new is known by these rows alone: each REST item by its digest, and the
row of a REST answer says beside it what push says otherwise (`shared.sessions.indexes`). What
cannot be told by them is handed on: items to be written, stops and REST rows to be looked up.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.emabler.models.reading import finite
from shared.emabler.models.sessions import FinishedSession
from shared.identifiers import identifier_of, key_part
from shared.instants import format_instant, parse_instant
from shared.reconciliation.findings import TAG, Finding, FindingClass
from shared.reconciliation.spans import Picture
from shared.sessions.claims import NAMELESS, Claim, Source, session_key
from shared.sessions.indexes import UNDATED
from shared.storage.rows import Row, Value

type HashTag = Callable[[str], str]
"""The keyed hash that stands for a tag in a finding."""

OF_WINDOWS = frozenset(
    (
        FindingClass.MISSING_AT_EMABLER,
        FindingClass.ENERGY_DIFFERS,
        FindingClass.TIME_DIFFERS,
        FindingClass.TAG_DIFFERS,
        FindingClass.SOCKET_DIFFERS,
        FindingClass.CONFLICT,
        FindingClass.REST_ITEMS_CONFLICT,
        FindingClass.OPEN_TOO_LONG,
        FindingClass.OPEN_NOT_AT_EMABLER,
        FindingClass.UNPAIRED,
    )
)
"""What a comparison of a window meets, or knows to be so no longer: a session that ended is not
open. What was mended as it was met is no such class."""

COST = "totalCostInclVat"

_NOTABLE = frozenset(
    ("conflict", "rests", *(f"push_{n}" for n in ("start", "end", "energy_wh", "tag", "socket")))
)
"""Columns of a REST row of which one at least is there where anything differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """By how much the stop and REST may differ before it is a finding.

    Energies agree within the larger of `energy_wh` and `energy_share` of what REST says.
    """

    energy_wh: float = 100.0
    energy_share: float = 0.01
    time: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Told:
    """One stop or REST item as the store indexes it by its end.

    `charger` is None where the key holds a hash of it.
    """

    row: Row
    session: str
    source: str
    name: str
    end: datetime | None

    @property
    def bucket(self) -> str:
        """The bucket of its session."""
        return self.row.partition

    @property
    def charger_part(self) -> str:
        """The charger as a part of a key."""
        return self.session.partition("|")[0]

    @property
    def charger(self) -> str | None:
        """The charger's id."""
        return identifier_of(self.charger_part)

    @property
    def transaction(self) -> str | None:
        """The transaction's id; None also where there is none that identifies anything."""
        part = self.session.partition("|")[2]
        return None if part.startswith(NAMELESS) else identifier_of(part)

    @property
    def is_nameless(self) -> bool:
        """Whether no transaction id identifies its session."""
        return self.session.partition("|")[2].startswith(NAMELESS)

    @property
    def part_of(self) -> str | None:
        """The session that it was found to be part of."""
        value = self.row.columns.get("part_of")
        return None if value is None else str(value)

    @property
    def counts(self) -> bool:
        """Whether it is the REST answer that its session shows."""
        return self.source == Source.REST and not self.part_of and "other" not in self.row.columns

    @property
    def pushed(self) -> tuple[str, ...]:
        """Who of push tells of the session of this REST answer."""
        return tuple(filter(None, str(self.row.columns.get("push", "")).split(",")))


@dataclass(slots=True)
class Comparison:
    """What a window's rows and picture come to.

    `unchanged`: REST rows that say what the picture says. `changed`: items to be written.
    `fresh`: sessions of them of which no row tells. `lone`: stops of sessions without REST's word
    in rows or picture, one for each session. `lacking`: REST rows of the span that the picture has
    not. `moved`: those that it has under another session. `nameless`: sessions to be paired, and
    `near` others of their chargers. `parts`: sessions that are part of another one.
    """

    unchanged: list[Told] = field(default_factory=list)
    changed: list[FinishedSession] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)
    lone: dict[str, Told] = field(default_factory=dict)
    lacking: list[Told] = field(default_factory=list)
    moved: list[tuple[Told, str]] = field(default_factory=list)
    nameless: list[tuple[str, str]] = field(default_factory=list)
    near: list[Told] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


def told_of(row: Row) -> Told:
    """What a row by end tells."""
    _, end, charger, transaction, source, name = row.key.split("|", 5)
    instant = None if end == UNDATED else parse_instant(end)
    return Told(row, f"{charger}|{transaction}", source, name, instant)


def as_claim(told: Told) -> Claim | None:
    """A row as a claim, as far as it tells who belongs to it; None where its ids are hashes."""
    columns = told.row.columns
    socket = columns.get("socket")
    transaction = "" if told.is_nameless else told.transaction
    if told.charger is None or transaction is None:
        return None
    return Claim(
        source=Source(told.source),
        charger=told.charger,
        transaction=transaction,
        name=identifier_of(told.name) or told.name,
        digest=str(columns["digest"]),
        socket=None if socket is None else int(socket),
        start=parse_instant(str(columns.get("start", ""))),
        end=told.end,
        within=told.session,
    )


def session_of(item: FinishedSession) -> str:
    """The key of the session that an item is of."""
    return session_key(item.charger, item.transaction, Source.REST, item.rest_id)


def compare(rows: Iterable[Row], picture: Picture, *, raising: bool = False) -> Comparison:
    """Hold a window's rows against its picture.

    Args:
        rows: All rows by end of the span, widened as its question is.
        picture: eMabler's answer.
        raising: All items are to be written, also those that are as before.
    """
    found = Comparison()
    rests: dict[tuple[str, str], list[Told]] = defaultdict(list)
    stops: dict[str, list[Told]] = defaultdict(list)
    known: set[str] = set()
    for told in map(told_of, rows):
        known.add(told.session)
        if told.source == Source.REST:
            rests[told.charger_part, told.name].append(told)
        else:
            stops[told.session].append(told)
    heard: dict[tuple[str, str], str] = {}
    for item in picture.items:
        session = session_of(item)
        name = key_part(item.charger), key_part(item.rest_id)
        heard[name] = session
        if not picture.span.holds(item.end):
            continue  # the neighbour's, whose picture is as of its own instant
        # Of an item without an id there may be a copy in the session that it was paired with.
        present = [
            told for told in rests.get(name, ()) if told.row.columns["digest"] == item.digest
        ]
        if raising or not any(told.session == session for told in present):
            found.changed.append(item)
            if session not in known:
                found.fresh.add(session)
        else:
            found.unchanged += present
    _sort_rests(found, picture, rests, heard)
    confirmed = {told.session for each in rests.values() for told in each} | set(heard.values())
    _sort_stops(found, picture, stops, confirmed)
    chargers = {session.partition("|")[0] for _, session in found.nameless}
    if chargers:
        every = (told for each in (*rests.values(), *stops.values()) for told in each)
        found.near += [told for told in every if told.charger_part in chargers]
    return found


def _sort_rests(
    found: Comparison,
    picture: Picture,
    rests: Mapping[tuple[str, str], list[Told]],
    heard: Mapping[tuple[str, str], str],
) -> None:
    """REST rows that the picture lacks or has elsewhere, and those that may have kin."""
    for name, each in rests.items():
        for told in each:
            if told.is_nameless and told.counts and len(told.pushed) < len(_BOTH):
                found.nameless.append((told.bucket, told.session))
            if told.part_of is not None:
                continue
            if name not in heard:
                found.lacking += [told] if picture.span.holds(told.end) else []
            elif _is_elsewhere(told, each, heard[name]):
                found.moved.append((told, heard[name]))


def _sort_stops(
    found: Comparison, picture: Picture, stops: Mapping[str, list[Told]], confirmed: set[str]
) -> None:
    """Stops of sessions on which neither rows nor picture have REST's word."""
    for session, each in stops.items():
        if all(told.part_of for told in each):
            found.parts.append(session)
            continue
        if each[0].is_nameless:
            found.nameless.append((each[0].bucket, session))
        if session not in confirmed and any(picture.span.holds(told.end) for told in each):
            found.lone[session] = each[0]


_BOTH = (Source.START, Source.STOP)


def _is_elsewhere(told: Told, all_of_it: Iterable[Told], heard: str) -> bool:
    """Whether a REST row is of another session than the item is now, and no copy of it."""
    return told.session != heard and not any(
        other.session == heard and other.part_of == told.session for other in all_of_it
    )


def differences(
    told: Told, tolerances: Tolerances, as_of: datetime, hash_tag: HashTag
) -> Iterator[Finding]:
    """Where push and REST differ, by the row of the REST answer that counts."""
    columns = told.row.columns
    if _NOTABLE.isdisjoint(columns):
        return

    def finding(
        cls: FindingClass, store: Mapping[str, Value], emabler: Mapping[str, Value]
    ) -> Finding:
        return finding_on(told, cls, as_of, store, emabler)

    if "conflict" in columns:
        yield finding(FindingClass.CONFLICT, {"findings": columns["conflict"]}, {})
    if "rests" in columns:
        # Which of the items the push events are of, nobody can tell.
        yield finding(FindingClass.REST_ITEMS_CONFLICT, {}, {"items": columns["rests"]})
        return
    pushed, rest = columns.get("push_energy_wh"), columns.get("energy_wh")
    if _energies_differ(pushed, rest, tolerances):
        yield finding(
            FindingClass.ENERGY_DIFFERS, {"energy_wh": pushed or 0}, {"energy_wh": rest or 0}
        )
    times = _times(told, tolerances)
    if times:
        store = {name: one for name, (one, _) in times.items()}
        yield finding(FindingClass.TIME_DIFFERS, store, {n: two for n, (_, two) in times.items()})
    pushed, rest = columns.get("push_tag"), columns.get("tag")
    if pushed is not None and rest is not None:
        store = {TAG: hash_tag(str(pushed))}
        yield finding(FindingClass.TAG_DIFFERS, store, {TAG: hash_tag(str(rest))})
    pushed, rest = columns.get("push_socket"), columns.get("socket")
    if pushed is not None and rest is not None:
        yield finding(FindingClass.SOCKET_DIFFERS, {"socket": pushed}, {"socket": rest})


def finding_on(
    told: Told,
    cls: FindingClass,
    as_of: datetime,
    store: Mapping[str, Value],
    emabler: Mapping[str, Value],
) -> Finding:
    """A finding on the session of a row."""
    return Finding(
        cls,
        told.session,
        as_of,
        charger=told.charger,
        transaction=told.transaction,
        store=store,
        emabler=emabler,
        end=told.end,
    )


def _energies_differ(pushed: Value | None, rest: Value | None, tolerances: Tolerances) -> bool:
    if pushed is None or rest is None:
        return False
    within = max(tolerances.energy_wh, tolerances.energy_share * abs(float(rest)))
    return abs(float(pushed) - float(rest)) > within


def _times(told: Told, tolerances: Tolerances) -> dict[str, tuple[Value, Value]]:
    columns = told.row.columns
    rest = {"start": columns.get("start"), "end": format_instant(told.end) if told.end else None}
    found: dict[str, tuple[Value, Value]] = {}
    for name, text in rest.items():
        pushed = columns.get(f"push_{name}")
        if pushed is None or text is None:
            continue
        one, other = parse_instant(str(pushed)), parse_instant(str(text))
        if one is not None and other is not None and abs(one - other) > tolerances.time:
            found[name] = pushed, text
    return found


def change_of(before: Claim, after: Claim, as_of: datetime, hash_tag: HashTag) -> Finding | None:
    """The finding that a REST answer is another one than before, in what is compared or billed."""
    old, new = says(before, hash_tag), says(after, hash_tag)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not names:
        return None
    return Finding(
        FindingClass.CHANGED_AT_EMABLER,
        after.session,
        as_of,
        charger=after.charger,
        transaction=after.transaction,
        store={name: old[name] for name in names if name in old},
        emabler={name: new[name] for name in names if name in new},
        end=after.end,
    )


def cost_in(claim: Claim) -> float | None:
    """What eMabler charges for the session, taxes included, by REST's whole answer."""
    try:
        answer = json.loads(claim.body or "{}")
    except ValueError:
        return None
    return finite(answer.get(COST)) if isinstance(answer, dict) else None


def says(claim: Claim, hash_tag: HashTag) -> dict[str, Value]:
    """What a REST answer says, as a finding holds it."""
    values: dict[str, Value | None] = {
        "start": format_instant(claim.start) if claim.start else None,
        "end": format_instant(claim.end) if claim.end else None,
        "energy_wh": claim.energy_wh,
        "socket": claim.socket,
        TAG: hash_tag(claim.tag) if claim.tag else None,
        COST: cost_in(claim),
    }
    return {name: value for name, value in values.items() if value is not None}
