"""eMabler's books of one day in versions, and whether a store holds what its ledger claims.

A session's energy tells which of its corrections an answer knew. So one look at the tables says of
each proven window whether what was true as of its instant is in the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import msgspec

from local.emabler.process import EmablerServer
from local.emabler.records import FinishedSession, instant
from shared.instants import format_instant, system_clock
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.lease import Standing, standing_of
from shared.reconciliation.windows import Window, proof, window_from_row
from shared.sessions.claims import Claim, Source, answer_in, claim_from_row
from shared.sessions.writer import SessionWriter
from shared.storage.ledger_keys import LEASE, OPEN_ROWS, RUN_ROWS, WIDE_ROWS, WINDOW_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.rows import Row, Tables
from shared.storage.tables import ALL_TABLES, RECONCILIATION, SESSIONS, TAGS
from tests.reconciliation.two_sides import start, stop
from tests.stores import is_claim, whole

PAGE = 4
SESSIONS_OF_THE_DAY = 150
"""Three or four to a page that is not quite full: some fifty windows."""

SETTINGS = {
    # Nobody's timer: runs are started.
    "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
    "EMABLER_PAGE_SIZE": str(PAGE),
    "EMABLER_REQUESTS_PER_SECOND": "1000",
    "RECONCILE_FIRST_DAYS": "1",
    "RECONCILE_RECENT_DAYS": "1",
    "RECONCILE_OVERLAP_MINUTES": "5",
    "RECONCILE_LEASE_SECONDS": "10",
}
"""A run of some fifty windows, and as many once more for the walk that is due behind the front."""

_STEP = timedelta(minutes=9)
_DIFFERS_WH = 5_000.0


class Books:
    """What eMabler lists: sessions that ended in the last day, each of which may be corrected.

    `pushed` is what push told: of every third session, of every ninth with another energy.
    """

    def __init__(self, emabler: EmablerServer) -> None:
        self._emabler = emabler
        last = system_clock() - timedelta(minutes=10)
        self.sessions = {
            number: _session(number, last - number * _STEP)
            for number in range(1, SESSIONS_OF_THE_DAY + 1)
        }
        self.pushed = [
            claim
            for number, session in self.sessions.items()
            if number % 3 == 0
            for claim in _push_claims(session, _DIFFERS_WH if number % 9 == 0 else 0.0)
        ]
        self._said = {
            number: [(last - timedelta(days=2), session.full_consumption_wh)]
            for number, session in self.sessions.items()
        }

    @property
    def oldest(self) -> datetime:
        """The end of the session that ended first."""
        return min(map(_end, self.sessions.values()))

    @property
    def middle(self) -> datetime:
        """An instant with half of the sessions before it."""
        return self.oldest + (self.newest - self.oldest) / 2

    @property
    def newest(self) -> datetime:
        """The end of the session that ended last."""
        return max(map(_end, self.sessions.values()))

    async def fill(self) -> None:
        """Make them eMabler's."""
        await self._emabler.put("sessions", _wire(self.sessions.values()))

    async def correct(self, numbers: Iterable[int], chance: Random) -> None:
        """Let each of these have another energy from now on: a new one, or one that it had."""
        energies = {}
        for number in numbers:
            said = [wh for _, wh in self._said[number]]
            others = {*said, max(said) + 1} - {said[-1]}
            energies[number] = chance.choice(sorted(others))
        await self.say(energies)

    async def say(self, energies: Mapping[int, int]) -> None:
        """Let sessions have these energies from now on, Wh."""
        corrected = {
            number: msgspec.structs.replace(
                self.sessions[number], full_consumption_wh=wh, full_consumption_k_wh=None
            )
            for number, wh in energies.items()
        }
        await self._emabler.add("sessions", _wire(corrected.values()))
        self.sessions |= corrected
        # Told afterwards: whoever asked at this instant or later was told of the correction.
        now = system_clock()
        for number, wh in energies.items():
            self._said[number].append((now, wh))

    def may_say(self, number: int, as_of: datetime) -> set[int]:
        """The energies of a session that somebody who asked at an instant or later was told."""
        said = self._said[number]
        first = max(i for i, (since, _) in enumerate(said) if since <= as_of)
        return {wh for _, wh in said[first:]}

    def within(self, window: Window) -> list[int]:
        """The sessions that ended in a window."""
        return [
            number
            for number, session in self.sessions.items()
            if window.first <= _end(session) < window.last
        ]

    def differing(self) -> set[str]:
        """The sessions of which push and REST tell energies too far apart."""
        return {
            f"{session.charger_id}|{session.evse_transaction_id}"
            for number, session in self.sessions.items()
            if number % 9 == 0
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a store held at one look. `heard`: REST's answers by REST's own ids."""

    tables: dict[str, list[Row]]
    standing: Standing | None
    windows: list[Window]
    heard: dict[int, FinishedSession]

    @property
    def epoch(self) -> int:
        """How often the lease was taken."""
        return 0 if self.standing is None else self.standing.epoch

    def contents(self) -> dict[str, list[tuple[str, str, dict[str, object]]]]:
        """The columns of all rows."""
        return {name: whole(name, rows) for name, rows in self.tables.items()}


async def look(tables: Tables) -> Seen:
    """Read everything, the ledger first: what it claims must be in what is read after it."""
    ledger = [row async for row in tables.scan(RECONCILIATION)]
    rows = {name: [row async for row in tables.scan(name)] for name in ALL_TABLES}
    rows[RECONCILIATION] = ledger
    answers = [
        msgspec.json.decode(answer_in(row.columns) or "", type=FinishedSession)
        for row in rows[SESSIONS]
        if is_claim(row) and row.columns["source"] == Source.REST
    ]
    return Seen(
        rows,
        next((standing_of(row) for row in ledger if row.key == LEASE), None),
        [window_from_row(row) for row in ledger if row.key.startswith((WINDOW_ROWS, WIDE_ROWS))],
        {answer.id: answer for answer in answers},
    )


def is_true(seen: Seen, books: Books) -> None:
    """Fail unless the store holds all that its windows and its front claim."""
    for window in seen.windows:
        for number in books.within(window):
            assert number in seen.heard, (window, number)
            told = seen.heard[number].full_consumption_wh
            assert told in books.may_say(number, window.as_of), (window, number)
    front = None if seen.standing is None else seen.standing.front
    if front is not None and front > books.oldest:
        assert all(each.as_of for each in proof(seen.windows, books.oldest, front)), front


async def equals_the_books(seen: Seen, books: Books, *, hash_key: bytes, buckets: int) -> None:
    """Fail unless the store is what eMabler's books and push make of it, and all of it is proven.

    That rows follow from claims is seen by writing the same claims into another store.
    """
    is_true(seen, books)
    assert seen.heard == books.sessions
    standing = seen.standing
    assert standing is not None
    assert standing.front is not None
    assert standing.front > books.newest
    assert not standing.held
    claims = [claim_from_row(row) for row in seen.tables[SESSIONS] if is_claim(row)]
    pushed = [claim for claim in claims if claim.source is not Source.REST]
    assert sorted(pushed, key=lambda claim: claim.key) == sorted(
        books.pushed, key=lambda claim: claim.key
    )
    other = MemoryTables(*ALL_TABLES)
    await SessionWriter(other, buckets=buckets, tag_hash_key=hash_key).write(claims)
    again = await look(other)
    assert seen.contents()[SESSIONS] == again.contents()[SESSIONS]
    # Under a tag every answer that there ever was leaves its row: that the session is over.
    kept = {(row.partition, row.key) for row in seen.tables[TAGS]}
    assert kept >= {(row.partition, row.key) for row in again.tables[TAGS]}
    assert {
        str(row.columns["session"])
        for row in seen.tables[RECONCILIATION]
        if row.key.startswith(OPEN_ROWS) and row.columns["class"] == FindingClass.ENERGY_DIFFERS
    } == books.differing()


def runs_of(seen: Seen) -> list[tuple[str, bool]]:
    """How each run ended, and whether it was whole; the newest first."""
    return [
        (str(row.columns["outcome"]), bool(row.columns["complete"]))
        for row in seen.tables[RECONCILIATION]
        if row.key.startswith(RUN_ROWS)
    ]


def _session(number: int, end: datetime) -> FinishedSession:
    return FinishedSession(
        id=number,
        charger_id=f"CH-{number % 20:03d}",
        socket_id=1,
        timestamp_start=format_instant(end - timedelta(minutes=30)),
        timestamp_end=format_instant(end),
        evse_transaction_id=str(500 + number),
        authorized_tag_id=f"TAG{number % 10}",
        full_consumption_wh=20_000 + 1_000 * number,
    )


def _end(session: FinishedSession) -> datetime:
    return instant(session.timestamp_end)


def _wire(sessions: Iterable[FinishedSession]) -> Sequence[dict[str, object]]:
    return [msgspec.to_builtins(session) for session in sessions]


def _push_claims(session: FinishedSession, differs_wh: float) -> list[Claim]:
    told = {
        "charger": session.charger_id,
        "transaction": session.evse_transaction_id,
        "tag": session.authorized_tag_id,
        "start": instant(session.timestamp_start),
    }
    ended = {"end": _end(session), "energy_wh": session.full_consumption_wh + differs_wh}
    return [start(**told), stop(**told, **ended)]
