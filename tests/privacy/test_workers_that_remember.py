"""An erasure beside workers that were warm before it: what they remember brings nobody back."""

from __future__ import annotations

import pytest

from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, TAGS
from tests import payloads
from tests.privacy.test_privacy import END, KEY, NOW, TAG, Store

START = payloads.start_v2(authorizedIdTag=TAG)
STOP = payloads.full_v2(authorizedIdTag=TAG, **END)
NAMELESS_STOP = payloads.full_v2(authorizedIdTag=None, **END)


@pytest.fixture
def store() -> Store:
    return Store(MemoryTables(*ALL_TABLES), MemoryBlobs(*ALL_CONTAINERS))


def worker(store: Store) -> Ingestion:
    writer = SessionWriter(store.tables, buckets=4, tag_hash_key=KEY)
    return Ingestion(store.tables, store.blobs, buckets=4, sessions=writer, clock=lambda: NOW)


@pytest.mark.parametrize("again", [START, NAMELESS_STOP], ids=["start", "stop without a tag"])
async def test_a_warm_worker_brings_no_row_back(store: Store, again: bytes) -> None:
    """It opened the session, the person was erased: a repeat or the end names nobody."""
    warm = worker(store)
    await warm.ingest([IncomingMessage(body=START)])
    await store.erase()

    await warm.ingest([IncomingMessage(body=again)])

    assert await store.rows(TAGS) == []
    assert await store.occurrences() == []


async def test_what_is_told_anew_is_found_by_the_next_erasure(store: Store) -> None:
    """The end comes after the erasure and names the tag: its own row leads there."""
    await store.take(START)
    await store.erase()

    await store.take(STOP)
    told = await store.occurrences()
    report = await store.erase()

    assert [place.split()[0] for place in told] == ["events"]
    assert (report.sessions, report.left) == (1, {})
    assert await store.occurrences() == []
    assert await store.rows(TAGS) == []


async def test_a_row_under_a_tag_that_was_not_written_is_written_by_the_next_delivery(
    store: Store,
) -> None:
    """What a worker remembers is written with all that follows from it, or not remembered."""
    warm = worker(store)
    tables = store.tables
    assert isinstance(tables, MemoryTables)
    quiet = tables.pause

    async def away(table: str, moment: str) -> None:
        if (table, moment) == (TAGS, "before_write"):
            raise ConnectionError

    tables.pause = away
    with pytest.raises(ConnectionError):
        await warm.ingest([IncomingMessage(body=START)])
    tables.pause = quiet
    assert await store.rows(TAGS) == []

    await warm.ingest([IncomingMessage(body=START)])

    assert len(await store.rows(TAGS)) == 1
