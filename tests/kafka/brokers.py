"""The brokers that the contract tests run on: ours, and Apache Kafka where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from local.kafka.broker import KafkaBroker
from local.ports import free_port

USER, PASSWORD = "emabler-functions", "a password, with blanks"
MOST_BYTES = 100_000
MISSING = (
    "Apache Kafka is not here: set KAFKA_HOME to a folder whose libs/ has its jars (an unpacked "
    "release, or what tests/kafka/pom.xml says), with Java 17 or later on PATH"
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=OPEN://127.0.0.1:{open},GUARDED://127.0.0.1:{guarded},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=OPEN://127.0.0.1:{open},GUARDED://127.0.0.1:{guarded}
listener.security.protocol.map=OPEN:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OPEN
sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
num.partitions=4
message.max.bytes={most_bytes}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
"""
_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"


class Kafka(Protocol):
    """A broker with two listeners: an open one, and one that asks for name and password."""

    open: str
    guarded: str

    async def stop(self) -> None:
        """End it; what it holds stays."""
        ...

    async def start(self) -> Self:
        """Start it, at first or again."""
        ...


class Ours:
    """Our broker; the guarded listener is another one, since each has one way to be met."""

    def __init__(self) -> None:
        self._open = KafkaBroker(most_bytes=MOST_BYTES)
        self._guarded = KafkaBroker(users={USER: PASSWORD})
        self.open = self.guarded = ""

    async def start(self) -> Self:
        await self._open.start()
        await self._guarded.start()
        self.open, self.guarded = self._open.bootstrap, self._guarded.bootstrap
        return self

    async def stop(self) -> None:
        await self._open.stop()
        await self._guarded.stop()


class Apache:
    """Apache Kafka on Java, a single node that is its own controller."""

    def __init__(self, home: Path, folder: Path) -> None:
        ports = {name: free_port() for name in ("open", "guarded", "controller")}
        self.open = f"127.0.0.1:{ports['open']}"
        self.guarded = f"127.0.0.1:{ports['guarded']}"
        self._classes = f"{home}/libs/*"
        self._folder = folder
        self._file = folder / "server.properties"
        self._file.write_text(
            _PROPERTIES.format(
                **ports, user=USER, password=PASSWORD, data=folder / "data", most_bytes=MOST_BYTES
            ),
            encoding="utf-8",
        )
        self._formatted = False
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Self:
        if not self._formatted:
            words = ("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._file))
            assert await (await self._java(*words)).wait() == 0
            self._formatted = True
        self._process = await self._java("kafka.Kafka", str(self._file))
        async with asyncio.timeout(60):
            while not await _answers(self.open):
                assert self._process.returncode is None, self._log().read_text("utf-8")
                await asyncio.sleep(0.1)
        return self

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()

    async def _java(self, *words: str) -> asyncio.subprocess.Process:
        with self._log().open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *("java", "-Xmx384m", "-cp", self._classes, *words), stdout=log, stderr=log
            )

    def _log(self) -> Path:
        return self._folder / "kafka.log"


def apache(folder: Path) -> Apache:
    """Apache Kafka, or the test is skipped with what is missing."""
    home = os.environ.get("KAFKA_HOME")
    if not home or not shutil.which("java"):
        pytest.skip(MISSING)
    return Apache(Path(home), folder)


def as_user(password: str = PASSWORD) -> dict[str, Any]:
    """What a client of the guarded listener says of itself."""
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": USER,
        "sasl_plain_password": password,
    }


async def _answers(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        return True
    return False
