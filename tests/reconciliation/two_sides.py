"""What push told and what eMabler lists, side by side, and the work that compares them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from aiohttp.test_utils import TestServer

from local.emabler import BASE_PATH
from local.emabler.books import Books
from local.emabler.faults.faults import Faults
from local.emabler.records import FinishedSession, OngoingSession
from local.emabler.server import make_app
from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.emabler.retries import Surroundings
from shared.identifiers import hash_tag
from shared.instants import format_instant, parse_instant
from shared.reconciliation.asking import pictures
from shared.reconciliation.comparing import OF_WINDOWS
from shared.reconciliation.finding_book import FindingBook, FindingWrite
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.lease import Standing
from shared.reconciliation.ledger import read_standing
from shared.reconciliation.means import Means, Rules, Worked
from shared.reconciliation.open_sessions import OF_OPEN_SESSIONS, OpenSessionsWork
from shared.reconciliation.pairing_writer import Pairing
from shared.reconciliation.passes import Schedule
from shared.reconciliation.run import Reconciliation
from shared.reconciliation.silence import Silence, find_silence
from shared.reconciliation.spans import Lie, Span
from shared.reconciliation.terms import Run, Terms
from shared.reconciliation.window_work import WindowWork
from shared.sessions.claims import Claim, Source
from shared.sessions.reading import read_summaries
from shared.sessions.writer import SessionWriter
from shared.storage.ledger_keys import OPEN_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.rows import Row
from shared.storage.tables import ALL_TABLES, RECONCILIATION, SESSIONS
from shared.tags.reading import OpenSession, read_tag
from tests.reconciliation.books import HASH_KEY, NOW, Clock

KEY = "k" * 40
USUAL = Terms(
    first=timedelta(days=3),
    overlap=timedelta(hours=1),
    settling=timedelta(minutes=2),
    lease=timedelta(minutes=10),
    behind_requests=600,
    schedule=Schedule(),
)
START = NOW - timedelta(hours=3)
END = NOW - timedelta(hours=1)
DAY = timedelta(days=1)
CHARGER = "CH-1"
ALL = FindingClass


def start(**fields: Any) -> Claim:
    """What push tells at a session's start."""
    told = {"charger": CHARGER, "transaction": "7", "socket": 1, "start": START, "tag": "T1"}
    return _claim(Source.START, told | fields)


def stop(**fields: Any) -> Claim:
    """What push tells at a session's end."""
    told = {
        "charger": CHARGER,
        "transaction": "7",
        "socket": 1,
        "start": START,
        "end": END,
        "tag": "T1",
        "energy_wh": 12_000.0,
    }
    return _claim(Source.STOP, told | fields)


def _claim(source: Source, told: dict[str, Any]) -> Claim:
    digest = hashlib.sha256(f"{source}{sorted(told.items(), key=str)}".encode()).hexdigest()[:32]
    return Claim(**({"source": source, "name": digest, "digest": digest} | told))


def item(number: int = 9, **fields: Any) -> FinishedSession:
    """What eMabler lists of it."""
    told: dict[str, Any] = {
        "charger_id": CHARGER,
        "socket_id": 1,
        "timestamp_start": START,
        "timestamp_end": END,
        "evse_transaction_id": "7",
        "authorized_tag_id": "T1",
        "full_consumption_wh": 12_000,
        "total_cost_incl_vat": 5.0,
    } | fields
    for name in ("timestamp_start", "timestamp_end"):
        if isinstance(told[name], datetime):
            told[name] = format_instant(told[name])
    return FinishedSession(id=number, **told)


def ongoing(**fields: Any) -> OngoingSession:
    """What eMabler lists of it while it goes on."""
    told: dict[str, Any] = {
        "charger_id": CHARGER,
        "socket_id": 1,
        "transaction_id": "7",
        "start_time": format_instant(START),
        "authorized_id_tag": "T1",
        "start_meter_wh": 500,
    } | fields
    return OngoingSession(**told)


