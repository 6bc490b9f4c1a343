"""The documented messages through the whole of it: a morning whose expectation is hand-written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.operator import Operator
from local.commands.playing.sender import Sender
from local.commands.playing.watching import until_drained
from local.emabler.examples import load
from local.stack import LocalAzure
from tests.end_to_end.comparing import compare_events, compare_sessions, compare_sockets

# These go by webhook, the others straight to the queue; the last one goes both ways.
BY_WEBHOOK = ("v1/charger_state", "v2-2025-04/measurements", "v2/charger_boot")
TWICE = "v2/full_transaction"
CHARGER = "HKI-JATKASAARI-12"
KNOWN, BLOCKED, UNKNOWN = "04C90E5A7D2180", "04F1186B3EA980", "04DEAD00BEEF80"


@pytest.fixture
async def azure(tmp_path: Path) -> AsyncIterator[LocalAzure]:
    """The whole stack, empty."""
    async with LocalAzure(
        data=tmp_path / "data",
        before_host=lambda azure: Operator(azure.settings, tmp_path).create_store(),
    ) as azure:
        yield azure


async def test_a_morning_ends_as_it_was_written_down(azure: LocalAzure, tmp_path: Path) -> None:
    """Pushed on both ways, tapped, reconciled and read back, nothing differs."""
    operator = Operator(azure.settings, tmp_path)
    morning = load(datetime.now(UTC))
    for shelf, records in morning.books.items():
        await azure.emabler.put(shelf, records)
    tags = (CsvTag(KNOWN, type="TAG"), CsvTag(BLOCKED, blocked="yes", type="TAG"))
    await operator.run("tags", "import", write_tags(tmp_path / "tags.csv", tags))

    async with Sender(azure) as sender:
        assert await sender.check() == 200
        assert await sender.call_without_authorization() == 401
        await sender.to_queue(b for name, b in morning.messages.items() if name not in BY_WEBHOOK)
        await sender.to_webhook([morning.messages[name] for name in (*BY_WEBHOOK, TWICE)])
        counts = await until_drained(azure, within=60)
        answers = [await sender.tap(CHARGER, tag) for tag in (KNOWN, BLOCKED, UNKNOWN)]
    await azure.host.run_function("reconcile")

    expected = morning.expected
    assert counts.dead_lettered == 0
    assert [(each.status, each.body.get("reason")) for each in answers] == [
        (200, None),
        (200, "UNAUTHORIZED_RFID_TAG_ID"),
        (200, "UNKNOWN_RFID_TAG_ID"),
    ]
    assert [each.body["charging_allowed"] for each in answers] == [True, False, False]
    assert compare_events(expected.events, await operator.rows("events", "list")) == []
    assert compare_sessions(expected.sessions, await operator.rows("sessions", "list")) == []
    assert compare_sockets(expected.chargers, await operator.rows("chargers", "list")) == []
