"""When functions ran: told to the store beside the work, seldom, and never at its cost."""

from __future__ import annotations

import ast
import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.errors import StoreUnavailableError
from shared.last_runs import AGAIN_SECONDS, EVERY_SECONDS, LastRuns, read_last_runs
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.tables import STORE

FUNCTION_APP = Path(__file__).resolve().parent.parent / "function_app.py"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Worker:
    """A worker with clocks held in the hand."""

    def __init__(self, tables: MemoryTables) -> None:
        self.now = NOW
        self.seconds = 0.0
        self.runs = LastRuns(lambda: tables, lambda: self.now, elapsed=lambda: self.seconds)

    async def ran(self, function: str, later: float = 0.0) -> None:
        self.seconds += later
        self.now += timedelta(seconds=later)
        self.runs.note(function)
        await self.runs.written()


async def test_each_function_is_told_with_its_time() -> None:
    """The latest of all workers stands; a function that never ran is not there."""
    tables = MemoryTables(STORE)
    one, other = Worker(tables), Worker(tables)

    assert await read_last_runs(tables) == {}
    await one.ran("retain")
    await one.ran("reconcile")
    await other.ran("reconcile", later=600)

    assert await read_last_runs(tables) == {
        "retain": NOW,
        "reconcile": NOW + timedelta(seconds=600),
    }


async def test_a_busy_worker_tells_once_a_minute() -> None:
    """A thousand runs within a minute are one request, and none of an invocation's."""
    tables = MemoryTables(STORE)
    worker = Worker(tables)
    writes = 0

    async def watch(_table: str, moment: str) -> None:
        nonlocal writes
        writes += moment == "before_write"

    tables.pause = watch
    with counted() as requests:
        for _ in range(1_000):
            await worker.ran("ingest_push_events", later=EVERY_SECONDS / 1_001)
        assert writes == 1
        await worker.ran("ingest_push_events", later=EVERY_SECONDS)

    assert writes == 2
    assert requests.by_purpose == {}


async def test_a_store_that_is_away_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised, nobody waits, and the next run tries again."""
    tables = MemoryTables(STORE)
    worker = Worker(tables)
    blocked = asyncio.Event()

    async def away(_table: str, _moment: str) -> None:
        await blocked.wait()
        raise StoreUnavailableError("table store: no answer at https://hidden")

    tables.pause = away
    with caplog.at_level(logging.WARNING):
        worker.runs.note("retain")
        blocked.set()
        await worker.runs.written()

    assert [record.getMessage() for record in caplog.records] == [
        "last_run_not_noted: StoreUnavailableError"
    ]


async def test_a_store_that_is_away_is_asked_once_at_a_time() -> None:
    """A thousand taps during an outage leave one note waiting, and none for a while after it."""
    tables = MemoryTables(STORE)
    worker = Worker(tables)
    asked = 0
    answer = asyncio.Event()

    async def away(_table: str, _moment: str) -> None:
        nonlocal asked
        asked += 1
        await answer.wait()
        raise StoreUnavailableError("away")

    tables.pause = away
    for _ in range(1_000):
        worker.seconds += 1
        worker.runs.note("push_webhook")
        await asyncio.sleep(0)
    assert asked == 1
    answer.set()
    await worker.runs.written()
    for _ in range(100):
        worker.runs.note("push_webhook")
        await asyncio.sleep(0)

    assert asked == 1


async def test_a_run_that_was_not_told_is_told_by_the_next() -> None:
    """A failed note does not silence the function for a minute."""
    tables = MemoryTables(STORE)
    worker = Worker(tables)

    async def away(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("away")

    async def well(_table: str, _moment: str) -> None:
        return

    tables.pause = away
    await worker.ran("retain")
    tables.pause = well
    await worker.ran("retain", later=AGAIN_SECONDS)

    assert await read_last_runs(tables) == {"retain": NOW + timedelta(seconds=AGAIN_SECONDS)}


def test_each_function_that_works_notes_its_run() -> None:
    """All but those that monitors call: the status tells when each of them last did its work."""
    functions = [
        node for node in ast.walk(ast.parse(FUNCTION_APP.read_text())) if _name_of(node) is not None
    ]
    noted = {
        _name_of(function)
        for function in functions
        if f"rooms.last_runs.note('{_name_of(function)}')" in ast.unparse(function)
    }

    assert {_name_of(function) for function in functions} - noted == {"live", "status"}


def _name_of(node: ast.AST) -> str | None:
    """What `@app.function_name` calls a function, None for all else."""
    for decorator in node.decorator_list if isinstance(node, ast.AsyncFunctionDef) else ():
        match decorator:
            case ast.Call(
                func=ast.Attribute(attr="function_name"), args=[ast.Constant(value=str(name))]
            ):
                return name
    return None
