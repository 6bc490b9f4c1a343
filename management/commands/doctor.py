"""`doctor`: each part that the product stands on, checked for real, with what to do.

Where push is silent, its checks are those that eMabler advises, in this order: the endpoint, queue
and dead letters, reachability, credentials and their rotation, the push configuration.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping

from management.app_references import PLACE, references_finding
from management.backup_checks import backups, containers
from management.checks import Finding, checked
from management.context import Command, Context, url_argument
from management.push_checks import (
    ENDPOINT,
    chargers_finding,
    configuration_findings,
    endpoint_findings,
)
from management.tag_key_check import tag_key
from management.vault import VAULT, vault_finding
from management.words import counted
from shared.backup_settings import BACKUP
from shared.emabler.client import EmablerClient
from shared.emabler.contract import differences
from shared.errors import EmablerFunctionsError, QueueUnavailableError
from shared.instants import system_clock
from shared.rooms import Rooms
from shared.settings import INGESTION, RECONCILIATION
from shared.storage.tables import ALL_TABLES

_QUEUE_SECONDS = 15.0
_LATE_SECONDS = 600
_MOST_LETTERS = 100
_SAY_IT_ALL = ("rest_key_refused", "rest_away", "rest_redirected")
_PREVIOUS = ("WEBHOOK_AUTHORIZATION_PREVIOUS", "TAG_HASH_KEY_PREVIOUS")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--endpoint",
        type=url_argument,
        metavar="URL",
        help=f"the address that eMabler calls, to be asked from here (default: {ENDPOINT}, which "
        "--env azd knows)",
    )


async def _doctor(context: Context) -> int:
    output, rooms = context.output, context.rooms
    output.columns({"check": 28, "well": 5, "detail": 0})
    findings: list[Finding] = []

    def tell(*found: Finding) -> None:
        findings.extend(found)
        for each in found:
            output.row({"check": each.check, "well": each.well, "detail": each.detail})

    tell(*_settings(rooms))
    store_set = not any(f.check == "DataStorageConnection" for f in findings)
    if store_set:
        tell(*await _store(rooms))
    endpoint = context.options.endpoint or context.environ.get(ENDPOINT)
    if endpoint:
        tell(*await endpoint_findings(endpoint))
    if not rooms.settings.problems_of(INGESTION):
        tell(await checked("queue", _queue(rooms)), await checked("dead letters", _letters(rooms)))
    rest_set = not rooms.settings.problems_of(RECONCILIATION)
    if rest_set:
        tell(*await _rest(rooms))
    tell(*_rotations(rooms))
    tell(*_of_azure(context.environ))
    # Without a key or a connection there is no more to ask.
    if rest_set and any(f.well and f.check == "eMabler: push configurations" for f in findings):
        async with rooms.emabler() as client:
            tell(*await configuration_findings(client))
    if store_set:
        tell(await chargers_finding(rooms.tables))
    wrong = sum(not finding.well for finding in findings)
    output.say(
        "all is well"
        if not wrong
        else f"{wrong} of {counted(len(findings), 'checks')} found something"
    )
    return 1 if wrong else 0


def _of_azure(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What Azure says of a deployed environment, where one is looked at."""
    if vault := environ.get(VAULT):
        yield vault_finding(vault, system_clock())
    if all(environ.get(name) for name in PLACE):
        yield references_finding(environ)


def _settings(rooms: Rooms) -> list[Finding]:
    problems = [
        Finding(problem.setting, well=False, detail=str(problem))
        for problem in rooms.settings.problems
    ]
    return problems or [Finding("settings", well=True, detail="all that are needed are there")]


async def _store(rooms: Rooms) -> list[Finding]:
    found = [
        await checked("tables", _tables(rooms)),
        await checked("containers", containers(rooms)),
        await checked("store's stamp", _stamp(rooms)),
    ]
    if "TAG_HASH_KEY" not in {problem.setting for problem in rooms.settings.problems}:
        found.append(await checked("tags' key", tag_key(rooms)))
    if not rooms.settings.problems_of(BACKUP):
        found.append(await checked("backups", backups(rooms)))
    return found


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
        async with asyncio.timeout(_QUEUE_SECONDS):
            oldest = await rooms.queue.look()
    except (TimeoutError, QueueUnavailableError) as error:
        why = str(error) or f"queue {name}: TimeoutError"
        message = (
            f"{why}. What to do: check ServiceBusConnection and "
            "PUSH_QUEUE_NAME, and that you may receive from the queue"
        )
        raise EmablerFunctionsError(message, code="queue_unavailable") from error
    if oldest is None:
        return f"queue {name} answers, it is empty"
    age = max(0.0, (system_clock() - oldest).total_seconds())
    if age >= _LATE_SECONDS:
        message = (
            f"queue {name} answers, and its first message has waited for {age / 60:.0f} minutes. "
            "What to do: docs/runbooks/ingestion_age.md"
        )
        raise EmablerFunctionsError(message, code="queue_late")
    return f"queue {name} answers, messages are waiting, the first for {age:.0f} s"


async def _letters(rooms: Rooms) -> str:
    try:
        async with asyncio.timeout(_QUEUE_SECONDS), rooms.dead_letters() as letters:
            found, _ = await letters.peek(_MOST_LETTERS, 0)
    except TimeoutError as error:
        raise QueueUnavailableError("the dead letters did not answer") from error
    if found:
        reasons = sorted({letter.reason or "no reason" for letter in found})
        more = " or more" if len(found) >= _MOST_LETTERS else ""
        message = (
            f"the queue has {counted(len(found), 'dead letters')}{more} ({', '.join(reasons)}). "
            "What to do: manage.py parked collect, then docs/runbooks/dead_letters.md"
        )
        raise EmablerFunctionsError(message, code="dead_letters")
    return "none"


def _rotations(rooms: Rooms) -> list[Finding]:
    """Secrets that are being changed: both values count until the one before is taken out."""
    under_way = [name for name in _PREVIOUS if rooms.settings[name]]
    detail = f"{', '.join(under_way)} is set: the value before counts as well (docs/deploy.md)"
    return [Finding("rotation", well=True, detail=detail)] if under_way else []


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
    "doctor",
    "check settings, store, queue and eMabler, each for real",
    _arguments,
    _doctor,
    on_any_store=True,
)
