"""Taps on the real tables: ids of any kind, what addresses hold, and one range for each tap."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from shared.authorization.taps import Cause
from shared.storage.azure import AzureTables
from shared.storage.requests import counted
from shared.storage.tables import ALL_TABLES, AUTHORIZATIONS, UNKNOWN_TAGS
from shared.tags.records import Tag
from tests.authorization.taps import Store, Tapper

CANARY = "CANARY77"
HOSTILE = (
    f"{CANARY}'",
    f"{CANARY}''",
    f"{CANARY}' or PartitionKey ne '",
    f'{CANARY}" or true eq true or "',
    f"{CANARY}%",
    f"{CANARY}*",
    f"{CANARY}/\\#?",
    f"{CANARY} and RowKey ge ''",
    f"{CANARY}\x00\x7f",
    f"{CANARY}Ä🚗",
)


class Addresses:
    """Keeps what is asked for: addresses and headers, not bodies."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, request: Any) -> None:
        told = request.http_request
        self.seen.append(f"{told.method} {told.url} {dict(told.headers)}")


@pytest.fixture
async def addresses() -> Addresses:
    return Addresses()


@pytest.fixture
async def store(azurite: Azurite, addresses: Addresses) -> AsyncIterator[Store]:
    service = TableServiceClient.from_connection_string(
        azurite.connection_string, raw_request_hook=addresses.note
    )
    tables = AzureTables(service)
    for table in ALL_TABLES:
        await tables.create_table(table)
    store = Store(tables)
    await store.has_charger()
    await store.has_inventory()
    yield store
    await tables.close()


@pytest.mark.parametrize("tag", HOSTILE)
async def test_any_id_finds_itself_and_nothing_else(store: Store, tag: str) -> None:
    """Quotes, wildcards and the syntax of queries neither widen a query nor break it."""
    tapper = Tapper(store)
    assert (await tapper.tap(tag)).decision.cause is Cause.UNKNOWN_TAG
    await store.knows(Tag(tag=tag))

    assert (await tapper.tap(tag)).decision.cause is Cause.KNOWN_TAG
    assert (await tapper.tap(tag[:-1] + "x")).decision.cause is Cause.UNKNOWN_TAG
    assert (await tapper.tap(tag, charger=tag)).decision.cause is Cause.UNKNOWN_CHARGER
    await tapper.audit.written()


async def test_no_address_holds_a_tag(
    store: Store, addresses: Addresses, caplog: pytest.LogCaptureFixture
) -> None:
    """Tags travel in bodies only, those of audit and inbox too; no line of a log has any."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("azure").setLevel(logging.WARNING)
    await store.knows(Tag(tag=CANARY, group="G"))
    tapper = Tapper(store)
    for tag in (CANARY, *HOSTILE, "x" * 255):
        await tapper.tap(tag)
    await tapper.audit.written()

    assert len(addresses.seen) > 20
    assert any(AUTHORIZATIONS in address for address in addresses.seen)
    assert any(UNKNOWN_TAGS in address for address in addresses.seen)
    for text in (*addresses.seen, caplog.text):
        assert CANARY not in text.upper()


async def test_a_tap_is_one_request_when_the_charger_is_remembered(store: Store) -> None:
    """The tag's record and its sessions come in one answer of the service."""
    await store.knows(Tag(tag="ONE"))
    await store.has_session("ONE", "CH-9")
    tapper = Tapper(store)
    await tapper.tap("ONE")

    with counted() as requests:
        answered = await tapper.tap("ONE")

    assert answered.decision.cause is Cause.KNOWN_TAG
    assert requests.by_purpose == {"tags_range": 1}
    await tapper.audit.written()