class TwoSides:
    """A store in memory, a simulated eMabler, and a book of findings."""

    def __init__(self, *, rules: Rules | None = None, buckets: int = 2) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.books = Books()
        self.faults = Faults()
        self.clock = Clock()
        self.buckets = buckets
        self.rules = rules or Rules()
        self.findings: dict[tuple[str, FindingClass], Any] = {}
        self.repaired: Counter[FindingClass] = Counter()
        self.written: list[FindingWrite] = []
        self.book = FindingBook()
        self.client: EmablerClient
        self.lying: tuple[datetime, datetime] | None = None
        self.poison: set[datetime] = set()
        self.empty = False
        self.lies_of_ids = False

    @asynccontextmanager
    async def going(self, **options: Any) -> AsyncIterator[TwoSides]:
        """With eMabler there."""
        app = make_app(self.books, KEY, faults=self.faults)
        async with TestServer(app) as server:
            base = str(server.make_url(f"{BASE_PATH}/"))
            async with EmablerClient(
                base,
                KEY,
                options=Options(**{"requests_per_second": 1e9, "retry_seconds": 0} | options),
                around=Surroundings(clock=self.clock),
                transport=_Bent(self),
            ) as self.client:
                yield self

    @property
    def sessions(self) -> SessionWriter:
        return SessionWriter(self.tables, buckets=self.buckets, tag_hash_key=HASH_KEY)

    @property
    def pairing(self) -> Pairing:
        return Pairing(self.tables, tag_hash_key=HASH_KEY)

    @property
    def means(self) -> Means:
        return Means(
            tables=self.tables,
            sessions=self.sessions,
            client=self.client,
            pairing=self.pairing,
            buckets=self.buckets,
            tag_hash_key=HASH_KEY,
            rules=self.rules,
        )

    async def push(self, *claims: Claim) -> None:
        """Push tells."""
        await self.sessions.write(claims)

    def lists_finished(self, *items: FinishedSession) -> None:
        """Finished sessions come into eMabler's books."""
        self.books.change("sessions", added=items)

    def lists_ongoing(self, *items: OngoingSession) -> None:
        """These go on at eMabler, and no others."""
        self.books.put("ongoing", items)

    async def walk(
        self, span: Span | None = None, *, began: datetime | None = None, **how: Any
    ) -> Worked:
        """Compare a span of ends, by default the last two days."""
        span = span or Span(NOW - 2 * DAY, NOW)
        total: Worked | None = None
        work = WindowWork(self.means)
        async with aclosing(pictures(self.client, span, longest=timedelta.max)) as found:
            async for each in found:
                assert not isinstance(each, Lie)
                rows = await self.means.rows(each.span)
                worked = await work.work(each, rows, began=began, **how)
                self._note(worked, OF_WINDOWS)
                total = worked if total is None else _sum(total, worked)
        assert total is not None
        return total

    async def reconcile(self, **terms: Any) -> Run:
        """One run of the timer."""
        reconciliation = self.reconciliation(**terms)
        return await reconciliation.run(reconciliation.begin(holder="timer"))

    async def by_hand(self, span: Span, **terms: Any) -> Run:
        """One stretch by hand."""
        reconciliation = self.reconciliation(**terms)
        return await reconciliation.walk(reconciliation.begin(holder="somebody"), span)

    def reconciliation(self, **terms: Any) -> Reconciliation:
        """What runs, on the terms given or the usual ones."""
        self.tables.clock = self.clock
        return Reconciliation(self.means, replace(USUAL, **terms), clock=self.clock)

    async def standing(self) -> Standing:
        """What the lease's row says."""
        found = await read_standing(self.tables)
        assert found is not None
        return found

    async def open_findings(self) -> dict[str, list[str]]:
        """The findings that are open in the store: class to what they are about."""
        rows = self.tables.rows(RECONCILIATION)
        found: dict[str, list[str]] = {}
        for row in rows:
            if row.key.startswith(OPEN_ROWS):
                about = str(row.columns.get("session") or row.columns["subject"])
                found.setdefault(str(row.columns["class"]), []).append(about)
        return found

    async def look_at_open(self, **how: Any) -> Worked:
        """Compare the open sessions."""
        doubted = {cls: set(self.book.known(cls)) for cls in OF_OPEN_SESSIONS}
        total: Worked | None = None
        work = OpenSessionsWork(self.means).work(self.clock(), doubted=doubted, **how)
        async for worked in work:
            self._note(worked, OF_OPEN_SESSIONS)
            total = worked if total is None else _sum(total, worked)
        assert total is not None
        return total

    async def look_for_silence(self, worked: Worked) -> Silence:
        """See whether push is silent."""
        found = await find_silence(
            worked.push, self.client, self.tables, buckets=self.buckets, as_of=self.clock()
        )
        self._seen(found.findings, found.compared, {ALL.PUSH_SILENT}, self.clock())
        return found

    def _note(self, worked: Worked, classes: Iterable[FindingClass]) -> None:
        self._seen(worked.findings, worked.compared, classes, worked.as_of)
        self.repaired.update(each.cls for each in worked.repaired)

    def _seen(
        self,
        findings: Iterable[Any],
        compared: Iterable[str],
        classes: Iterable[FindingClass],
        as_of: datetime,
    ) -> None:
        writes = self.book.seen(
            findings, compared=set(compared), classes=frozenset(classes), as_of=as_of
        )
        self.written += writes
        for write in writes:
            if write.finding is None:
                self.findings.pop((write.about, write.cls))
            else:
                self.findings[write.about, write.cls] = write.finding

    @property
    def open(self) -> set[tuple[str, str]]:
        """The findings that are open: class and what each is about."""
        return {(str(cls), about) for about, cls in self.findings}

    async def listed(self) -> list[Row]:
        """The sessions as an operator lists them."""
        rows = read_summaries(self.tables, charger=None, buckets=self.buckets)
        return [row async for row in rows]

    async def summary(self) -> dict[str, Any]:
        """The one session that there is."""
        (row,) = await self.listed()
        return dict(row.columns)

    async def open_for(self, tag: str) -> tuple[OpenSession, ...]:
        """The sessions that a tap of a tag counts."""
        known = await read_tag(self.tables, [hash_tag(tag, HASH_KEY)], NOW - 30 * DAY)
        return known.open_sessions

    def nothing_is_under_way(self) -> None:
        """Let time pass by the store's clock: what is written beside a claim would be there."""
        later = self.tables.clock() + 30 * DAY
        self.tables.clock = lambda: later

    @property
    def rows(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """All rows of all tables."""
        return [
            (table, row.partition, row.key, dict(row.columns))
            for table in ALL_TABLES
            for row in self.tables.rows(table)
        ]

    def index(self, prefix: str) -> list[str]:
        """The keys of index rows."""
        return [r.key for r in self.tables.rows(SESSIONS) if r.key.startswith(prefix)]


class _Bent(httpx.AsyncBaseTransport):
    """The way to eMabler, on which single answers are bent as no rule of the simulator does."""

    def __init__(self, sides: TwoSides) -> None:
        self._sides = sides
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._is_poison(request):
            return httpx.Response(500, json={"errorCode": "INTERNAL_ERROR", "message": "oops"})
        answer = await self._inner.handle_async_request(request)
        if not request.url.path.endswith("/transactions") or not self._bends(request):
            return answer
        fields = json.loads(await answer.aread())
        if self._sides.empty:
            fields |= {"items": [], "totalRecords": 7}
            del fields["hasNextPage"]
        else:
            fields["totalRecords"] += 1
        return httpx.Response(200, json=fields)

    def _is_poison(self, request: httpx.Request) -> bool:
        """Whether the server has to write a row that it cannot write, by its end."""
        if not self._sides.poison or not request.url.path.endswith("/transactions"):
            return False
        body = json.loads(request.content)
        begin, end = (
            parse_instant(body.get(name, "")) for name in ("stopTimeSearchBegin", "stopTime")
        )
        if begin is None or end is None:
            return False
        return any(begin <= each <= end for each in self._sides.poison)

    def _bends(self, request: httpx.Request) -> bool:
        """Whether the question touches what the server lies about."""
        body = json.loads(request.content)
        if self._sides.lies_of_ids and "stopTimeSearchBegin" not in body:
            return True
        if self._sides.empty or self._sides.lying is None:
            return self._sides.empty
        begin, end = (
            parse_instant(body.get(name, "")) for name in ("stopTimeSearchBegin", "stopTime")
        )
        if begin is None and end is None:
            return False
        first, last = self._sides.lying
        return (begin is None or begin < last) and (end is None or first < end)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _sum(one: Worked, other: Worked) -> Worked:
    one.counts += other.counts
    one.findings += other.findings
    one.repaired += other.repaired
    one.compared |= other.compared
    one.lies += other.lies
    one.push.add(other.push)
    return one
