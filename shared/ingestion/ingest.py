"""One batch of push messages into the store: all of it, or the batch comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.chargers.states import tellings_of
from shared.chargers.writer import ChargerWriter
from shared.errors import Fault, RejectedMessageError
from shared.ingestion.journal import JournalCounts, journal_row, write_journal
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.parking import UNEXPECTED, parked_row
from shared.instants import Clock, format_instant
from shared.parked.writing import park
from shared.push.decode import decode
from shared.push.digest import NamedEvent, named
from shared.push.events import PushEvent, TransactionStart, TransactionStop
from shared.sessions.claims import claim_of
from shared.sessions.writer import SessionWriter
from shared.storage.blobs import Blobs
from shared.storage.large_bodies import put_large_bodies, settle_large_bodies
from shared.storage.rows import Row, Tables
from shared.storage.tables import EVENTS, PARKED
from shared.storage.together import all_done


@dataclass(frozen=True, slots=True)
class Ingested:
    """What came of a batch. `oldest` is the earliest time of reception in it."""

    received: int
    journal: JournalCounts
    parked: dict[str, int] = field(default_factory=dict)
    oldest: datetime | None = None

    def __add__(self, other: Ingested) -> Ingested:
        times = [each.oldest for each in (self, other) if each.oldest is not None]
        return Ingested(
            self.received + other.received,
            self.journal + other.journal,
            dict(Counter(self.parked) + Counter(other.parked)),
            min(times, default=None),
        )


class Ingestion:
    """Takes batches. One for a worker: what it remembers of chargers saves requests."""

    def __init__(
        self,
        tables: Tables,
        blobs: Blobs,
        *,
        buckets: int,
        sessions: SessionWriter,
        clock: Clock,
        oldest: timedelta = timedelta(days=400),
    ) -> None:
        self._tables = tables
        self._blobs = blobs
        self._buckets = buckets
        self._sessions = sessions
        self._chargers = ChargerWriter(tables, buckets=buckets)
        self._clock = clock
        self._oldest = oldest

    async def ingest(self, batch: Sequence[IncomingMessage], *, again: bool = False) -> Ingested:
        """Store what can be read, park what cannot.

        `again`: some of it was tried a moment ago; what is met of it does not count as repeated.

        When it returns, all of the batch is safe. When it raises, some of it may be written; the
        same batch again, in any company and order, makes it whole.

        Raises:
            TransientError: The store is busy or away; the batch has to come again.
        """
        now = self._clock()
        events: list[NamedEvent] = []
        rows: list[Row] = []
        parked: list[Row] = []
        to_journal: list[bytes] = []
        to_park: list[bytes] = []
        reasons: Counter[str] = Counter()
        for message in batch:
            try:
                event = decode(message.body, message.declared_type)
                self._check_age(event, message, now)
            except RejectedMessageError as error:
                parked.append(parked_row(message, error.code, str(error), now))
                to_park.append(message.body)
                reasons[error.code] += 1
            else:
                events.append(named(event))
                rows.append(journal_row(events[-1], message, now, self._buckets))
                to_journal.append(message.body)
        claims = [
            claim_of(each.event, each.digest)
            for each in events
            if isinstance(each.event, TransactionStart | TransactionStop)
        ]
        tellings = [telling for each in events for telling in tellings_of(each)]
        journal = JournalCounts()

        async def journaled() -> None:
            nonlocal journal
            journal = await write_journal(self._tables, rows, again=again)

        async def claimed() -> None:
            await self._sessions.write(claims)

        # First, so that no row points at a blob that is not there.
        journal_bodies = await put_large_bodies(self._blobs, zip(to_journal, rows, strict=True))
        parked_bodies = await put_large_bodies(self._blobs, zip(to_park, parked, strict=True))
        await all_done(
            (
                journaled(),
                park(self._tables, parked),
                claimed(),
                self._chargers.write(tellings),
            )
        )
        await settle_large_bodies(self._tables, self._blobs, EVENTS, journal_bodies)
        await settle_large_bodies(self._tables, self._blobs, PARKED, parked_bodies)
        received = [each.event.received for each in events if each.event.received is not None]
        return Ingested(len(batch), journal, dict(reasons), min(received, default=None))

    def _check_age(self, event: PushEvent, message: IncomingMessage, now: datetime) -> None:
        """Refuse an event whose repeat could not be recognised: retention deletes the first.

        A replay makes no message younger: it is judged by when it was enqueued first, too.

        Raises:
            RejectedMessageError: `older_than_retention`.
        """
        known = [time for time in (event.received, message.first_enqueued) if time is not None]
        if known and min(known) < now - self._oldest:
            fault = Fault(
                "received", f"within {self._oldest.days} days", format_instant(min(known))
            )
            raise RejectedMessageError("older_than_retention", (fault,))

    async def park_unexpected(
        self, failed: Sequence[tuple[IncomingMessage, Exception]]
    ) -> Ingested:
        """Park messages that failed alone, each with the error that it met."""
        now = self._clock()
        rows = [
            parked_row(message, UNEXPECTED, f"{type(error).__name__}: {error}", now)
            for message, error in failed
        ]
        bodies = [message.body for message, _ in failed]
        large = await put_large_bodies(self._blobs, zip(bodies, rows, strict=True))
        await park(self._tables, rows)
        await settle_large_bodies(self._tables, self._blobs, PARKED, large)
        return Ingested(len(failed), JournalCounts(), {UNEXPECTED: len(failed)} if failed else {})
