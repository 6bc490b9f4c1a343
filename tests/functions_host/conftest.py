"""One broker for the tests that need Service Bus."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator

import pytest

from local.functions_host.process import FunctionsHost
from local.service_bus import Queue, ServiceBusBroker
from tests.functions_host.support import Sender, copy_app

QUEUES = [
    Queue("quickstart-single"),
    Queue("quickstart-batch"),
    Queue("echo-batches"),
    Queue("echo-singles"),
    Queue("batches", max_deliveries=3),
    Queue("held"),
    Queue("gathered"),
    Queue("singles", lock_seconds=3, max_deliveries=3),
]
ECHO_SETTINGS = {
    "Values": {
        "Schedule": "0 0 0 1 1 *",
        "FromFile": "file",
        "FromBoth": "file",
        "AzureWebJobs.switched_off.Disabled": "true",
    },
    "Host": {"CORS": "https://portal.example"},
}


@pytest.fixture(scope="package")
async def broker() -> AsyncIterator[ServiceBusBroker]:
    """A broker in memory."""
    node = os.environ.get("NODE", "node")
    async with await ServiceBusBroker.start(QUEUES, node=node) as broker:
        yield broker


@pytest.fixture(scope="package")
async def sender(broker: ServiceBusBroker) -> AsyncIterator[Sender]:
    """Sends messages to the broker."""
    async with Sender(broker.connection_string) as sender:
        yield sender


@pytest.fixture(scope="package")
async def echo(
    broker: ServiceBusBroker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FunctionsHost]:
    """A host on the echo app."""
    files = {"local.settings.json": json.dumps(ECHO_SETTINGS)}
    app = copy_app("echo", tmp_path_factory.mktemp("echo"), files)
    settings = {"ServiceBus": broker.connection_string, "FromBoth": "environment"}
    async with await FunctionsHost.start(app=app, settings=settings) as host:
        yield host
