"""The demo's summary for a person: what was sent, what was answered, what came of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console, Group
from rich.table import Column, Table
from rich.text import Text

from local.commands.playing.verdict import Verdict
from local.commands.playing.wide_events import total
from local.emabler.fleet.expected import Expected, ExpectedTap

_MOST_DIFFERENCES: Final = 40
_DIFFERS: Final = {
    "stop_twice": "a second stop says otherwise; both are kept, in conflict",
    "meter_zero_at_start": "push counts from meter 0; REST's energy stands beside",
    "transaction_id_reused": "one id for two sessions; both are kept, in conflict",
    "offline": "told by a charger of 2022 that was offline: times of reception only",
}


def day(console: Console, expected: Expected, wide: list[dict[str, Any]]) -> None:
    """Tell what was pushed, tapped, parked and reconciled."""
    console.print()
    console.print(_events(expected))
    console.print(_taps(expected.taps))
    console.print(_what_the_app_says(wide), soft_wrap=True)
    found = total(wide, "reconcile", "sessions")
    console.print(f"Reconciliation found: {_counted(found) or 'nothing'}")
    nature = Counter(session.differs for session in expected.sessions if session.differs)
    for fault, count in sorted(nature.items()):
        console.print(f"  {count} differ from the books by nature: {_DIFFERS.get(fault, fault)}")


def _what_the_app_says(wide: list[dict[str, Any]]) -> str:
    """Add up the wide events; what they do not know to the last event is said as they say it."""
    function = "ingest_push_events"
    stored = total(wide, function, "stored")["stored"]
    repeated = total(wide, function, "repeated")["repeated"]
    parked = _counted(total(wide, function, "parked")) or "none"
    exact = all(each.get("counts_exact", True) for each in wide if each["function"] == function)
    most, least = ("", "") if exact else ("at most ", "at least ")
    return (
        f"The app says: {most}{stored} events stored, {least}{repeated} repeats, parked: {parked}"
    )


def verdict(judged: Verdict) -> Group:
    """The verdict, charger by charger, in a compact table."""
    table = Table(
        "charger",
        Column("books", justify="right"),
        Column("sessions", justify="right"),
        Column("sockets", justify="right"),
        Column("events", justify="right"),
        Column("taps", justify="right"),
        "store",
        title="The store and the truth",
        caption="books: sessions that eMabler lists",
        box=None,
        padding=(0, 2, 0, 0),
    )
    wrong = Counter(difference.charger for difference in judged.differences)
    for charger in sorted(judged.compared.keys() | wrong.keys()):
        counts = judged.compared.get(charger, Counter())
        names = ("books", "sessions", "sockets", "events", "taps")
        mark = f"[red]{wrong[charger]} differ[/]" if wrong[charger] else "[green]equal[/]"
        table.add_row(charger or "(none)", *(str(counts[name]) for name in names), mark)
    return Group(Text(), table)


def differences(console: Console, judged: Verdict) -> None:
    """List the differences with both values, up to some dozens."""
    console.print(f"\n[bold red]{len(judged.differences)} differences[/]")
    table = Table("charger", "what", "must be", "is", box=None, padding=(0, 2, 0, 0))
    for each in judged.differences[:_MOST_DIFFERENCES]:
        table.add_row(each.charger, each.what, each.must_be, each.is_)
    console.print(table)
    if len(judged.differences) > _MOST_DIFFERENCES:
        console.print(f"… and {len(judged.differences) - _MOST_DIFFERENCES} more")


def _events(expected: Expected) -> Table:
    table = Table(
        "message",
        *(Column(name, justify="right") for name in ("events", "sent", "again", "broken", "never")),
        title="What push brought",
        caption="again: sent twice or more; broken: unreadable; never: lost",
        box=None,
        padding=(0, 2, 0, 0),
    )
    kinds = sorted({event.type for event in expected.events})
    for kind in kinds:
        events = [event for event in expected.events if event.type == kind]
        sent = sum(event.sent for event in events)
        again = sum(max(event.sent - 1, 0) for event in events)
        broken = sum(event.sent > 0 and not event.bodies for event in events)
        never = sum(not event.sent for event in events)
        table.add_row(kind, *map(str, (len(events), sent, again, broken, never)))
    return table


def _taps(taps: Sequence[ExpectedTap]) -> Table:
    table = Table(
        "tap with a tag that is",
        *(Column(name, justify="right") for name in ("taps", "charge", "denied")),
        "decided by",
        title="What drivers met",
        caption=_latencies(taps),
        box=None,
        padding=(0, 2, 0, 0),
    )
    for standing in sorted({tap.standing for tap in taps}):
        these = [tap for tap in taps if tap.standing == standing]
        allowed = sum(tap.allowed for tap in these)
        told = Counter(tap.reason or tap.by for tap in these)
        table.add_row(
            standing.replace("_", " "),
            *map(str, (len(these), allowed, len(these) - allowed)),
            _counted(told),
        )
    return table


def _latencies(taps: Sequence[ExpectedTap]) -> str:
    seconds = sorted(tap.seconds for tap in taps if tap.seconds is not None)
    if not seconds:
        return "no tap was asked about"

    def at(share: float) -> str:
        return f"{seconds[min(int(len(seconds) * share), len(seconds) - 1)] * 1000:.0f} ms"

    return f"{len(seconds)} asked of the app: p50 {at(0.5)}, p95 {at(0.95)}, worst {at(1)}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
