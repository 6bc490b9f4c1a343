"""`doctor`: each part that the product stands on, checked for real, with what to do."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError

from management.context import Command, Context
from shared.emabler.client import EmablerClient
from shared.emabler.contract import differences
from shared.errors import EmablerFunctionsError
from shared.messaging.connect import connect_service_bus
from shared.rooms import Rooms
from shared.settings import INGESTION, RECONCILIATION
from shared.storage.tables import ALL_TABLES

_QUEUE_SECONDS = 15.0
_SAY_IT_ALL = ("rest_key_refused", "rest_away", "rest_redirected")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do where it is not well."""

    check: str
    well: bool
    detail: str


def _arguments(_parser: argparse.ArgumentParser) -> None:
    return


async def _doctor(context: Context) -> int:
    output, rooms = context.output, context.rooms
    output.columns({"check": 28, "well": 5, "detail": 0})
    findings = _settings(rooms)
    store_set = not any(f.check == "DataStorageConnection" for f in findings)
    checks: list[tuple[str, Callable[[Rooms], Awaitable[str]]]] = []
    if store_set:
        checks += [("tables", _tables), ("store's stamp", _stamp)]
    if not rooms.settings.problems_of(INGESTION):
        checks.append(("queue", _queue))
    findings += [await _checked(name, check, rooms) for name, check in checks]
    if not rooms.settings.problems_of(RECONCILIATION):
        findings += await _rest(rooms)
    for finding in findings:
        output.row({"check": finding.check, "well": finding.well, "detail": finding.detail})
    wrong = sum(not finding.well for finding in findings)
    output.say("all is well" if not wrong else f"{wrong} of {len(findings)} checks found something")
    return 1 if wrong else 0


def _settings(rooms: Rooms) -> list[Finding]:
    problems = [
        Finding(problem.setting, well=False, detail=str(problem))
        for problem in rooms.settings.problems
    ]
    return problems or [Finding("settings", well=True, detail="all that are needed are there")]


async def _checked(name: str, check: Callable[[Rooms], Awaitable[str]], rooms: Rooms) -> Finding:
    try:
        return Finding(name, well=True, detail=await check(rooms))
    except EmablerFunctionsError as error:
        return Finding(name, well=False, detail=f"{error.code}: {error}")


async def _tables(rooms: Rooms) -> str:
    for table in ALL_TABLES:
        # A key that no row has: it is answered in one step whatever the table holds.
        await rooms.tables.get(table, "doctor", "doctor")
    return f"{len(ALL_TABLES)} tables can be read (where one is missing: manage.py store create)"


async def _stamp(rooms: Rooms) -> str:
    stamped = await rooms.stamp.agrees()
    return f"the store {'belongs' if stamped else 'will belong'} to eMabler " + str(
        rooms.settings["EMABLER_ENVIRONMENT"]
    )


async def _queue(rooms: Rooms) -> str:
    # Looking needs the right to receive; nothing is taken out.
    name = rooms.settings["PUSH_QUEUE_NAME"]
    try:
        async with (
            asyncio.timeout(_QUEUE_SECONDS),
            connect_service_bus(rooms.settings) as client,
            client.get_queue_receiver(name) as receiver,
        ):
            waiting = await receiver.peek_messages(max_message_count=1)
    except (TimeoutError, AzureError, OSError, ValueError) as error:
        message = (
            f"queue {name}: {type(error).__name__}. What to do: check ServiceBusConnection and "
            "PUSH_QUEUE_NAME, and that you may receive from the queue"
        )
        raise EmablerFunctionsError(message, code="queue_unavailable") from error
    return f"queue {name} answers, " + ("messages are waiting" if waiting else "it is empty")


async def _rest(rooms: Rooms) -> list[Finding]:
    """Each call that the product makes: what one operator may read, another may not."""
    findings = []
    async with rooms.emabler() as client:
        for call in client.options.all_calls:
            name = f"eMabler: {call.name}"
            try:
                total = await client.look(call)
            except EmablerFunctionsError as error:
                detail = f"{error.code}: {error}"
                findings.append(Finding(name, well=False, detail=detail))
                # Without a key or a connection, the others would say the same.
                if error.code in _SAY_IT_ALL:
                    break
            else:
                detail = f"{call} answers, {'some' if total is None else total} {call.name}"
                findings.append(Finding(name, well=True, detail=detail))
        else:
            findings += await _contract(client)
    return findings


async def _contract(client: EmablerClient) -> list[Finding]:
    """Hold eMabler's own description of its API against what the product relies on."""
    name = "eMabler: contract"
    try:
        description = await client.description()
    except EmablerFunctionsError as error:
        # Its place is not documented: that it is not found says nothing about the API.
        detail = f"not compared, since its description is not where it is looked for ({error.code})"
        return [Finding(name, well=True, detail=detail)]
    found = differences(description, client.options)
    well = [Finding(name, well=True, detail="its description has all that is relied on")]
    return [Finding(name, well=False, detail=str(each)) for each in found] or well


COMMAND = Command(
    "doctor", "check settings, store, queue and eMabler, each for real", _arguments, _doctor
)
