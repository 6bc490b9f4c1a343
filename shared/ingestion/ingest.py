"""One batch of push messages into the store: all of it, or the batch comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.chargers.states import tellings_of
from shared.chargers.writer import ChargerWriter
from shared.errors import Fault, RejectedMessageError, RowRejectedError
from shared.ingestion.journal import JournalCounts, journal_row, write_journal
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.parking import UNEXPECTED, park, parked_rows
from shared.instants import Clock, format_instant
from shared.push.decode import decode
from shared.push.digest import NamedEvent, named
from shared.push.events import PushEvent, TransactionStart, TransactionStop
from shared.sessions.claims import claim_of
from shared.sessions.writer import SessionWriter
from shared.storage.bodies import MAX_BODY_BYTES
from shared.storage.rows import Row, Tables
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
        *,
        buckets: int,
        sessions: SessionWriter,
        clock: Clock,
        oldest: timedelta = timedelta(days=400),
    ) -> None:
        self._tables = tables
        self._buckets = buckets
        self._sessions = sessions
        self._chargers = ChargerWriter(tables, buckets=buckets)
        self._clock = clock
        self._oldest = oldest

    async def ingest(self, batch: Sequence[IncomingMessage]) -> Ingested:
        """Store what can be read, park what cannot.

        When it returns, all of the batch is safe. When it raises, some of it may be written; the
        same batch again, in any company and order, makes it whole.

        Raises:
            TransientError: The store is busy or away; the batch has to come again.
        """
        now = self._clock()
        events: list[NamedEvent] = []
        rows: list[Row] = []
        parked: list[list[Row]] = []
        reasons: Counter[str] = Counter()
        for message in batch:
            try:
                event = decode(message.body, message.declared_type)
                self._check_age(event, now)
                each = named(event)
                row = _journal_row(each, message, now, self._buckets)
            except RejectedMessageError as error:
                parked.append(parked_rows(message, error.code, str(error), now))
                reasons[error.code] += 1
                continue
            events.append(each)
            rows.append(row)
        claims = [
            claim_of(each.event, each.digest)
            for each in events
            if isinstance(each.event, TransactionStart | TransactionStop)
        ]
        tellings = [telling for each in events for telling in tellings_of(each)]
        journal = JournalCounts()

        async def journaled() -> None:
            nonlocal journal
            journal = await write_journal(self._tables, rows)

        async def claimed() -> None:
            await self._sessions.write(claims)

        await all_done(
            (
                journaled(),
                park(self._tables, parked),
                claimed(),
                self._chargers.write(tellings),
            )
        )
        received = [each.event.received for each in events if each.event.received is not None]
        return Ingested(len(batch), journal, dict(reasons), min(received, default=None))

    def _check_age(self, event: PushEvent, now: datetime) -> None:
        """Refuse an event whose repeat could not be recognised: retention deletes the first.

        Raises:
            RejectedMessageError: `older_than_retention`.
        """
        if event.received is not None and event.received < now - self._oldest:
            fault = Fault(
                "received", f"within {self._oldest.days} days", format_instant(event.received)
            )
            raise RejectedMessageError("older_than_retention", (fault,))

    async def park_unexpected(
        self, failed: Sequence[tuple[IncomingMessage, Exception]]
    ) -> Ingested:
        """Park messages that failed alone, each with the error that it met."""
        now = self._clock()
        await park(
            self._tables,
            (
                parked_rows(message, UNEXPECTED, f"{type(error).__name__}: {error}", now)
                for message, error in failed
            ),
        )
        return Ingested(len(failed), JournalCounts(), {UNEXPECTED: len(failed)} if failed else {})


def _journal_row(each: NamedEvent, message: IncomingMessage, now: datetime, buckets: int) -> Row:
    """The event's row in the journal.

    Raises:
        RejectedMessageError: `too_large`; its body fits no row even when it is packed.
    """
    try:
        return journal_row(each, message, now, buckets)
    except RowRejectedError as error:
        fault = Fault("body", f"{MAX_BODY_BYTES} bytes when packed", f"{len(message.body)} bytes")
        raise RejectedMessageError("too_large", (fault,)) from error
