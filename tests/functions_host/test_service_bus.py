"""Service Bus functions end to end: what they get, how messages are settled, what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.servicebus import ServiceBusMessage

from local.functions_host.process import FunctionFailedError, FunctionsHost
from local.processes import ChildProcess
from local.service_bus import Queue, ServiceBusBroker
from tests.functions_host.support import Sender, copy_app, logged, settled

REPOSITORY = Path(__file__).resolve().parents[2]


class Gate:
    """Lets the functions of the app `batches` go on, or makes them wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, name: str) -> None:
        (self.folder / name).touch()

    def close(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the gates."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
async def host(
    broker: ServiceBusBroker, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FunctionsHost]:
    """A host on the app `batches`."""
    settings = _settings(broker, folder)
    app = copy_app("batches", tmp_path_factory.mktemp("batches"))
    async with await FunctionsHost.start(app=app, settings=settings) as host:
        yield host


@pytest.fixture
def gate(folder: Path) -> Gate:
    """Every gate closed."""
    gate = Gate(folder)
    gate.close()
    return gate


def _settings(broker: ServiceBusBroker, gates: Path, queue: str = "batches") -> dict[str, str]:
    return {
        "ServiceBus": broker.connection_string,
        "BatchQueue": queue,
        "GATE": str(gates),
    }


def _told(console: str, word: str) -> Any:
    line = next(line for line in console.splitlines() if f"(echo): {word} " in line)
    return json.loads(line.split(f"(echo): {word} ")[1])


async def test_a_batch_arrives_with_its_metadata(echo: FunctionsHost, sender: Sender) -> None:
    """Bytes as they came, ids, properties; the delivery count from 1; naive enqueued time."""
    await sender.send(
        "echo-batches",
        ServiceBusMessage(
            b"\xff\x00",
            message_id="first",
            correlation_id="c",
            content_type="text/plain",
            subject="s",
            application_properties={"text": "é", "number": 5},
        ),
        ServiceBusMessage(b"", message_id="second", correlation_id="d"),
    )
    first, second = _told(await logged(echo, "(echo): batch "), "batch")
    assert (bytes.fromhex(first["body"]), second["body"]) == (b"\xff\x00", "")
    assert (first["message_id"], second["message_id"]) == ("first", "second")
    assert (first["correlation_id"], second["correlation_id"]) == ("c", "d")
    assert (first["content_type"], first["subject"]) == ("text/plain", "s")
    assert (first["properties"], second["properties"]) == ({"text": "é", "number": 5}, {})
    assert first["delivery_count"] == 1
    assert second["sequence_number"] == first["sequence_number"] + 1
    assert len(first["lock_token"]) == 36
    assert "+" not in first["enqueued"]
    assert first["locked_until"] == "None"


async def test_a_single_message_arrives_with_its_metadata(
    echo: FunctionsHost, sender: Sender
) -> None:
    """The same facts, without arrays."""
    await sender.send("echo-singles", ServiceBusMessage("é", message_id="one", subject="s"))
    told = _told(await logged(echo, "(echo): single "), "single")
    assert bytes.fromhex(told["body"]).decode() == "é"
    assert (told["message_id"], told["subject"], told["delivery_count"]) == ("one", "s", 1)
    assert told["correlation_id"] is None


async def test_a_service_bus_function_can_be_run_by_its_name(echo: FunctionsHost) -> None:
    """The input is the body of the one message."""
    await echo.run_function("batch", "by hand")
    assert b"by hand".hex() in await logged(echo, b"by hand".hex())


async def test_a_batch_is_completed_when_its_function_succeeds(
    host: FunctionsHost, broker: ServiceBusBroker, sender: Sender, gate: Gate
) -> None:
    """No more at once than host.json says, one batch after the other."""
    gate.open("batch")
    before = (await broker.counts("batches")).totals.completed
    await sender.send("batches", *(b"%d" % n for n in range(25)))
    counts = await settled(broker, "batches")
    assert counts.totals.completed == before + 25
    assert "batch begins: 10 deliveries=1" in host.log_text()


async def test_a_batch_is_abandoned_when_its_function_fails(
    host: FunctionsHost, broker: ServiceBusBroker, sender: Sender, gate: Gate
) -> None:
    """Every message comes again until the queue gives up on it."""
    gate.open("batch")
    before = (await broker.counts("batches")).totals
    await sender.send("batches", b"good", b"poison")
    counts = await settled(broker, "batches")
    assert counts.totals.abandoned - before.abandoned == 6
    assert counts.dead_lettered == 2
    assert "batch begins: 2 deliveries=3" in host.log_text()
    await broker.purge("batches")


async def test_a_killed_worker_gives_its_batch_back(
    host: FunctionsHost, broker: ServiceBusBroker, sender: Sender, gate: Gate
) -> None:
    """Its messages come again to the next worker, at once; its HTTP request answers 500."""
    (before,) = await host.worker_pids()
    known = host.log_text().count("batch begins")
    await sender.send("batches", *(b"%d" % n for n in range(5)))
    await logged(host, "batch begins", times=known + 1)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        hanging = asyncio.create_task(http.get(f"{host.url}/api/hangs"))
        await logged(host, "hangs begins")
        os.kill(before, 9)
        answer = await hanging
    assert (answer.status_code, answer.content) == (500, b"")
    await logged(host, "batch begins: 5 deliveries=2")
    gate.open("batch")
    assert (await settled(broker, "batches")).totals.expired_locks == 0
    (after,) = await host.worker_pids()
    assert after != before
    await logged(host, f"process {before} was ended by SIGKILL")


async def test_single_messages_run_side_by_side_with_their_locks_renewed(
    host: FunctionsHost, broker: ServiceBusBroker, sender: Sender, gate: Gate
) -> None:
    """MaxConcurrentCalls at once; held for longer than a lock, they are delivered only once."""
    await sender.send("singles", *(ServiceBusMessage(b"", message_id=f"m{n}") for n in range(4)))
    await logged(host, "single begins", times=3)
    # The locks last 3 s: what is waited for is that they would have ended.
    await asyncio.sleep(3.3)
    assert host.log_text().count("single begins") == 3
    assert (await broker.counts("singles")).totals.expired_locks == 0
    gate.open("single")
    counts = await settled(broker, "singles")
    assert (counts.totals.completed, counts.totals.delivered) == (4, 4)
    assert host.log_text().count("single ends") == 4


async def test_a_lost_broker_is_reported_once_and_found_again(tmp_path: Path) -> None:
    """Drop, missing entity, crash and return: each is said once, and messages are processed."""
    (tmp_path / "batch").touch()
    node = os.environ.get("NODE", "node")
    async with await ServiceBusBroker.start([Queue("batches")], node=node) as broker:
        settings = _settings(broker, tmp_path)
        app = copy_app("batches", tmp_path)
        async with await FunctionsHost.start(app=app, settings=settings) as host:
            await logged(host, "batch listens to queue %BatchQueue%.")
            missing = "single cannot receive from queue singles: there is no queue singles."
            await logged(host, missing)
            await broker.drop_connections()
            async with Sender(broker.connection_string) as sender:
                await sender.send("batches", b"after the drop")
            await logged(host, "batch ends:")
            await broker.kill()
            lost = "batch cannot receive from queue %BatchQueue%: it cannot be reached."
            await logged(host, lost)
            await broker.restart()
            await logged(host, "batch listens to queue %BatchQueue% again.")
            async with Sender(broker.connection_string) as sender:
                await sender.send("batches", b"after the restart")
            await logged(host, "batch ends:", times=2)
            console = host.log_text()
        assert console.count(lost) == 1
        # It was missing, then out of reach with the broker, then missing again.
        assert console.count(missing) <= 2


async def test_a_failed_run_by_name_of_a_message(host: FunctionsHost, gate: Gate) -> None:
    """A message that no queue holds fails like any other."""
    gate.open("batch")
    with pytest.raises(FunctionFailedError) as caught:
        await host.run_function("batch", "poison")
    assert "ValueError: poison" in caught.value.text


async def test_a_batch_that_outlasts_the_grace_is_given_back(
    broker: ServiceBusBroker, sender: Sender, tmp_path: Path
) -> None:
    """A host that stops abandons what it must cut off: no lock is left to wait for."""
    app = copy_app("batches", tmp_path)
    child = await ChildProcess.start(
        "the Functions host",
        [sys.executable, "-m", "local.functions_host", "--app", app, "--port", "0", "--grace", "0"],
        log=tmp_path / "host.log",
        env={**os.environ, **_settings(broker, tmp_path / "closed", "held")},
        cwd=REPOSITORY,
    )
    async with child:
        await sender.send("held", b"1", b"2")
        await child.wait_for_line(lambda line: "batch begins" in line or None, within=30)
        assert await child.stop(grace=15) == 0
    counts = await broker.counts("held")
    assert (counts.active, counts.locked, counts.totals.abandoned) == (2, 0, 2)
