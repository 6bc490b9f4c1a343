"""Which connection a Service Bus trigger opens, and what people are told when that fails."""

from __future__ import annotations

import pytest
from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential
from azure.servicebus._pyamqp.aio import Connection
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessagingEntityNotFoundError,
    ServiceBusAuthorizationError,
    ServiceBusConnectionError,
)

from local.functions_host import service_bus_client
from local.functions_host.app_settings import AppSettings
from local.functions_host.functions import ServiceBusTrigger
from local.functions_host.service_bus_client import open_client, open_receiver, what_to_do

CONNECTION_STRING = (
    "Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=a;SharedAccessKey=Yg==;"
    "UseDevelopmentEmulator=true;"
)


def _trigger(queue: str | None = "events") -> ServiceBusTrigger:
    topic, subscription = (None, None) if queue else ("news", "mine")
    return ServiceBusTrigger(
        "m", queue, topic, subscription, "queue %Q%", "Bus", many=True, data_type="binary",
        auto_complete=None, max_batch_size=None,
    )  # fmt: skip


async def test_a_connection_string_is_used_as_it_is() -> None:
    """The setting of the connection's name."""
    async with open_client(_trigger(), AppSettings({"Bus": CONNECTION_STRING})) as client:
        assert client.fully_qualified_namespace == "127.0.0.1:5672"


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, DefaultAzureCredential),
        ({"Bus__credential": "managedidentity", "Bus__clientId": "x"}, ManagedIdentityCredential),
    ],
)
async def test_a_namespace_is_opened_with_an_identity(
    settings: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """…__fullyQualifiedNamespace, with a managed identity where __credential says so."""
    made: list[object] = []
    make = service_bus_client._credential

    def keep(connection: str, settings: AppSettings) -> AsyncTokenCredential:
        credential = make(connection, settings)
        made.append(credential)
        return credential

    monkeypatch.setattr(service_bus_client, "_credential", keep)
    settings = {"Bus__fullyQualifiedNamespace": "x.servicebus.windows.net", **settings}
    async with open_client(_trigger(), AppSettings(settings)) as client:
        assert client.fully_qualified_namespace == "x.servicebus.windows.net"
    assert isinstance(made[0], kind)


async def test_the_sdk_still_has_what_the_host_sets() -> None:
    """The private settings for prompt batches and settlements; a new SDK may lose them."""
    async with open_client(_trigger(), AppSettings({"Bus": CONNECTION_STRING})) as client:
        receiver = open_receiver(client, _trigger(), prefetch=0, at_once=100)
        assert isinstance(receiver, ServiceBusReceiver)
        fresh = client.get_queue_receiver("events")
        assert fresh._further_pull_receive_timeout == 0.2
        assert receiver._further_pull_receive_timeout == pytest.approx(0.04)
        assert hasattr(receiver, "_handler")
        assert hasattr(Connection("amqp://127.0.0.1"), "_socket_timeout")
        await receiver.close()
        await fresh.close()


async def test_a_subscription_is_received_from_its_topic() -> None:
    """Without a queue, topic and subscription name the entity."""
    async with open_client(_trigger(), AppSettings({"Bus": CONNECTION_STRING})) as client:
        receiver = open_receiver(client, _trigger(None), prefetch=0, at_once=1)
        assert receiver.entity_path == "news/Subscriptions/mine"
        await receiver.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MessagingEntityNotFoundError(), ["there is no queue %Q%", "Create it"]),
        (ServiceBusAuthorizationError(), ["refused", "Azure Service Bus Data Receiver", "Bus"]),
        (ServiceBusConnectionError(), ["cannot be reached", "setting Bus"]),
        (ValueError(CONNECTION_STRING), ["setting Bus is not a connection string"]),
        (RuntimeError(CONNECTION_STRING), ["failed with RuntimeError"]),
    ],
)
def test_people_are_told_what_to_do_and_no_secret(error: Exception, words: list[str]) -> None:
    """Entity and setting by name; never the text of an error, which may hold a value."""
    said = what_to_do(error, _trigger())
    assert all(word in said for word in words)
    assert "Yg==" not in said
