"""The store's index rows of a window of ends against eMabler's picture of it. Pure.

A window in which nothing is new is known by these rows alone: each REST item by its digest, and the
row of a REST answer says beside it what push says otherwise (`shared.sessions.indexes`). What
cannot be told by them is handed on: items to be written, stops and REST rows to be looked up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.emabler.models.sessions import FinishedSession
from shared.identifiers import NAMELESS, identifier_of, key_part
from shared.instants import parse_instant
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.spans import Picture
from shared.sessions.claims import Claim, Source, session_key
from shared.sessions.indexes import UNDATED
from shared.storage.rows import Row

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

_OF_SEVERAL = frozenset(("rests", "other"))
"""Columns of a REST row of which one is there where eMabler lists its session more than once, or
another item counts."""


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
    def is_gone(self) -> bool:
        """Whether it is a REST item that eMabler listed no more."""
        return "gone" in self.row.columns

    @property
    def is_of_several(self) -> bool:
        """Whether it is one of several REST items that its session has, as far as it tells."""
        return not _OF_SEVERAL.isdisjoint(self.row.columns)

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
    not, save those that are gone while another item of the session counts. `moved`: those that it
    has under another session. `apart`: rows as before of sessions with further items that the
    picture has not. `nameless`: sessions to be paired, and `near` others of their chargers.
    `parts`: sessions that are part of another one.
    """

    unchanged: list[Told] = field(default_factory=list)
    changed: list[FinishedSession] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)
    lone: dict[str, Told] = field(default_factory=dict)
    lacking: list[Told] = field(default_factory=list)
    moved: list[tuple[Told, str]] = field(default_factory=list)
    apart: list[Told] = field(default_factory=list)
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
        present = [
            told for told in rests.get(name, ()) if told.row.columns["digest"] == item.digest
        ]
        if raising or not _is_as_before(present, session):
            found.changed.append(item)
            if session not in known:
                found.fresh.add(session)
        else:
            found.unchanged += present
    several = [told for told in found.unchanged if "rests" in told.row.columns]
    if several:
        listed = Counter(heard.values())
        found.apart += [t for t in several if int(t.row.columns["rests"]) > listed[t.session]]
    _sort_rests(found, picture, rests, heard, raising=raising)
    confirmed = {told.session for each in rests.values() for told in each} | set(heard.values())
    _sort_stops(found, picture, stops, confirmed)
    chargers = {session.partition("|")[0] for _, session in found.nameless}
    if chargers:
        every = (told for each in (*rests.values(), *stops.values()) for told in each)
        found.near += [told for told in every if told.charger_part in chargers]
    return found


def _is_as_before(rows: Sequence[Told], session: str) -> bool:
    """Whether rows of an item say that eMabler lists it in a session.

    Of an item without an id there may be a copy in the session that it was paired with.
    """
    own = next((told for told in rows if told.session == session), None)
    if own is None:
        return False
    if own.part_of is None:
        return not own.is_gone
    return not any(told.is_gone for told in rows if told.session in (session, own.part_of))


def _sort_rests(
    found: Comparison,
    picture: Picture,
    rests: Mapping[tuple[str, str], list[Told]],
    heard: Mapping[tuple[str, str], str],
    *,
    raising: bool,
) -> None:
    """REST rows that the picture lacks or has elsewhere, and those that may have kin."""
    for name, each in rests.items():
        for told in each:
            elsewhere = name in heard and _is_elsewhere(told, each, heard[name])
            held = picture.span.holds(told.end)
            may_have_kin = elsewhere or (held and len(told.pushed) < len(_BOTH))
            if told.is_nameless and told.counts and may_have_kin:
                found.nameless.append((told.bucket, told.session))
            if told.part_of is not None:
                found.parts += [told.session] if told.is_gone else []
                continue
            if told.is_gone and not told.counts and not raising:
                continue  # what was to be said of it is said
            if name not in heard:
                found.lacking += [told] if held else []
            elif elsewhere:
                found.moved.append((told, heard[name]))


def _sort_stops(
    found: Comparison, picture: Picture, stops: Mapping[str, list[Told]], confirmed: set[str]
) -> None:
    """Stops of sessions on which neither rows nor picture have REST's word."""
    for session, each in stops.items():
        if all(told.part_of for told in each):
            found.parts.append(session)
            continue
        if not any(picture.span.holds(told.end) for told in each):
            continue  # the neighbour's, which pairs and judges it
        if each[0].is_nameless:
            found.nameless.append((each[0].bucket, session))
        if session not in confirmed:
            found.lone[session] = each[0]


_BOTH = (Source.START, Source.STOP)


def _is_elsewhere(told: Told, all_of_it: Iterable[Told], heard: str) -> bool:
    """Whether a REST row is of another session than the item is now, and no copy of it."""
    return told.session != heard and not any(
        other.session == heard and other.part_of == told.session for other in all_of_it
    )
