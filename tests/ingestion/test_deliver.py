"""A delivered batch: weather is outlasted, what fails alone is parked, mistakes fail as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from shared.errors import (
    FunctionDisabledError,
    RowExistsError,
    RowRejectedError,
    StoreUnavailableError,
)
from shared.ingestion.deliver import Delivery
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted, outlast, patience
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED, TAGS
from tests import payloads

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Time:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def elapsed(self) -> float:
        return self.now


async def nothing_against_it() -> None:
    return


def delivery(tables: MemoryTables, time: Time) -> Delivery:
    writer = SessionWriter(tables, buckets=4, tag_hash_key=b"k" * 32)
    ingestion = Ingestion(
        tables, MemoryBlobs(*ALL_CONTAINERS), buckets=4, sessions=writer, clock=lambda: NOW
    )
    return Delivery(
        ingestion,
        guard=nothing_against_it,
        longest_wait=120,
        clock=lambda: NOW,
        sleep=time.sleep,
        elapsed=time.elapsed,
    )


def batch(*bodies: bytes, deliveries: int = 1) -> list[IncomingMessage]:
    return [IncomingMessage(body=body, delivery_count=deliveries) for body in bodies]


@pytest.mark.parametrize(
    ("deliveries", "seconds"),
    [(1, 10), (2, 20), (3, 40), (4, 80), (5, 120), (99, 120), (5000, 120)],
)
def test_each_delivery_waits_longer_than_the_one_before(deliveries: int, seconds: float) -> None:
    """A delivery waits min(5·2^n, 120) seconds at most."""
    assert patience(batch(b"{}", deliveries=deliveries), NOW, 120) == seconds


def test_no_delivery_waits_past_its_locks() -> None:
    """The earliest lock less a minute bounds the wait; one that is over leaves none."""
    locked = [
        IncomingMessage(body=b"{}", delivery_count=9, locked_until=NOW + timedelta(seconds=seconds))
        for seconds in (300, 90)
    ]

    assert patience(locked, NOW, 120) == 30
    assert patience(locked, NOW + timedelta(seconds=200), 120) == 0


async def test_a_store_that_comes_back_in_time_is_outlasted() -> None:
    """A transient error is tried again after a pause; nothing of the batch is lost or parked."""
    tables, time = MemoryTables(*ALL_TABLES), Time()

    async def away(_table: str, _moment: str) -> None:
        if time.now < 5:
            raise StoreUnavailableError("busy")

    tables.pause = away
    told = Outlasted()

    done = await delivery(tables, time).take(batch(payloads.state_v2(), b"poison"), told)

    assert (done.journal.stored, done.parked) == (1, {"not_json": 1})
    assert told.attempts > 2
    assert told.waited == pytest.approx(time.now)


@pytest.mark.parametrize(("deliveries", "seconds"), [(1, 10), (3, 40), (5, 120), (99, 120)])
async def test_a_store_that_stays_away_fails_the_batch_and_parks_nothing(
    deliveries: int, seconds: float
) -> None:
    """When the time is used up, and not before, the error is raised; no message is blamed."""
    tables, time = MemoryTables(*ALL_TABLES), Time()
    tried: list[float] = []

    async def away(_table: str, _moment: str) -> None:
        tried.append(time.now)
        raise StoreUnavailableError("busy")

    tables.pause = away
    waiting = batch(payloads.state_v2(), b"poison", deliveries=deliveries)

    with pytest.raises(StoreUnavailableError):
        await delivery(tables, time).take(waiting, Outlasted())

    assert tables.rows(PARKED) == tables.rows(EVENTS) == []
    assert time.now == tried[-1] == pytest.approx(seconds)


async def test_pauses_become_longer_up_to_a_limit() -> None:
    """From half a second to 15 s, each by chance between half and all of what it may be."""
    time = Time()

    async def away() -> None:
        raise StoreUnavailableError("busy")

    with pytest.raises(StoreUnavailableError):
        await outlast(
            away, 120, Outlasted(), sleep=time.sleep, elapsed=time.elapsed, random=Random(7)
        )

    most = [0.5, 1, 2, 4, 8, *[15] * 10]
    pairs = list(zip(time.pauses[:-1], most, strict=False))
    assert all(longest / 2 <= pause <= longest for pause, longest in pairs)
    # The last one is cut short: the last attempt begins when the time is used up.
    assert time.pauses[-1] <= 15
    assert time.now == pytest.approx(120)


async def test_a_message_that_fails_alone_is_parked_and_its_neighbours_are_stored() -> None:
    """An unexpected error is narrowed down to its message in the same invocation."""
    tables, time = MemoryTables(*ALL_TABLES), Time()
    bodies = [payloads.state_v2(chargerId=f"CH-{n}") for n in range(9)]

    class Trap(MemoryTables):
        async def write(self, table: str, operations):  # type: ignore[no-untyped-def]
            if table == EVENTS and any("CH-5" in op.row.key for op in operations):
                raise RowRejectedError("the store refused the request")
            return await tables.write(table, operations)

        async def get(self, table: str, partition: str, key: str):  # type: ignore[no-untyped-def]
            return await tables.get(table, partition, key)

    done = await delivery(Trap(), time).take(batch(*bodies), Outlasted())

    assert done.received == 9
    assert done.parked == {"unexpected": 1}
    (parked,) = tables.rows(PARKED)
    assert b"".join(v for n, v in parked.columns.items() if n.startswith("body_")) == bodies[5]  # type: ignore[misc]
    assert "RowRejectedError" in str(parked.columns["detail"])
    assert len(tables.rows(EVENTS)) == 8


async def test_a_mistake_that_meets_every_message_parks_none() -> None:
    """When no message of a batch succeeds, the mistake is no message's: the batch fails whole."""
    tables, time = MemoryTables(*ALL_TABLES), Time()

    async def broken(table: str, _moment: str) -> None:
        if table == EVENTS:
            message = "a mistake of ours"
            raise ValueError(message)

    tables.pause = broken

    with pytest.raises(ValueError, match="a mistake of ours"):
        await delivery(tables, time).take(
            batch(payloads.state_v2(), payloads.boot_v2()), Outlasted()
        )

    assert tables.rows(PARKED) == []


