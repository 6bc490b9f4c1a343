"""A history of reconciliation beside ingestion: runs that die, sleep and meet, books that move.

What must hold is held at each write, not only at the end: a later run mends what an earlier one did
wrong, and nobody would see it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import cast

import httpx
from aiohttp import web

from local.emabler.books import Books
from local.emabler.habits import Habits
from local.emabler.operations import PlainReading
from local.emabler.records import FinishedSession
from local.emabler.rest.transactions import transactions
from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.emabler.retries import Surroundings
from shared.errors import EmablerFunctionsError, TransientError
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted
from shared.instants import format_instant
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.lease import Standing, standing_of
from shared.reconciliation.means import Means
from shared.reconciliation.pairing_writer import Pairing
from shared.reconciliation.passes import Schedule
from shared.reconciliation.run import Reconciliation
from shared.reconciliation.store_clock import StoreClock
from shared.reconciliation.terms import Terms
from shared.reconciliation.windows import Window, window_from_row
from shared.sessions.claims import Claim, Source, claim_from_row
from shared.sessions.summary import is_summary
from shared.sessions.writer import SessionWriter
from shared.storage.ledger_keys import LEASE, OPEN_ROWS, WIDE_ROWS, WINDOW_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.rows import Row, Tables
from shared.storage.tables import ALL_TABLES, RECONCILIATION, SESSIONS
from tests import payloads
from tests.emabler.rest import BASE, KEY
from tests.reconciliation.simulated import Asked
from tests.simulation.ingestion import EPOCH, clock, delivery
from tests.simulation.store import CALM, Faults, StoreOfOneWorker, Weather, WorkerStoppedError
from tests.simulation.virtual_time import run

HASH_KEY = b"k" * 32
BUCKETS = 2
PAGE_SIZE = 3
CALM_AFTER_SECONDS = 3_600.0
"""From here on nothing goes wrong and the books stand still, so that every history ends."""

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TERMS = Terms(
    first=timedelta(hours=20),
    overlap=10 * MINUTE,
    settling=MINUTE,
    lease=5 * MINUTE,
    behind_requests=60,
    schedule=Schedule(
        recent=timedelta(hours=20),
        recent_every=20 * MINUTE,
        month=timedelta(days=2),
        month_every=HOUR,
        edges_every=HOUR,
        open_every=HOUR,
        ongoing_every=HOUR,
    ),
)
FAULTS = Faults(busy=0.01, lost_answer=0.01, own_row=0.02, late=0.02, stop=0.004, freeze=0.003)


@dataclass(frozen=True, slots=True)
class Session:
    """One finished session: its ids, its end, and what eMabler says of it from when on.

    `said` are instants (virtual seconds) with the energy that is told from then on; None: it is not
    listed. `pushed`: push tells of it; not of a further item of a transaction.
    """

    number: int
    charger: str
    transaction: str
    end: datetime
    said: tuple[tuple[float, int | None], ...]
    pushes: bool = True

    def energy(self, at: float) -> int | None:
        return next((energy for since, energy in reversed(self.said) if since <= at), None)

    def energies(self, since: float, until: float) -> set[int | None]:
        """All that was told of it in that time."""
        later = {energy for at, energy in self.said if since < at <= until}
        return later | {self.energy(since)}

    def listed(self, energy: int) -> FinishedSession:
        return FinishedSession(
            id=self.number,
            charger_id=self.charger,
            socket_id=1,
            timestamp_start=format_instant(self.end - HOUR),
            timestamp_end=format_instant(self.end),
            evse_transaction_id=self.transaction,
            full_consumption_wh=energy,
            authorized_tag_id="TAG123",
        )

    def pushed(self) -> list[bytes]:
        common = {"chargerId": self.charger, "transactionId": self.transaction}
        start, end = format_instant(self.end - HOUR), format_instant(self.end)
        return [
            payloads.start_v2(**common, deviceTimeStamp=start),
            payloads.full_v2(**common, startTime=start, stopTime=end),
        ]


def sessions(random: Random) -> Iterator[Session]:
    """Sessions of a day, most of them there at first; some come, change, change back or go."""
    for number in range(1, random.randint(4, 16)):
        said: list[tuple[float, int | None]] = [(0.0, 1000 + number)]
        if random.random() < 0.3:
            said = [(0.0, None), (random.uniform(1, 1800), 1000 + number)]
        while random.random() < 0.35:
            # Back to what it was is what an older answer hides behind.
            energy = random.choice([1000 + number, 2000 + number, 3000 + number])
            said.append((said[-1][0] + random.uniform(1, 900), energy))
        if random.random() < 0.1:
            said.append((said[-1][0] + random.uniform(1, 900), None))
        session = Session(
            number,
            charger=f"CH-{number % 3}",
            transaction=str(100 + number),
            end=_some_end(random),
            said=tuple(said),
        )
        if random.random() < 0.3:
            yield from _listed_twice(random, session)
        else:
            yield session


def _some_end(random: Random) -> datetime:
    return EPOCH - timedelta(seconds=random.uniform(120, 70_000))


def _listed_twice(random: Random, session: Session) -> Iterator[Session]:
    """A session with a further item of its transaction: in its place, for a time, or after all."""
    at, energy = session.said[-1][0] + random.uniform(1, 900), 5000 + session.number
    till = at + random.uniform(1, 900)
    first, second = list(session.said), [(0.0, None), (at, energy)]
    match random.choice(["replaced", "replaced", "first goes", "second goes", "back again"]):
        case "replaced":
            first.append((at, None))
        case "first goes":
            first.append((till, None))
        case "second goes":
            second.append((till, None))
        case _:
            back = till + random.uniform(1, 900)
            first += [(at, None), (back, random.choice([energy, 1000 + session.number]))]
            second.append((random.choice([till, back]), None))
    yield replace(session, said=tuple(first))
    yield replace(
        session,
        number=100 + session.number,
        end=random.choice([session.end, _some_end(random)]),
        said=tuple(second),
        pushes=False,
    )


class Emabler(httpx.AsyncBaseTransport):
    """eMabler as one worker meets it: slow, failing at times, never lying."""

    def __init__(self, everything: Iterable[Session], random: Random, failing: float) -> None:
        self._everything = list(everything)
        self._random = random
        self._failing = failing
        self._read = transactions("v3", Habits())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self._random.uniform(0.01, 1.0))
        if self._random.random() < self._failing:
            return httpx.Response(self._random.choice([429, 500, 503]))
        if not request.url.path.endswith("/transactions"):
            return httpx.Response(200, json={"items": [], "totalRecords": 0, "hasNextPage": False})
        reading = PlainReading(self._books())
        answer = await self._read.answer(cast("web.Request", Asked(request)), reading)
        await asyncio.sleep(self._random.uniform(0.01, 1.0))
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        return httpx.Response(answer.status, content=answer.body)

    def _books(self) -> Books:
        now = asyncio.get_running_loop().time()
        told = ((each, each.energy(now)) for each in self._everything)
        books = Books()
        books.put("sessions", [each.listed(energy) for each, energy in told if energy is not None])
        return books


@dataclass
class Watch:
    """Holds what must be so, at each write to the store.

    `there_since`: when the store had a claim of an item first, by its REST id.
    """

    tables: MemoryTables
    everything: list[Session]
    lines: list[str]
    lease: Standing | None = None
    there_since: dict[str, float] = field(default_factory=dict)

    async def __call__(self, table: str, moment: str) -> None:
        if moment != "after_write" or table not in (SESSIONS, RECONCILIATION):
            return
        if table == RECONCILIATION:
            self._leases()
        self._proven()

    def note(self, text: str) -> None:
        self.lines.append(f"{asyncio.get_running_loop().time():9.2f} {text}")

    def _leases(self) -> None:
        """Nobody takes a lease that is held, and the front never goes back."""
        row = next(r for r in self.tables.rows(RECONCILIATION) if r.key == LEASE)
        now, before = standing_of(row), self.lease
        self.lease = now
        if before is None:
            return
        if now.epoch != before.epoch:
            free = not before.held or clock() >= before.until
            assert free, f"{now.run} took the lease that {before.run} held\n{self.story}"
        if before.front is not None:
            assert now.front is not None, self.story
            assert now.front >= before.front, f"the front went back\n{self.story}"

    def _proven(self) -> None:
        """What is proven is in the store, as eMabler told it at the proof's instant or later.

        A session that eMabler takes off its list keeps what was told last.
        """
        now = asyncio.get_running_loop().time()
        kept = {claim.name: claim for claim in map(claim_from_row, self.rest_rows())}
        self.there_since = dict.fromkeys(kept, now) | self.there_since
        windows = list(self._windows())
        for each in self.everything:
            since = _proven_as_of(each, windows)
            if since is None:
                continue
            told, claim = each.energies(since, now), kept.get(str(each.number))
            if claim is None:
                assert None in told, f"{each} is proven and not there\n{self.story}"
            elif None not in told:
                assert claim.energy_wh in told, (
                    f"{each} is {claim.energy_wh} in the store, proven as of {since}\n{self.story}"
                )
            if claim is not None:
                self._gone(each, kept, windows, now)

    def rest_rows(self) -> Iterator[Row]:
        for row in self.tables.rows(SESSIONS):
            named = f"|{Source.REST}|" in row.key and not row.key.startswith("!")
            if named and not is_summary(row):
                yield row

    def _gone(
        self, each: Session, kept: Mapping[str, Claim], windows: Sequence[Window], now: float
    ) -> None:
        """An item that eMabler lists is not gone; one that it replaced by another one is."""
        claim, since = kept[str(each.number)], _proven_as_of(each, windows)
        assert since is not None
        told = each.energies(since, now)
        assert not (claim.gone and None not in told), f"{each} is listed, and gone\n{self.story}"
        for other in self.everything:
            also = _proven_as_of(other, windows)
            if other is each or other.transaction != each.transaction or also is None:
                continue
            both = min(since, also)
            if each.energies(both, now) == {None} and None not in other.energies(both, now):
                # What a sleeper brings of an item that the store did not have at the proof counts
                # until the next walk (docs/decisions/0038).
                assert claim.gone or self.there_since[claim.name] > both, (
                    f"{each} is listed no more, {other} is, as of {both}\n{self.story}"
                )

    def _windows(self) -> Iterator[Window]:
        for row in self.tables.rows(RECONCILIATION):
            if row.key.startswith((WINDOW_ROWS, WIDE_ROWS)):
                yield window_from_row(row)

    @property
    def story(self) -> str:
        return "\n".join([*self.lines, *map(str, self.everything)])


def _proven_as_of(each: Session, windows: Iterable[Window]) -> float | None:
    """The instant of the latest proof of a session's end; None where there is none."""
    proofs = [window.as_of for window in windows if window.first <= each.end < window.last]
    return (max(proofs) - EPOCH).total_seconds() if proofs else None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What may happen in a history, apart from what its seed decides; the least is the calmest."""

    workers: int = 3
    faults: Faults = field(default_factory=lambda: FAULTS)
    failing: float = 0.02
    pushes: bool = True


EVERYTHING = Conditions()


def simulate(random: Random, conditions: Conditions = EVERYTHING) -> None:
    """Play one history and hold each write to what must be so.

    Raises:
        AssertionError: Something was proven that was not, lost, or left otherwise; with the story.
    """
    run(_simulate(random, conditions))


async def _simulate(random: Random, conditions: Conditions) -> None:
    everything = list(sessions(random))
    tables = MemoryTables(*ALL_TABLES)
    tables.clock = clock
    watch = Watch(tables, everything, [])
    tables.pause = watch
    stores: list[StoreOfOneWorker] = []

    def store() -> StoreOfOneWorker:
        calm = asyncio.get_running_loop().time() > CALM_AFTER_SECONDS
        stores.append(
            StoreOfOneWorker(tables, random, CALM if calm else conditions.faults, Weather())
        )
        return stores[-1]

    async def reconciler(name: str) -> None:
        while asyncio.get_running_loop().time() < CALM_AFTER_SECONDS:
            await asyncio.sleep(random.uniform(1, 400))
            try:
                await _reconcile(store(), everything, random, conditions.failing, watch, name)
            except WorkerStoppedError:
                watch.note(f"{name} was stopped")

    async def pusher() -> None:
        for each in everything:
            if each.pushes and random.random() < 0.7:
                await asyncio.sleep(random.uniform(0, 300))
                await _push(store, each.pushed())

    await asyncio.gather(
        *(reconciler(f"worker {n}") for n in range(random.randint(1, conditions.workers))),
        *([pusher()] if conditions.pushes else []),
    )
    for each in stores:
        await each.close()
    # Longer than any lease, and long enough for each pass to be due.
    await asyncio.sleep(3 * 3600)
    for number in (1, 2):
        await _reconcile(store(), everything, random, 0.0, watch, f"calm {number}")
        await asyncio.sleep(3 * 3600)
    _check(watch, everything)


async def _reconcile(
    tables: Tables,
    everything: Sequence[Session],
    random: Random,
    failing: float,
    watch: Watch,
    name: str,
) -> None:
    """One run of the timer, of a worker with a store and a connection of its own."""
    loop = asyncio.get_running_loop()
    try:
        store_clock = await StoreClock.read(tables, loop.time)
        around = Surroundings(
            clock=store_clock, elapsed=loop.time, sleep=asyncio.sleep, chance=random.random
        )
        options = Options(page_size=PAGE_SIZE, retry_seconds=10, requests_per_second=1000)
        transport = Emabler(everything, random, failing)
        async with EmablerClient(
            BASE, KEY, options=options, around=around, transport=transport
        ) as client:
            means = Means(
                tables=tables,
                sessions=SessionWriter(tables, buckets=BUCKETS, tag_hash_key=HASH_KEY),
                client=client,
                pairing=Pairing(tables, tag_hash_key=HASH_KEY),
                buckets=BUCKETS,
                tag_hash_key=HASH_KEY,
            )
            reconciliation = Reconciliation(means, TERMS, clock=store_clock, elapsed=loop.time)
            begun = reconciliation.begin(holder=name)
            watch.note(f"{name} begins {begun.id}")
            done = await reconciliation.run(begun)
            watch.note(f"{name} is done with {begun.id}: {dict(done.sessions)} {done.complete}")
    except EmablerFunctionsError as error:
        watch.note(f"{name} failed: {error!r}")


async def _push(store: Callable[[], StoreOfOneWorker], bodies: Sequence[bytes]) -> None:
    """Events arrive; who fails or is stopped gets them again, as from the queue."""
    while True:
        with suppress(WorkerStoppedError, TransientError):
            batch = [IncomingMessage(body=body) for body in bodies]
            await delivery(store()).take(batch, Outlasted())
            return
        await asyncio.sleep(30)


def _check(watch: Watch, everything: Sequence[Session]) -> None:
    """In the calm the store holds what eMabler lists, and no lease is held."""
    now = asyncio.get_running_loop().time()
    listed = {str(each.number): each.energy(now) for each in everything}
    claims = {claim.name: claim for claim in map(claim_from_row, watch.rest_rows())}
    kept = {name: claim.energy_wh for name, claim in claims.items()}
    left = {number: energy for number, energy in listed.items() if energy is not None}
    assert left.items() <= kept.items(), f"{left} is not in {kept}\n{watch.story}"
    _check_sessions(watch, everything, left, claims)
    assert watch.lease is not None
    assert not watch.lease.held, watch.story
    assert watch.lease.front is not None
    assert watch.lease.front > EPOCH, watch.story


def _check_sessions(
    watch: Watch,
    everything: Iterable[Session],
    left: Mapping[str, int],
    claims: Mapping[str, Claim],
) -> None:
    """A session of which an item is listed shows one that is, and counts no other."""
    summaries = {
        str(row.columns["transaction"]): row.columns
        for row in watch.tables.rows(SESSIONS)
        if not row.key.startswith("!") and is_summary(row)
    }
    conflicts = {
        str(row.columns["transaction"])
        for row in watch.tables.rows(RECONCILIATION)
        if row.key.startswith(OPEN_ROWS)
        and row.columns["class"] == FindingClass.REST_ITEMS_CONFLICT
    }
    of_transaction: dict[str, list[str]] = defaultdict(list)
    for each in everything:
        of_transaction[each.transaction].append(str(each.number))
    for transaction, numbers in of_transaction.items():
        items = [number for number in numbers if number in left]
        assert (transaction in conflicts) is (len(items) > 1), f"{conflicts}\n{watch.story}"
        if not items:
            continue
        counting = {number for number in numbers if number in claims and not claims[number].gone}
        assert counting == set(items), f"{counting} count, listed are {items}\n{watch.story}"
        assert summaries[transaction]["rest_id"] in items, watch.story
