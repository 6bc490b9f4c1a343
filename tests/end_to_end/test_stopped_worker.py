"""The worker's process is ended at each write of a batch in turn: the same store each time."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest

from local.processes import until
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.instants import system_clock
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, STORE
from tests import payloads
from tests.end_to_end.app import BUCKETS, HASH_KEY, QUEUE, App, running_app
from tests.stores import Content, content, whole

MESSAGES = 5
MOST_WRITES = 20
# All but the notes of when a function ran, which are written beside the batch.
EVERY_WRITE = "slow table=!store kind=write"


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    service_bus = "AzureFunctionsJobHost__extensions__serviceBus__"
    settings = {
        # The five messages of a batch come together, each time.
        f"{service_bus}minMessageBatchSize": str(MESSAGES),
        f"{service_bus}maxBatchWaitTime": "00:00:30",
    }
    async with running_app(tmp_path_factory.mktemp("stopped"), settings=settings) as app:
        yield app


def earlier(charger: str) -> list[bytes]:
    """A session that is under way before the batch comes."""
    return [payloads.start_v2(chargerId=charger, transactionId="1")]


def batch(charger: str) -> list[bytes]:
    """Its stop, the start of another one, a state, meter values, and a message that is none."""
    return [
        payloads.full_v2(chargerId=charger, transactionId="1"),
        payloads.start_v2(chargerId=charger, transactionId="2", authorizedIdTag="OTHER"),
        payloads.state_v2(chargerId=charger),
        payloads.measurements(chargerId=charger, transactionId="1"),
        f"poison of {charger}".encode(),
    ]


async def undisturbed(charger: str) -> Content:
    """What the same messages leave on the fake, with nobody there to disturb."""
    tables = MemoryTables(*ALL_TABLES)
    writer = SessionWriter(tables, buckets=BUCKETS, tag_hash_key=HASH_KEY.encode())
    blobs = MemoryBlobs(*ALL_CONTAINERS)
    ingestion = Ingestion(tables, blobs, buckets=BUCKETS, sessions=writer, clock=system_clock)
    for bodies in (earlier(charger), batch(charger)):
        await ingestion.ingest([IncomingMessage(body=body) for body in bodies])
    return await content(tables)


async def found(app: App, charger: str) -> Content:
    """All rows that have to do with one charger, in all tables but the stamp's."""
    return {
        table: whole(table, await app.rows(table, lambda row: charger in repr(row)))
        if table != STORE
        else []
        for table in ALL_TABLES
    }


async def kill_the_worker(app: App) -> None:
    """End the worker's process as abruptly as can be; the host starts another."""
    for pid in await app.host.worker_pids():
        os.kill(pid, signal.SIGKILL)


async def calm(app: App, charger: str) -> int:
    """Play a batch undisturbed; how many writes it took."""
    rule = app.proxy.add(f"{EVERY_WRITE} nth=1000000")
    await app.send(batch(charger))
    await app.drained()
    (state,) = app.proxy.counts().rules
    app.proxy.remove(rule)
    assert await found(app, charger) == await undisturbed(charger)
    return state.matched


async def stopped(app: App, nth: int, moment: str, charger: str) -> bool:
    """Play a batch and kill the worker at its n-th write; False where there was none."""
    rule = app.proxy.add(f"{EVERY_WRITE} nth={nth} before={moment}")
    await app.send(batch(charger))

    async def held_or_done() -> str | None:
        if app.proxy.counts().held:
            return "held"
        return None if (await app.broker.counts(QUEUE)).waiting else "done"

    what = await until(held_or_done, within=60, what=f"write {nth}", every=0.005)
    if what == "held":
        await kill_the_worker(app)
    app.proxy.remove(rule)
    await app.drained()
    expected = await undisturbed(charger)
    # Held before it was forwarded, the write has not been done to this moment.
    assert await found(app, charger) == expected, (nth, moment)
    await app.proxy.settle()
    assert await found(app, charger) == expected, (nth, moment)
    return what == "held"


@pytest.mark.timeout(300)
async def test_a_worker_stopped_at_any_write_leaves_what_it_would_have_left(app: App) -> None:
    """SIGKILL before a write is done and after it, each write in turn; the batch comes again.

    The write is held at the proxy while the worker is killed. Where it was held before it was
    done, the store is compared twice: without that write, and when it has arrived at last.
    """
    moments = ("forwarding", "answering")
    chargers = {m: [f"CH-{m}-{n:02d}" for n in range(MOST_WRITES)] for m in moments}
    await app.send([b for each in chargers.values() for c in each for b in earlier(c)])
    await app.send(earlier("CH-calm"))
    await app.drained()
    # Whoever is started after a kill remembers nothing of the chargers, and so does this one.
    await kill_the_worker(app)
    writes = await calm(app, "CH-calm")

    for moment, each in chargers.items():
        stops = 0
        while await stopped(app, stops + 1, moment, each[stops]):
            stops += 1
        assert stops == writes, moment

    assert writes > MESSAGES
    assert await app.dead() == 0
    assert (await app.broker.counts(QUEUE)).totals.abandoned >= 2 * writes * MESSAGES
