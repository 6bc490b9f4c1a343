"""Days by webhook and by Kafka, Service Bus stopped in their middle; and what Kafka alone does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.commands.playing.fleet import (
    NO_TIMER,
    FleetOnStack,
    customer_of,
    parts_for,
    write_fleet_tags,
)
from local.commands.playing.operator import Operator
from local.commands.playing.verdict import Verdict, judge
from local.commands.playing.watching import queue_counts, until_drained
from local.commands.playing.wide_events import read_wide_events
from local.emabler.fleet.order import Transport
from local.emabler.fleet.sending import open_sender
from local.processes import until
from local.stack import KAFKA_GROUP, KAFKA_TOPIC, LocalAzure
from tests import payloads

MIB = 1024 * 1024


@asynccontextmanager
async def running(transport: Transport, folder: Path) -> AsyncIterator[LocalAzure]:
    """A stack whose eMabler pushes this way."""
    async with LocalAzure(
        data=folder / "data",
        parts=parts_for(transport),
        # The messages of tests/payloads.py are of one day, whenever this runs.
        overrides={"RETENTION_JOURNAL_DAYS": "3660", "AUTHORIZATION_BUDGET_MILLISECONDS": "4500"}
        | NO_TIMER,
        before_host=lambda azure: Operator(azure.settings, folder).create_store(),
    ) as azure:
        yield azure


async def verdict_of(fleet: FleetOnStack, operator: Operator) -> Verdict:
    """Compare the store with what the fleet says."""
    names = ("sessions", "chargers", "events", "parked")
    sessions, sockets, events, parked = [await operator.rows(name, "list") for name in names]
    expected = await fleet.expected()
    return judge(expected, sessions=sessions, sockets=sockets, events=events, parked=parked)


async def until_logged(azure: LocalAzure, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until an invocation left a wide event of this kind."""

    async def is_there() -> bool:
        return any(map(holds, read_wide_events(azure.host.log_text())))

    await until(is_there, within=90, what="that a function met the outage", every=0.2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("transport", [Transport.WEBHOOK, Transport.KAFKA])
async def test_a_day_ends_equal_although_service_bus_stops_in_its_middle(
    transport: Transport, tmp_path: Path
) -> None:
    """Killed while events are on their way, and started again: the store is what it must be."""
    async with running(transport, tmp_path) as azure:
        operator, fleet = Operator(azure.settings, tmp_path), FleetOnStack(azure)
        tags = await fleet.prepare(
            seed=3, chargers=3, faults="default", speed=None, transport=transport, meter_minutes=15
        )
        file = await asyncio.to_thread(
            write_fleet_tags, tmp_path / "tags.csv", tags, datetime.now(UTC)
        )
        await operator.run("tags", "import", file)
        await fleet.begin()

        async def in_the_middle() -> bool:
            return (await queue_counts(azure)).totals.enqueued >= 20

        await until(in_the_middle, within=60, what="that events arrived", every=0.005)
        await azure.broker.kill()
        function = f"push_{transport}"
        await until_logged(
            azure,
            lambda wide: (
                wide["function"] == function and wide.get("error_code") == "queue_unavailable"
            ),
        )
        await azure.broker.restart()
        async for _ in fleet.progress():
            pass
        counts = await until_drained(azure, within=120)
        await azure.host.run_function("reconcile")
        verdict = await verdict_of(fleet, operator)

    assert verdict.equal, verdict
    assert counts.dead_lettered == 0


@pytest.mark.timeout(180)
async def test_no_message_of_kafka_holds_up_those_behind_it(tmp_path: Path) -> None:
    """Empty, unreadable, too large for the queue, and both: each is kept, the offset goes on."""
    large = payloads.state_v2(chargerId="LARGE-1", other="x" * 300 * 1024)
    bodies = [
        b"",
        b"\xff\xfe\xfa",
        large,
        b"y" * (MIB - 1000),
        payloads.state_v2(chargerId="SMALL-1"),
    ]
    async with running(Transport.KAFKA, tmp_path) as azure:
        operator = Operator(azure.settings, tmp_path)
        async with open_sender(customer_of(azure, Transport.KAFKA)) as sender:
            for body in bodies:
                await sender.send([body])
        counts = await until_drained(azure, within=90)
        events = await operator.rows("events", "list")
        parked = await operator.rows("parked", "list")

        assert azure.kafka.committed(KAFKA_GROUP, KAFKA_TOPIC) == len(bodies)
    assert {row["charger"] for row in events} == {"LARGE-1", "SMALL-1"}
    assert sorted(row["reason"] for row in parked) == ["not_json", "not_json", "not_text"]
    assert counts.dead_lettered == 0
