"""The wide event: one line of JSON for each invocation, in known fields, telling no secret."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import (
    RestRefusedError,
    SettingError,
    StoreUnavailableError,
    UnexpectedError,
)
from shared.ingestion.messages import IncomingMessage
from shared.rooms import Rooms
from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, EVENTS, TAGS
from shared.tags.records import Tag
from shared.telemetry import FIELDS, WideEvent, invocation
from tests import payloads
from tests.tagging import put_tags

SECRET = "correct horse battery staple 0123456789"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    # Work in the background of another test may warn meanwhile, under the same logger.
    return [json.loads(r.getMessage()) for r in caplog.records if r.module == "telemetry"]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_an_invocation_leaves_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    """The message of the one record is one JSON object with the function and its outcome."""
    with invocation("push_webhook") as wide:
        wide.add(status=200, cause=None)

    (line,) = lines(caplog)
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert (record.name, record.levelname) == ("emabler", "INFO")
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "invocation",
        "schema": 1,
        "function": "push_webhook",
        "outcome": "ok",
        "status": 200,
        "store_requests": {},
        "store_ms": 0.0,
    }


def test_an_unknown_field_is_refused() -> None:
    """A field that the table does not name is a mistake in the code; nothing of it is taken."""
    wide = WideEvent("reconcile")

    with pytest.raises(KeyError, match=r"\['tag', 'user'\]"):
        wide.add(pages=3, user="x", tag="y")

    assert "pages" not in wide.fields


def test_the_line_holds_only_fields_of_the_table(caplog: pytest.LogCaptureFixture) -> None:
    """What an invocation adds by itself is in the table too."""
    with pytest.raises(StoreUnavailableError), invocation("reconcile"):
        raise StoreUnavailableError("away")

    (line,) = lines(caplog)
    assert line.keys() <= FIELDS.keys()


async def test_requests_to_the_store_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Requests count by purpose, those of tasks started within and those that failed included."""
    tables = MemoryTables(TAGS, EVENTS)

    async def invoked() -> None:
        with invocation("push_webhook"):
            await asyncio.gather(*(tables.get(TAGS, "p", str(n)) for n in range(3)))
            _ = [row async for row in tables.scan(EVENTS)]
            await tables.get("missing", "p", "k")

    with pytest.raises(StoreUnavailableError):
        await invoked()
    await tables.get(TAGS, "p", "not counted")

    (line,) = lines(caplog)
    assert line["store_requests"] == {"events_scan": 1, "missing_get": 1, "tags_get": 3}
    assert line["store_ms"] >= 0


async def test_invocations_side_by_side_count_for_themselves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two invocations in one worker do not count each other's requests."""
    tables = MemoryTables(TAGS)

    async def one(function: str, requests: int) -> None:
        with invocation(function):
            for n in range(requests):
                await tables.get(TAGS, "p", str(n))
                await asyncio.sleep(0)

    await asyncio.gather(one("push_webhook", 2), one("reconcile", 5))

    counts = {line["function"]: line["store_requests"]["tags_get"] for line in lines(caplog)}
    assert counts == {"push_webhook": 2, "reconcile": 5}


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StoreUnavailableError("table tags: no answer", code="store_away"), "store_away", None),
        (SettingError("TAG_HASH_KEY is not set."), "setting_wrong", None),
        (RestRefusedError("POST x: 401", status=401), "rest_refused", None),
        (ValueError("tag 04A22B7F"), "unexpected", "ValueError"),
        (KeyError("04A22B7F"), "unexpected", "KeyError"),
    ],
)
def test_an_error_leaves_its_code(
    caplog: pytest.LogCaptureFixture, error: Exception, code: str, text: str | None
) -> None:
    """Our errors leave code and text, all others only their kind; the error goes on, once told."""
    raised = type(error) if text is None else UnexpectedError
    with pytest.raises(raised) as caught, invocation("ingest_push_events"):
        raise error

    assert "04A22B7F" not in "".join(traceback.format_exception(caught.value))
    (line,) = lines(caplog)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert (line["outcome"], line["error_code"]) == ("failed", code)
    assert line["error"] == (text or str(error))


def test_a_code_alone_makes_no_error_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries have errors with a `code` as well; their texts may hold addresses and keys."""

    class ForeignError(Exception):
        code = "InvalidKey"

    with pytest.raises(UnexpectedError), invocation("push_webhook"):
        raise ForeignError("https://account.example/?sig=hidden")

    (line,) = lines(caplog)
    assert (line["error_code"], line["error"]) == ("unexpected", "ForeignError")


def test_what_led_to_an_error_stays_behind(caplog: pytest.LogCaptureFixture) -> None:
    """The host writes an exception down with its whole chain: ours leaves the foreign ones out."""

    def failing() -> None:
        try:
            int("04A22B7F")
        except ValueError as error:
            raise StoreUnavailableError("table tags: no answer") from error

    with pytest.raises(StoreUnavailableError) as caught, invocation("reconcile"):
        failing()

    told = "".join(traceback.format_exception(caught.value))
    assert "in failing" in told
    assert "ValueError" not in told
    assert len(lines(caplog)) == 1


async def test_a_cancelled_invocation_is_no_success(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that is stopped in the middle of an invocation says that it failed."""
    begun = asyncio.Event()

    async def invoked() -> None:
        with invocation("reconcile"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(invoked())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (line,) = lines(caplog)
    assert (line["outcome"], line["error"]) == ("failed", "CancelledError")


async def test_no_line_tells_a_tag_or_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Batches, taps and failures leave lines that hold no tag id, no body and no setting."""
    tables = MemoryTables(*ALL_TABLES)
    rooms = Rooms(
        {
            "DataStorageConnection": "AccountKey=hidden-connection",
            "ServiceBusConnection": "SharedAccessKey=hidden-bus",
            "PUSH_QUEUE_NAME": "push-events",
            "INGEST_LONGEST_WAIT_SECONDS": "0",
            "TAG_HASH_KEY": SECRET,
            "WEBHOOK_AUTHORIZATION": SECRET.upper(),
            "EMABLER_ENVIRONMENT": "test",
        },
        tables=tables,
        clock=lambda: NOW,
    )
    rooms.start()
    await put_tags(tables, [Tag(tag="HIDDEN-77")], rooms.tag_hash_key)
    tap = b'{"charger_id": "CH-0042", "rfid_tag_id": "hidden-77"}'

    async def tapped() -> None:
        with invocation("push_webhook") as wide:
            await rooms.webhook.answer(
                method="POST",
                authorization=SECRET.upper(),
                body=tap,
                content_type=None,
                wide=wide,
            )

    async def ingested(*bodies: bytes) -> None:
        with invocation("ingest_push_events") as wide:
            await rooms.ingest([IncomingMessage(body=body) for body in bodies], wide)

    bodies = (
        payloads.full_v2(authorizedIdTag="HIDDEN-77"),
        payloads.start_v2(authorizedIdTag="HIDDEN-77", socketId="hidden"),
    )

    async def failing(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("table tags: no answer")

    await tapped()
    await ingested(*bodies)
    tables.pause = failing
    await tapped()
    with pytest.raises(StoreUnavailableError):
        await ingested(*bodies)

    texts = [record.getMessage().casefold() for record in caplog.records]
    assert len([text for text in texts if '"event":"invocation"' in text]) == 4
    for word in ("hidden", SECRET, rooms.settings["TAG_HASH_KEY"], "rfid_tag_id", "consumptionwh"):
        assert not [text for text in texts if word.casefold() in text]
