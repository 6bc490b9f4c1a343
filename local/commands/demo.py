"""`python dev.py demo`: the whole product on this machine, with what came of each step.

Starts an empty local Azure, plays eMabler's morning on three chargers (`local.emabler.examples`),
reconciles, reads the store back with `manage.py`, and compares it with what was expected by hand.
"""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from local.commands.frame import DONE, FAILED, STATE, Arguments, run_command
from local.commands.playing.comparing import compare_events, compare_sessions, compare_sockets
from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.operator import Operator, forget_app_settings
from local.commands.playing.sender import OK, Sender, TapAnswer
from local.commands.playing.watching import until_drained
from local.emabler.examples import GENERATIONS, Morning, load
from local.errors import LocalError
from local.stack import LocalAzure

LOGS = STATE / "logs" / "demo"
DRAINED_WITHIN_SECONDS = 45
# These go by webhook, the others straight to the queue; the last one goes both ways.
BY_WEBHOOK = ("v1/charger_state", "v2-2025-04/measurements", "v2/charger_boot")
TWICE = "v2/full_transaction"
CHARGER = "HKI-JATKASAARI-12"
UNAUTHORIZED = 401

type Row = dict[str, Any]


@dataclass(frozen=True)
class Tap:
    """One tap of the demo: whose tag, and what must be answered."""

    who: str
    tag: str
    allowed: bool
    reason: str | None


TAPS = (
    Tap("a tag that was imported", "04C90E5A7D2180", allowed=True, reason=None),
    Tap(
        "a tag that is blocked", "04F1186B3EA980", allowed=False, reason="UNAUTHORIZED_RFID_TAG_ID"
    ),
    Tap("a tag nobody knows", "04DEAD00BEEF80", allowed=False, reason="UNKNOWN_RFID_TAG_ID"),
)
IMPORTED = (CsvTag(TAPS[0].tag, type="TAG"), CsvTag(TAPS[1].tag, blocked="yes", type="TAG"))


async def demo() -> int:
    """Start the stack, play, and tell; 0 only if the store holds what it should."""
    Arguments("demo").parse_args(sys.argv[1:])
    forget_app_settings()
    shutil.rmtree(LOGS, ignore_errors=True)
    console = Console(highlight=False)
    began = time.monotonic()
    console.print("[bold]Azure and eMabler on this machine[/]")
    async with LocalAzure(
        logs=LOGS,
        before_host=lambda azure: operator_of(azure).create_store(),
        report=lambda line: console.print(f"  [green]✓[/] {line}"),
    ) as azure:
        differences = await play(azure, console)
    console.print(f"\nlogs: {LOGS}    {time.monotonic() - began:.0f} s in all")
    if differences:
        console.print(f"\n[bold red]{len(differences)} differences from what was expected[/]")
        for difference in differences:
            console.print(f"  [red]✗[/] {difference}", markup=True)
        return FAILED
    console.print("[bold green]The store holds exactly what it should.[/]")
    return DONE


def operator_of(azure: LocalAzure) -> Operator:
    """Give an operator with the stack's settings."""
    return Operator(azure.settings, azure.data or STATE)


async def play(azure: LocalAzure, console: Console) -> list[str]:
    """Play the morning on a running stack.

    Returns:
        What differs from the expectation; empty when all is well.
    """
    operator = operator_of(azure)
    morning = load(datetime.now(UTC))
    for shelf, records in morning.books.items():
        await azure.emabler.put(shelf, records)
    async with Sender(azure) as sender:
        differences = await _push(azure, sender, morning, console)
        differences += await _tap(operator, azure, sender, console)
    differences += await _reconcile(azure, console)
    events = await operator.rows("events", "list")
    sessions = await operator.rows("sessions", "list")
    sockets = await operator.rows("chargers", "list")
    console.print()
    console.print(_events_table(morning, events))
    console.print(_sessions_table(sessions))
    console.print(_sockets_table(sockets))
    expected = morning.expected
    return [
        *differences,
        *compare_events(expected.events, events),
        *compare_sessions(expected.sessions, sessions),
        *compare_sockets(expected.chargers, sockets),
    ]


