"""The storage gateways from settings: a connection string, or an address and an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.data.tables.aio import TableServiceClient

from shared.errors import SettingError
from shared.settings import BLOB_ADDRESS
from shared.settings_checked import Settings
from shared.storage.azure import AzureTables
from shared.storage.azure_blobs import AzureBlobs
from shared.storage.requests import attempted

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import BlobServiceClient

_OPTIONS: dict[str, Any] = {
    # Seconds. Few retries of the SDK's own: who has time to wait (ingestion) waits by a rule of its
    # own, and who has none (a tap) is better off with an answer.
    "connection_timeout": 5,
    "read_timeout": 20,
    "retry_total": 2,
    "retry_backoff_factor": 0.4,
    "retry_backoff_max": 8,
    "raw_request_hook": attempted,
}


def impatient(budget: float) -> dict[str, Any]:
    """Options of a client for who waits `budget` seconds for all: a try, and one more."""
    return {
        "connection_timeout": budget * 0.4,
        "read_timeout": budget * 0.6,
        "retry_total": 1,
        "retry_backoff_factor": 0.02,
        "retry_backoff_max": budget / 4,
    }


def connect_tables(settings: Settings, **options: Any) -> AzureTables:  # noqa: ANN401 - the SDK's
    """Open the gateway; nothing is asked of the network yet.

    `options` are the SDK's, in place of those that suit work which can wait.

    Raises:
        SettingError: There is no connection, or it is no connection string.
    """
    for problem in settings.problems:
        if problem.setting == "DataStorageConnection":
            raise SettingError(str(problem), code=problem.code)
    options = _OPTIONS | options
    uri = settings["DataStorageConnection__tableServiceUri"]
    if uri:
        return AzureTables(TableServiceClient(uri, credential=_identity(settings), **options))
    try:
        return AzureTables(
            TableServiceClient.from_connection_string(settings["DataStorageConnection"], **options)
        )
    except ValueError as error:
        # The text of the SDK's error may hold the key.
        message = (
            "DataStorageConnection is no connection string of a storage account. Example: "
            "DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net"
        )
        raise SettingError(message) from error


def connect_blobs(settings: Settings) -> AzureBlobs:
    """The gateway to the blobs of the same account; it is opened at the first blob."""

    def connect() -> BlobServiceClient:
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 - few need it

        # The SDK's own first pause is 15 s.
        options = {**_OPTIONS, "initial_backoff": 1, "increment_base": 2}
        if settings[BLOB_ADDRESS]:
            return BlobServiceClient(
                settings[BLOB_ADDRESS], credential=_identity(settings), **options
            )
        return BlobServiceClient.from_connection_string(
            settings["DataStorageConnection"], **options
        )

    return AzureBlobs(connect)


def _identity(settings: Settings) -> AsyncTokenCredential:
    # Only where an identity is used: importing this costs 0.3 s of a cold start.
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

    return DefaultAzureCredential(
        managed_identity_client_id=settings["DataStorageConnection__clientId"]
    )
