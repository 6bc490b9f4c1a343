"""Monitoring: two days at the ingestion endpoint, and what the real host tells of known work.

The days are played in virtual time (`python -m tests.monitoring`); their telemetry goes over HTTP
to the endpoint, and the queries of alerts and workbook run on what it captured.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Column, Table

from local.app_insights.process import AppInsights
from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.told_by_the_host import figures_of_the_host
from local.commands.frame import ROOT, STATE
from local.errors import LocalError
from local.log_analytics.rules import Firing, Rule, play, read_rules
from local.log_analytics.tables import read_row, rows_of
from local.log_analytics.workbook import all_parts, read_workbook
from local.log_analytics.workspace import Workspace

CANARY = "CANARY"
"""Part of every tag of the fleet."""

_SHORT = timedelta(minutes=15)
_DAY = timedelta(hours=24)
_LATE_EVENING = 23


@dataclass(frozen=True, slots=True)
class Day:
    """What was captured of a day, and what came of it.

    Attributes:
        fired: by alert, all that it fired.
        rows: by query of the workbook, how many rows it gave.
        faults: how many there were.
        raises: the alerts that had to fire.
        items: how many items of telemetry there were.
        canaries: in how many of them a tag was told.
    """

    fired: Mapping[str, Sequence[Firing]]
    rows: Mapping[str, int]
    faults: int
    raises: frozenset[str]
    items: int
    canaries: int

    def as_wanted(self, name: str) -> bool:
        """Whether an alert fired, or stayed quiet, as it had to."""
        return bool(self.fired[name]) == (name in self.raises)


async def check(ground: Ground) -> Verdict:
    """Play a calm day and one with faults; then let the real host tell of known work."""
    rules = read_rules()
    if ground.short:
        # Windows are no shorter than that: nothing escapes, and it takes a third of the time.
        rules = [replace(rule, frequency=max(rule.frequency, _SHORT)) for rule in rules]
    calm, faulty = await asyncio.gather(
        _day(ground, rules, faults=False), _day(ground, rules, faults=True)
    )
    host = await figures_of_the_host(ground)
    right = sum(calm.as_wanted(rule.name) and faulty.as_wanted(rule.name) for rule in rules)
    fired = sum(bool(each) for each in faulty.fired.values())
    answered = sum(count > 0 for count in faulty.rows.values())
    canaries = calm.canaries + faulty.canaries + host.canaries
    return Verdict(
        how=f"a calm day and one with {faulty.faults} faults at the ingestion endpoint "
        f"({calm.items + faulty.items} items); {host.how}",
        figure=f"{right} of {len(rules)} alerts right ({fired} fired, on the calm day "
        f"{sum(bool(each) for each in calm.fired.values())}); {answered} of {len(faulty.rows)} "
        f"queries of the workbook give rows; {host.figure}; {canaries} items tell a tag",
        passed=right == len(rules)
        and answered == len(faulty.rows)
        and host.right
        and canaries == 0,
        shown=_table(rules, calm, faulty),
    )


async def _day(ground: Ground, rules: Sequence[Rule], *, faults: bool) -> Day:
    folder = (ground.azure.data or STATE) / ("faults" if faults else "calm")
    seed = ground.chance.randrange(1000)
    # Whole days, of which the endpoint takes all items: none older than 48 h, none far ahead.
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    began = midnight if now.hour >= _LATE_EVENING else midnight - _DAY
    async with await AppInsights.start(folder) as endpoint:
        told = await _played(endpoint, began, seed, faults=faults)
        captured = endpoint.envelopes()
        canaries = sum(CANARY in json.dumps(each) for each in captured)
        if len(captured) != told["sent"]:
            raise LocalError(
                "answer_missing",
                f"{told['sent']} items were sent and {len(captured)} captured",
                f"read the endpoint's log in {folder}",
            )
    with Workspace() as workspace:
        workspace.add(rows_of(captured))
        workspace.add(read_row(table, row) for table, row in told["azure"])
        ended = datetime.fromisoformat(told["ended"])
        fired = await asyncio.to_thread(play, rules, workspace, began, ended)
        parts = all_parts(read_workbook())
        rows = {
            part.name: len(workspace.query(part.query, until=ended, lasting=_DAY)) for part in parts
        }
    by_rule = {rule.name: [each for each in fired if each.rule == rule.name] for rule in rules}
    raises = frozenset(told["raises"])
    return Day(by_rule, rows, told["faults"], raises, len(captured), canaries)


async def _played(
    endpoint: AppInsights, began: datetime, seed: int, *, faults: bool
) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.monitoring", "--to", endpoint.connection_string),
        *("--began", began.isoformat(), "--seed", str(seed)),
        *(("--faults",) if faults else ()),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise LocalError(
            "command_failed", "the day could not be played", "read what is written above"
        )
    told: dict[str, Any] = json.loads(output)
    return told


def _table(rules: Sequence[Rule], calm: Day, faulty: Day) -> Table:
    table = Table(
        Column("alert or query", no_wrap=True),
        Column("calm day", justify="right"),
        Column("day with faults"),
        Column("must"),
        "",
        title="Alerts, then the workbook's queries",
    )
    for rule in rules:
        right = calm.as_wanted(rule.name) and faulty.as_wanted(rule.name)
        table.add_row(
            rule.name,
            _said(calm.fired[rule.name], rule),
            _said(faulty.fired[rule.name], rule),
            "fire" if rule.name in faulty.raises else "stay quiet",
            "[green]right[/]" if right else "[bold red]wrong[/]",
        )
    table.add_section()
    for name, rows in faulty.rows.items():
        right = rows > 0
        table.add_row(
            name,
            f"{calm.rows[name]} rows",
            f"{rows} rows",
            "give rows",
            "[green]right[/]" if right else "[bold red]wrong[/]",
        )
    return table


def _said(fired: Sequence[Firing], rule: Rule) -> str:
    if not fired:
        return "quiet"
    first, most = fired[0], max(fired, key=lambda each: each.value)
    whom = ", ".join(dict.fromkeys(" ".join(each.dimensions) for each in fired if each.dimensions))
    about = f" ({whom})" if whom else ""
    return f"{first.at:%H:%M}, up to {most.value:.4g} {rule.unit}{about}"


CLAIM = Claim(
    "monitoring",
    "A fault raises its alert, and a calm day raises none.",
    check,
)
