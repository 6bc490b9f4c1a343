"""Opens receivers for Service Bus triggers from the app settings of their connection."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusServerBusyError,
)

from local.functions_host.app_settings import AppSettings
from local.functions_host.functions import ServiceBusTrigger

# The host says what happens to a connection in its own words, once.
logging.getLogger("azure").addHandler(logging.NullHandler())
logging.getLogger("azure").propagate = False

_RETRIES = 2
_RETRY_SECONDS = 0.05
# How long one read of the SDK waits for a frame. It holds the connection meanwhile, so this also
# bounds how long the settling of one message waits while others are received.
_READ_SECONDS = 0.04
_SETTLE_READ_SECONDS = 0.005
_GAP_SECONDS = 0.02
_GAP_SECONDS_A_MESSAGE = 0.0002
_LONGEST_GAP_SECONDS = 0.2


@asynccontextmanager
async def open_client(
    trigger: ServiceBusTrigger, settings: AppSettings
) -> AsyncIterator[ServiceBusClient]:
    """A client for the trigger's connection: a connection string, or a namespace and an identity.

    Few retries of its own, so that a lost broker is reported soon; the listener goes on trying.

    Raises:
        ValueError: The connection string cannot be read.
    """
    options: dict[str, Any] = {
        "retry_total": _RETRIES,
        "retry_backoff_factor": _RETRY_SECONDS,
    }
    connection_string = settings.get(trigger.connection)
    if connection_string:
        async with ServiceBusClient.from_connection_string(connection_string, **options) as client:
            yield client
        return
    namespace = settings.get(f"{trigger.connection}__fullyQualifiedNamespace") or ""
    async with (
        _credential(trigger.connection, settings) as credential,
        ServiceBusClient(namespace, credential, **options) as client,
    ):
        yield client


def open_receiver(
    client: ServiceBusClient, trigger: ServiceBusTrigger, *, prefetch: int, at_once: int
) -> ServiceBusReceiver:
    """A peek-lock receiver for the trigger's entity that takes up to `at_once` messages a call."""
    options: dict[str, Any] = {"prefetch_count": prefetch, "socket_timeout": _READ_SECONDS}
    if trigger.queue is not None:
        receiver = client.get_queue_receiver(trigger.queue, **options)
    else:
        receiver = client.get_subscription_receiver(
            trigger.topic or "", trigger.subscription or "", **options
        )
    # After the first message the SDK waits 0.2 s for more, with no public setting; the .NET SDK,
    # which Azure's host uses, goes on after a gap of 20 ms. Allowed here: the time in which that
    # many messages can arrive.
    gap = _GAP_SECONDS + at_once * _GAP_SECONDS_A_MESSAGE
    receiver._further_pull_receive_timeout = min(gap, _LONGEST_GAP_SECONDS)  # noqa: SLF001  # above
    return receiver


def settle_promptly(receiver: ServiceBusReceiver) -> None:
    """Let settlements return soon after their outcome came.

    Of many settled at once, one is left reading for a whole time-out after the last outcome. The
    reads of a settlement take their time-out from the connection, those of receiving from the
    client: only the former is made short, so that waiting for messages stays cheap.
    """
    connection = getattr(getattr(receiver, "_handler", None), "_connection", None)
    if connection is not None:
        connection._socket_timeout = _SETTLE_READ_SECONDS  # noqa: SLF001  # no public setting


def what_to_do(error: Exception, trigger: ServiceBusTrigger) -> str:
    """One sentence for people on a connection that is lost or was refused; no setting's value."""
    entity, connection = trigger.as_written, trigger.connection
    match error:
        case MessagingEntityNotFoundError():
            return f"there is no {entity}. Create it, or correct its name in the binding."
        case MessagingEntityDisabledError():
            return f"{entity} is disabled. Enable it."
        case ServiceBusAuthenticationError() | ServiceBusAuthorizationError():
            return (
                f"access was refused. Check the key or the role (Azure Service Bus Data Receiver)"
                f" of the connection {connection}."
            )
        case (
            ServiceBusConnectionError()
            | ServiceBusCommunicationError()
            | ServiceBusServerBusyError()
            | OperationTimeoutError()
        ):
            return f"it cannot be reached. Start it, or correct the setting {connection}."
        case ValueError():
            return (
                f"the setting {connection} is not a connection string that can be used, such as"
                " Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"
            )
    return f"receiving failed with {type(error).__name__}."


def _credential(connection: str, settings: AppSettings) -> AsyncTokenCredential:
    # Imported here: it takes a while, and a local run seldom needs it.
    from azure.identity.aio import (  # noqa: PLC0415  # see above
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    client_id = settings.get(f"{connection}__clientId")
    if (settings.get(f"{connection}__credential") or "").lower() == "managedidentity":
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential()
