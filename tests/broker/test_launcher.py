"""The broker as a process: how it starts, what it says when it cannot, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from local.errors import LocalError, StartError
from local.ports import LOOPBACK
from local.service_bus import MAIN, Queue, ServiceBusBroker


async def run(node: str, *arguments: str) -> tuple[int, str, str]:
    """Run the broker until it ends; give exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        node,
        str(MAIN),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_help_is_printed_and_nothing_started(node: str) -> None:
    """`--help` prints the options and ends well."""
    code, out, err = await run(node, "--help")
    assert code == 0
    assert "--exit-with-stdin" in out
    assert err == ""


async def test_wrong_usage_is_told_in_one_line(node: str) -> None:
    """A wrong option gives one JSON line on standard error and exit code 2."""
    code, out, err = await run(node, "--queue", "q:lock=never")
    assert (code, out) == (2, "")
    said = json.loads(err)
    assert (said["event"], said["code"]) == ("error", "usage")
    assert "lock must be a number from 1 to 300" in said["message"]


async def test_a_taken_port_is_told_in_one_line(broker: ServiceBusBroker, node: str) -> None:
    """A port in use, for AMQP or control, gives `port_in_use` and exit code 2."""
    taken = str(broker.amqp_port)
    for option in ("--port", "--control-port"):
        code, out, err = await run(node, "--queue", "q", option, taken)
        assert (code, out) == (2, "")
        said = json.loads(err)
        assert said["code"] == "port_in_use"
        assert taken in said["message"]


async def test_the_launcher_raises_what_the_broker_says(
    broker: ServiceBusBroker, node: str
) -> None:
    """The broker's own error comes out of `start`, with its code."""
    with pytest.raises(LocalError, match="in use") as caught:
        await ServiceBusBroker.start([Queue("q")], port=broker.amqp_port, node=node)
    assert caught.value.code == "port_in_use"


async def test_a_program_that_is_no_broker_is_told_with_its_last_words(tmp_path: Path) -> None:
    """A process that ends before it listens raises StartError with what it said."""
    stand_in = tmp_path / "node"
    stand_in.write_text(f"#!{sys.executable}\nprint('I am not Node')\n")
    stand_in.chmod(0o700)
    with pytest.raises(StartError, match="I am not Node"):
        await ServiceBusBroker.start([Queue("q")], node=str(stand_in))
    with pytest.raises(StartError, match="No such file"):
        await ServiceBusBroker.start([Queue("q")], node=str(tmp_path / "missing"))


async def test_stopping_ends_the_process_and_frees_its_port(node: str) -> None:
    """After `stop()` the process is gone and nobody listens; stopping again does no harm."""
    async with await ServiceBusBroker.start([Queue("q")], node=node) as broker:
        was_running = broker.running
        assert f"sb://{LOOPBACK}:{broker.amqp_port};" in broker.connection_string
        await broker.stop()
        assert (was_running, broker.running) == (True, False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, broker.amqp_port)
    with pytest.raises(LocalError, match="does not run"):
        await broker.counts("q")


async def test_a_killed_broker_comes_back_on_its_ports(node: str) -> None:
    """`restart()` takes the same ports, so that clients find it again."""
    async with await ServiceBusBroker.start([Queue("q")], node=node) as broker:
        before = (broker.amqp_port, broker.control_port, broker.pid)
        await broker.kill()
        assert not broker.running
        await broker.restart()
        assert (broker.amqp_port, broker.control_port) == before[:2]
        assert broker.pid != before[2]
        assert (await broker.counts("q")).active == 0


async def test_the_broker_ends_with_its_parent(node: str) -> None:
    """With `--exit-with-stdin` the end of standard input ends the broker, cleanly."""
    process = await asyncio.create_subprocess_exec(
        node,
        str(MAIN),
        *("--queue", "q", "--exit-with-stdin"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    assert set(ready) == {"event", "amqpPort", "controlPort", "pid"}
    assert (ready["event"], ready["pid"]) == ("ready", process.pid)
    process.stdin.close()
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, out) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_a_signal_ends_the_broker_cleanly(node: str, name: str) -> None:
    """SIGTERM and SIGINT end the process with exit code 0."""
    process = await asyncio.create_subprocess_exec(
        node,
        str(MAIN),
        *("--queue", "q"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 20)
    os.kill(process.pid, getattr(signal, name))
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0


async def test_a_queue_of_the_launcher_is_one_of_the_broker(node: str) -> None:
    """Every setting of `Queue` is understood by the broker."""
    queue = Queue(
        "all/settings.set_to-something",
        lock_seconds=2.5,
        max_deliveries=7,
        ttl_seconds=0.25,
        dead_letter_on_expiry=True,
        sessions=True,
        max_message_bytes=2048,
        size_megabytes=5,
    )
    async with await ServiceBusBroker.start([queue, Queue("plain")], node=node) as broker:
        assert (await broker.counts(queue.name)).waiting == 0
        with pytest.raises(LocalError, match="no queue 'other'"):
            await broker.counts("other")


async def test_the_control_interface_refuses_what_it_does_not_know(
    broker: ServiceBusBroker,
) -> None:
    """Unknown requests, wrong bodies and web pages get 4xx with a code."""
    async with httpx.AsyncClient(base_url=broker.control_url, trust_env=False) as client:
        page = {"origin": "http://example.org"}
        cases = [
            (await client.get("/nothing"), 404, "route_unknown"),
            (await client.post("/queues/main/empty"), 404, "route_unknown"),
            (await client.post("/queues/none/purge"), 404, "queue_unknown"),
            (await client.post("/queues/%ff/purge"), 400, "argument_wrong"),
            (await client.put("/faults", content=b"{"), 400, "argument_wrong"),
            (await client.put("/faults", content=b"7"), 400, "argument_wrong"),
            (await client.put("/faults", content=b" " * 70_000), 413, "body_too_large"),
            (await client.post("/time/advance", json={"seconds": -1}), 400, "argument_wrong"),
            (await client.post("/time/advance", json={}), 400, "argument_wrong"),
            (await client.get("/queues", headers=page), 403, "origin_refused"),
        ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
