"""Addresses of the storage and of the proxy, and the connection string made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from local.azurite import ACCOUNT_KEY
from local.errors import LocalError
from local.fault_proxy.requests import SERVICES, Service


class Storage(Protocol):
    """Where the services are: `Azurite`, `StorageUrls` or another `FaultProxy`."""

    @property
    def table_url(self) -> str | None:
        """The table service's address, with the account."""

    @property
    def blob_url(self) -> str | None:
        """The blob service's address, with the account."""

    @property
    def queue_url(self) -> str | None:
        """The queue service's address, with the account."""


@dataclass(frozen=True)
class StorageUrls:
    """Addresses of the form `http://127.0.0.1:PORT/ACCOUNT`; None where there is no service."""

    table_url: str | None = None
    blob_url: str | None = None
    queue_url: str | None = None


def by_service(storage: Storage) -> dict[Service, str]:
    """Give the addresses that there are.

    Raises:
        LocalError: `usage_wrong`, there is none, or one is not of the form above.
    """
    all_of_them: Mapping[Service, str | None] = {
        "table": storage.table_url,
        "blob": storage.blob_url,
        "queue": storage.queue_url,
    }
    found = {service: url.rstrip("/") for service, url in all_of_them.items() if url}
    for service, url in found.items():
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.netloc or parts.path.count("/") != 1 or parts.query:
            raise _wrong(f"the {service} service's address '{url}' cannot be used")
    if not found:
        raise _wrong("no address of a service was given")
    return found


def origin(url: str) -> str:
    """Give the part of an address before the account."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def account_path(url: str) -> str:
    """Give the account in an address, with the slash before it."""
    return urlsplit(url).path


def connection_string(urls: Mapping[Service, str]) -> str:
    """Make a connection string of the emulator's account, with an endpoint for each service."""
    account = account_path(next(iter(urls.values()))).lstrip("/")
    endpoints = (
        f"{service.capitalize()}Endpoint={urls[service]};"
        for service in SERVICES
        if service in urls
    )
    key = f"AccountName={account};AccountKey={ACCOUNT_KEY};"
    return f"DefaultEndpointsProtocol=http;{key}{''.join(endpoints)}"


def _wrong(what: str) -> LocalError:
    return LocalError(
        "usage_wrong", what, "give addresses such as http://127.0.0.1:10002/devstoreaccount1"
    )