async def _push(azure: LocalAzure, sender: Sender, morning: Morning, console: Console) -> list[str]:
    console.print("\n[bold]eMabler pushes[/]")
    checked, stranger = await sender.check(), await sender.call_without_authorization()
    _tell(
        console, f"the webhook answers eMabler's check with {checked}, a stranger with {stranger}"
    )
    by_webhook = [morning.messages[name] for name in (*BY_WEBHOOK, TWICE)]
    by_queue = [body for name, body in morning.messages.items() if name not in BY_WEBHOOK]
    began = time.monotonic()
    sent = await sender.to_queue(by_queue)
    called = await sender.to_webhook(by_webhook)
    counts = await until_drained(azure, within=DRAINED_WITHIN_SECONDS)
    _tell(console, f"{sent} messages by Service Bus, {called} by webhook, one of them both ways")
    took = time.monotonic() - began
    _tell(console, f"all taken in {took:.1f} s, dead letters: {counts.dead_lettered}")
    differences = []
    if (checked, stranger) != (OK, UNAUTHORIZED):
        differences.append("the webhook answers its check or a stranger wrongly")
    if counts.dead_lettered:
        differences.append(f"{counts.dead_lettered} messages were dead-lettered")
    return differences


async def _tap(
    operator: Operator, azure: LocalAzure, sender: Sender, console: Console
) -> list[str]:
    console.print("\n[bold]Drivers tap[/]")
    await operator.run("tags", "import", write_tags((azure.data or STATE) / "tags.csv", IMPORTED))
    _tell(console, f"{len(IMPORTED)} tags imported, one of them blocked")
    differences = []
    for tap in TAPS:
        answer = await sender.tap(CHARGER, tap.tag)
        verdict = "may charge" if answer.body.get("charging_allowed") else "may not charge"
        reason = f", {answer.body['reason']}" if answer.body.get("reason") else ""
        _tell(console, f"{tap.who} {verdict}{reason} ({answer.seconds * 1000:.0f} ms)")
        if not _right(tap, answer):
            differences.append(f"{tap.who} was answered {answer.status} {answer.body}")
    return differences


def _right(tap: Tap, answer: TapAnswer) -> bool:
    return (
        answer.status == OK
        and answer.body.get("charging_allowed") is tap.allowed
        and answer.body.get("reason") == tap.reason
    )


async def _reconcile(azure: LocalAzure, console: Console) -> list[str]:
    console.print("\n[bold]The store is compared with eMabler's books[/]")
    began = time.monotonic()
    try:
        await azure.host.run_function("reconcile")
    except LocalError as error:
        return [f"reconcile failed: {error.what}"]
    pages = len(await azure.emabler.calls())
    took = time.monotonic() - began
    _tell(console, f"eMabler's REST API was asked {pages} times, in {took:.1f} s")
    _tell(console, "it knows a session that push never told of: see 'rest' below")
    return []


def _tell(console: Console, line: str) -> None:
    console.print(f"  [green]✓[/] {line}")


def _events_table(morning: Morning, rows: Sequence[Row]) -> Table:
    table = Table(
        "event",
        *GENERATIONS,
        "sent",
        "in the journal",
        title="Journal",
        caption="some shapes of 2022 and April 2025 cannot be told apart",
    )
    types = sorted({event.type for event in morning.expected.events})
    found = Counter((row["type"], row["generation"]) for row in rows)
    for kind in types:
        by_generation = [found[kind, generation] for generation in GENERATIONS]
        sent = sum(event.type == kind for event in morning.expected.events)
        table.add_row(kind, *map(str, by_generation), str(sent), str(sum(by_generation)))
    return table


def _sessions_table(rows: Sequence[Row]) -> Table:
    charger = Column(
        "charger", no_wrap=True, min_width=max((len(row["charger"]) for row in rows), default=0)
    )
    table = Table(charger, "socket", "start", "end", "kWh", "known from", title="Sessions")
    for row in sorted(rows, key=lambda row: str(row["start"])):
        energy = row["energy_wh"]
        table.add_row(
            row["charger"],
            str(row["socket"]),
            _clock(row["start"]),
            _clock(row["end"]) or row["state"],
            "" if energy is None else f"{energy / 1000:.2f}",
            ", ".join(row["sources"]),
        )
    return table


def _sockets_table(rows: Sequence[Row]) -> Table:
    table = Table("charger", "socket", "status", "error", "since", title="Sockets")
    for row in sorted(rows, key=lambda row: (row["charger"], row["socket"] or 0)):
        if row["socket"] is not None:
            error = row["error_code"] or ""
            since = _clock(row["instant"])
            table.add_row(row["charger"], str(row["socket"]), row["status"], error, since)
    return table


def _clock(instant: str | None) -> str:
    return f"{datetime.fromisoformat(instant):%H:%M:%S}" if instant else ""


if __name__ == "__main__":
    run_command(demo)
