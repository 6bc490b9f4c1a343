"""The Service Bus client: from a connection string, or from a host name and an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient

    from shared.settings_checked import Settings


def modules_of(settings: Settings) -> tuple[str, ...]:
    """What `connect_service_bus` imports with these settings: for who may not be held up by it."""
    identity = () if settings["ServiceBusConnection"] else ("azure.identity.aio",)
    return "azure.servicebus.aio", *identity


def connect_service_bus(settings: Settings) -> ServiceBusClient:
    """Open a client; nothing is asked of the network yet. Imports the SDK, which costs 0.3 s.

    Raises:
        ValueError: The connection string is none.
    """
    from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415 - see above

    connection = settings["ServiceBusConnection"]
    if connection:
        return ServiceBusClient.from_connection_string(connection, retry_total=1)
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - 0.3 s more

    return ServiceBusClient(
        settings["ServiceBusConnection__fullyQualifiedNamespace"],
        DefaultAzureCredential(
            managed_identity_client_id=settings["ServiceBusConnection__clientId"]
        ),
        retry_total=1,
    )
