"""The stack: what it gives to the app, and that nothing stays behind when a start fails."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from local.data_folder import DataFolder
from local.errors import LocalError
from local.ports import Ports, port_is_free
from local.stack import EVERYDAY, LocalAzure, Part

QUICK = (Part.BROKER, Part.EMABLER)


async def test_the_settings_lead_to_the_parts(tmp_path: Path) -> None:
    """The app settings name the parts' addresses; overrides come on top; secrets are long."""
    azure = LocalAzure(data=tmp_path, parts=QUICK, overrides={"STORE_BUCKETS": "8"})
    async with azure:
        settings = azure.settings
        assert settings["ServiceBusConnection"] == azure.broker.connection_string
        assert settings["EMABLER_BASE_URL"] == azure.emabler.base_url
        assert settings["EMABLER_API_KEY"] == azure.emabler.api_key
        assert settings["PUSH_QUEUE_NAME"] == "push-events"
        assert settings["STORE_BUCKETS"] == "8"
        assert len(settings["TAG_HASH_KEY"]) >= 32
        assert "DataStorageConnection" not in settings
        assert (await azure.broker.counts("push-events")).waiting == 0
        with pytest.raises(LocalError, match="Azurite was not started"):
            _ = azure.azurite
    assert azure.data is None


async def test_telemetry_is_captured_where_it_is_asked_for(tmp_path: Path) -> None:
    """With the part the app is told where to send; without it, nothing of it is there."""
    async with LocalAzure(data=tmp_path, parts=(Part.BROKER, Part.INSIGHTS)) as azure:
        told = azure.settings["APPLICATIONINSIGHTS_CONNECTION_STRING"]
        assert told == azure.insights.connection_string
        assert azure.insights.file.is_relative_to(tmp_path)
    assert Part.INSIGHTS not in EVERYDAY
    async with LocalAzure(data=tmp_path, parts=(Part.BROKER,)) as azure:
        assert "APPLICATIONINSIGHTS_CONNECTION_STRING" not in azure.settings


async def test_a_start_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """When one part cannot start, the others are stopped and the data folder is let go."""
    azure = LocalAzure(data=tmp_path, parts=QUICK)
    async with azure:
        ports = Ports(broker=azure.broker.amqp_port, emabler=azure.emabler.port)
    assert port_is_free(ports.broker)

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", ports.emabler))
        listener.listen()
        with pytest.raises(LocalError) as caught:
            await LocalAzure(data=tmp_path, parts=QUICK, ports=ports).start()

    assert "eMabler's REST server" in str(caught.value)
    assert port_is_free(ports.broker)
    DataFolder.open(tmp_path).close()


async def test_a_part_that_ends_by_itself_is_named(tmp_path: Path) -> None:
    """Waiting on a running stack ends with an error that names the part that died."""
    async with LocalAzure(data=tmp_path, parts=(Part.BROKER,)) as azure:
        waiting = asyncio.create_task(azure.wait_for_a_part_to_end())
        await azure.broker.kill()
        with pytest.raises(LocalError, match="Service Bus broker ended by itself"):
            await waiting


async def test_kafka_is_there_only_on_request() -> None:
    """With it the app's settings lead to the broker, with a password of its own each time."""
    passwords = set()
    for _ in range(2):
        async with LocalAzure(parts=(Part.KAFKA,)) as azure:
            settings = azure.settings
            assert settings["KAFKA_BROKER_LIST"] == azure.kafka.bootstrap
            assert settings["KAFKA_PROTOCOL"] == "SaslPlaintext"
            passwords.add(settings["KAFKA_PASSWORD"])
    assert len(passwords) == 2

    assert Part.KAFKA not in EVERYDAY
    async with LocalAzure(parts=(Part.EMABLER,)) as azure:
        assert not any(name.startswith("KAFKA_") for name in azure.settings)
        with pytest.raises(LocalError, match="Kafka broker was not started"):
            _ = azure.kafka


async def test_temporary_data_is_removed() -> None:
    """Without a data folder of its own the stack takes one, and removes it at the end."""
    async with LocalAzure(parts=(Part.BROKER,)) as azure:
        folder = azure.data
        assert folder is not None
        assert (folder / "broker").is_dir()
    assert not folder.exists()
