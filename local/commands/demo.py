"""`python dev.py demo`: a charging day on this machine, with what came of it.

Starts an empty local Azure and lets a fleet live through a day, many times faster than real time:
push events by Service Bus, webhook or Kafka, taps, and a few per cent of what goes wrong in the
field. Then comes calm, a reconciliation, and the verdict: whether the store is what it must be,
charger by charger. What must be is what the fleet says (`local.emabler.fleet.expected`).
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from local.commands.frame import DONE, FAILED, ROOT, STATE, Arguments, run_command
from local.commands.playing import telling
from local.commands.playing.fleet import (
    NO_TIMER,
    FleetOnStack,
    Progress,
    parts_for,
    write_fleet_tags,
)
from local.commands.playing.operator import Operator, forget_app_settings
from local.commands.playing.verdict import Verdict, judge
from local.commands.playing.watching import kafka_behind, queue_counts, until_drained
from local.commands.playing.wide_events import read_wide_events
from local.emabler.fleet.command_line import chargers, speed, transport
from local.emabler.fleet.expected import Expected
from local.emabler.fleet.faults import Rates, describe
from local.emabler.fleet.order import Transport
from local.errors import FolderError, LocalError
from local.service_bus import Counts
from local.stack import LocalAzure
from local.words import counted

LIST: Final = "list"
APP_FILE: Final = "function_app.py"
LOGS: Final = STATE / "logs" / "demo"
LOG_NAMES: Final = ("azurite.log", "broker.log", "emabler.log", "host.log")
_CALM_STEPS: Final = 20
_CALM_STEP_SECONDS: Final = 5
_HOURS_BETWEEN_LINES: Final = timedelta(hours=3)
_METER_MINUTES: Final = 15
# One worker serves taps and queue here, on a machine that also is Azure and eMabler. In Azure they
# scale apart; the demo shows how long a tap took, and is no test of the machine.
_TAP_BUDGET: Final = {"AUTHORIZATION_BUDGET_MILLISECONDS": "4500"}


def read_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        LocalError: `usage_wrong`; `part_missing`, there is no app where --app says.
    """
    parser = Arguments("demo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chargers", type=chargers, default=24)
    parser.add_argument("--faults", default="default")
    parser.add_argument("--speed", type=speed, default=3600.0)
    parser.add_argument("--push", type=transport, default=Transport.SERVICE_BUS)
    parser.add_argument("--app", type=Path, default=ROOT)
    parser.add_argument("--logs", type=Path, default=LOGS)
    arguments = parser.parse_args(words)
    if arguments.faults != LIST:
        Rates.read(arguments.faults)
    if not (arguments.app / APP_FILE).is_file():
        raise LocalError(
            "part_missing",
            f"there is no {APP_FILE} in {arguments.app}",
            "name the folder of the app with --app, or leave that out",
        )
    return arguments


async def demo() -> int:
    """Start the stack, play the day, and tell; 0 only if the store is what it must be."""
    arguments = read_arguments(sys.argv[1:])
    if arguments.faults == LIST:
        print(describe())
        return DONE
    forget_app_settings()
    make_room_for_logs(arguments.logs)
    console = Console(highlight=False)
    began = time.monotonic()
    console.print("[bold]Azure and eMabler on this machine[/]")
    async with LocalAzure(
        app=arguments.app,
        logs=arguments.logs,
        parts=parts_for(arguments.push),
        overrides=_TAP_BUDGET | NO_TIMER,
        before_host=lambda azure: _operator(azure).create_store(),
        report=lambda line: _tell(console, line),
    ) as azure:
        verdict = await _play(azure, arguments, console)
    console.print(telling.verdict(verdict))
    console.print(f"\nlogs: {arguments.logs}    {time.monotonic() - began:.0f} s in all")
    if not verdict.equal:
        telling.differences(console, verdict)
        return FAILED
    console.print("[bold green]The store holds exactly what it must.[/]")
    return DONE


