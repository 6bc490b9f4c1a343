"""The journal: every event once, under the day of its own time, with the body as it came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.errors import RowExistsError, StoreUnavailableError
from shared.identifiers import bucket_of, key_part
from shared.ingestion.messages import IncomingMessage
from shared.instants import day_of, format_instant
from shared.push.digest import NamedEvent
from shared.push.events import (
    ChargerBoot,
    Measurements,
    PushEvent,
    TransactionStart,
    TransactionStop,
    type_name,
)
from shared.storage import limits
from shared.storage.bodies import body_columns
from shared.storage.rows import SCHEMA, Insert, Operation, Row, Tables, Value, address
from shared.storage.tables import EVENTS
from shared.storage.together import all_done

UNDATED = "undated"
_MAX_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class JournalCounts:
    """How many events were new to the journal.

    `exact` is False where what was met may be what this delivery wrote itself a moment before: then
    `stored` is at most so many, and `repeated` at least.
    """

    stored: int = 0
    repeated: int = 0
    exact: bool = True

    def __add__(self, other: JournalCounts) -> JournalCounts:
        return JournalCounts(
            self.stored + other.stored,
            self.repeated + other.repeated,
            self.exact and other.exact,
        )


def journal_row(
    named: NamedEvent, message: IncomingMessage, received: datetime, buckets: int
) -> Row:
    """The event's row. Both keys are functions of its content; `received` is our clock's instant.

    The columns of first receipt are `stored_at`, `received`, `enqueued`, `message_id` and the
    body, with what is read off that body alone (`generation`, `flags`): of equal events any one
    of them is kept.
    """
    event, digest = named.event, named.digest
    name = type_name(event)
    instant = format_instant(event.instant) if event.instant else UNDATED
    day = day_of(event.instant) if event.instant else UNDATED
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "type": name,
        "generation": str(event.generation),
        "charger": event.charger,
        "instant": instant,
        "digest": digest,
        "stored_at": format_instant(received),
    }
    if not isinstance(event, ChargerBoot) and isinstance(socket := _socket(event), int):
        columns["socket"] = socket
    if isinstance(event, TransactionStart | TransactionStop | Measurements) and event.transaction:
        columns["transaction"] = event.transaction
    if event.received:
        columns["received"] = format_instant(event.received)
    if enqueued := message.first_enqueued or message.enqueued:
        columns["enqueued"] = format_instant(enqueued)
    if message.message_id:
        columns["message_id"] = message.message_id
    if event.flags:
        columns["flags"] = ",".join(event.flags)
    partition = f"{bucket_of(event.charger, buckets)}-{day}"
    return Row(
        partition,
        f"{name}|{key_part(event.charger)}|{instant}|{digest}",
        columns | body_columns(message.body, f"{EVENTS}/{partition}/{digest}"),
    )


def _socket(event: PushEvent) -> int | None:
    socket = getattr(event, "socket", None)
    return socket if isinstance(socket, int) else None


async def write_journal(
    tables: Tables, rows: Iterable[Row], *, again: bool = False
) -> JournalCounts:
    """Write rows that may be there already: one request for a group of new ones.

    Of a group that meets existing rows each is read, and those that are not there are written: what
    is there stays as it is, also as an erasure left it.

    `again`: the same rows were tried a moment ago, so that those which exist may be ours.
    """
    partitions: dict[str, dict[str, Row]] = {}
    repeated = 0
    for row in rows:
        partition = partitions.setdefault(row.partition, {})
        repeated += row.key in partition
        partition.setdefault(row.key, row)
    groups = [
        group
        for partition in partitions.values()
        for group in limits.transactions([Insert(row) for row in partition.values()])
    ]
    counts = await all_done(_write_group(tables, group, again=again) for group in groups)
    return sum(counts, start=JournalCounts(repeated=repeated))


async def _write_group(tables: Tables, group: Sequence[Operation], *, again: bool) -> JournalCounts:
    left, own = list(group), again
    for _ in range(_MAX_ROUNDS):
        try:
            if left:
                await tables.write(EVENTS, left)
        except RowExistsError as error:
            own = own or error.after_retry
            left = await _missing(tables, left)
            continue
        if own and len(left) < len(group):
            # What it met may be what it wrote itself: nothing of it counts as a repeat.
            return JournalCounts(len(group), 0, exact=False)
        return JournalCounts(len(left), len(group) - len(left))
    raise StoreUnavailableError("rows of the journal kept coming", code="store_contended")


async def _missing(tables: Tables, group: Sequence[Operation]) -> list[Operation]:
    """Those inserts of a group that would meet no row now."""

    async def is_there(operation: Operation) -> bool:
        return await tables.get(EVENTS, *address(operation)) is not None

    there = await all_done(map(is_there, group))
    return [each for each, known in zip(group, there, strict=True) if not known]