async def test_a_disabled_ingestion_lets_messages_wait() -> None:
    """A wrong setting is weather to the messages: each attempt asks again, nothing is written."""
    tables, time = MemoryTables(*ALL_TABLES), Time()
    asked = 0

    async def guard() -> None:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise FunctionDisabledError("TAG_HASH_KEY is not set")

    writer = SessionWriter(tables, buckets=4, tag_hash_key=b"k" * 32)
    ingestion = Ingestion(
        tables, MemoryBlobs(*ALL_CONTAINERS), buckets=4, sessions=writer, clock=lambda: NOW
    )
    waiting = Delivery(
        ingestion, guard=guard, longest_wait=120, clock=lambda: NOW, sleep=time.sleep
    )

    done = await waiting.take(batch(payloads.state_v2()), Outlasted())

    assert done.journal.stored == 1
    assert len(time.pauses) == 2


async def test_a_conflict_that_nobody_decided_is_weather() -> None:
    """A 409 to an upsert says nothing of the messages: none is parked, and the batch waits."""
    tables, time = MemoryTables(*ALL_TABLES), Time()
    refusals = 3
    quiet = tables.pause

    async def refuses(table: str, moment: str) -> None:
        nonlocal refusals
        if (table, moment) == (TAGS, "before_write"):
            refusals -= 1
            if not refusals:
                tables.pause = quiet
            raise RowExistsError("the row exists")

    tables.pause = refuses
    told = Outlasted()

    done = await delivery(tables, time).take(batch(payloads.start_v2(), payloads.boot_v2()), told)

    assert (told.attempts, done.parked) == (4, {})
    assert tables.rows(PARKED) == []
    assert len(tables.rows(TAGS)) == 1