def make_room_for_logs(folder: Path) -> None:
    """Take away the logs of the demo before, and nothing else: the folder may be anybody's.

    Raises:
        LocalError: `folder_unusable`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in LOG_NAMES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise FolderError(folder, "--logs", error) from error


async def _play(azure: LocalAzure, arguments: argparse.Namespace, console: Console) -> Verdict:
    operator, fleet = _operator(azure), FleetOnStack(azure)
    tags = await fleet.prepare(
        seed=arguments.seed,
        chargers=arguments.chargers,
        faults=arguments.faults,
        speed=arguments.speed,
        transport=arguments.push,
        meter_minutes=_METER_MINUTES,
    )
    now = datetime.now(UTC)
    file = await asyncio.to_thread(write_fleet_tags, _folder(azure) / "tags.csv", tags, now)
    await operator.run("tags", "import", file)
    console.print(
        f"\n[bold]A day on {counted(arguments.chargers, 'charger')}[/]  "
        f"(seed {arguments.seed}, faults {arguments.faults}, push by {arguments.push})"
    )
    _tell(
        console,
        f"{counted(len(tags), 'tag')} that eMabler asks about; the operator's list is imported",
    )
    await fleet.begin()
    await _watch(azure, fleet, console)
    counts = await _calm(azure, console)
    _tell(console, f"the queue is empty, dead letters: {counts.dead_lettered}")
    began = time.monotonic()
    await azure.host.run_function("reconcile")
    _tell(console, f"reconciled with eMabler's books in {time.monotonic() - began:.1f} s")
    expected = await fleet.expected()
    verdict = await _verdict(operator, expected)
    _tell(console, "the store was read with manage.py and compared with the truth")
    telling.day(console, expected, read_wide_events(azure.host.log_text()))
    return verdict


async def _watch(azure: LocalAzure, fleet: FleetOnStack, console: Console) -> None:
    """Tell how far the day has come, in steps of some hours, until it is over."""
    shown: datetime | None = None
    async for now in fleet.progress():
        if shown is None or now.at - shown >= _HOURS_BETWEEN_LINES or now.stage == "over":
            shown = now.at
            waiting = kafka_behind(azure) + (await queue_counts(azure)).waiting
            _tell(console, _progress(now, waiting))


async def _calm(azure: LocalAzure, console: Console) -> Counts:
    """Wait until the app has taken all that waits in the queue, and tell how it gets on.

    Raises:
        LocalError: `answer_missing`, it did not come to an end.
    """
    for _ in range(_CALM_STEPS):
        waiting = kafka_behind(azure) + (await queue_counts(azure)).waiting
        _tell(console, f"calm   messages that wait: {waiting}")
        with contextlib.suppress(LocalError):
            return await until_drained(azure, within=_CALM_STEP_SECONDS)
    return await until_drained(azure, within=_CALM_STEP_SECONDS)


def _progress(now: Progress, waiting: int) -> str:
    return (
        f"{now.at:%H:%M}  messages {now.messages:>5}, waiting {waiting:>4}; "
        f"sessions {now.begun:>3}; taps {now.asked:>3}, denied {now.denied:>2}"
    )


async def _verdict(operator: Operator, expected: Expected) -> Verdict:
    """Read the store with `manage.py` and compare."""
    sessions, sockets, events, parked = await asyncio.gather(
        operator.rows("sessions", "list"),
        operator.rows("chargers", "list"),
        operator.rows("events", "list"),
        operator.rows("parked", "list"),
    )
    return judge(expected, sessions=sessions, sockets=sockets, events=events, parked=parked)


def _operator(azure: LocalAzure) -> Operator:
    return Operator(azure.settings, _folder(azure))


def _folder(azure: LocalAzure) -> Path:
    return azure.data or STATE


def _tell(console: Console, line: str) -> None:
    console.print(f"  [green]✓[/] {line}")


if __name__ == "__main__":
    run_command(demo)
