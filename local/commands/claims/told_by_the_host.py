"""Monitoring on the real parts: known work, and the workbook's numbers of it, to the message."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.app_insights.process import AppInsights
from local.commands.claims.claim import Ground
from local.commands.claims.messages import states
from local.commands.frame import STATE
from local.commands.playing.sender import Sender
from local.commands.playing.watching import until_drained
from local.functions_host.insights import SETTING
from local.log_analytics.rules import evaluate, read_rules
from local.log_analytics.tables import rows_of
from local.log_analytics.workbook import all_parts, read_workbook
from local.log_analytics.workspace import Workspace
from local.processes import until
from local.stack import OPENTELEMETRY

_GOOD, _POISON, _TAPS, _STRANGERS = 150, 3, 24, 25
_WANTED = {"ingestion_age", "parked_messages", "tokens_refused", "unknown_tags"}
"""The messages are told to be hours old."""
_BY_THE_MACHINE = {"taps_slow"}
"""A machine that does much else may be slow: that is no mistake of the queries."""
_HOUR = timedelta(hours=1)
_TAG = "04CANARY0001"


@dataclass(frozen=True, slots=True)
class Told:
    """What the queries give of what the host told, beside what was done."""

    how: str
    figure: str
    right: bool
    canaries: int


@dataclass(frozen=True, slots=True)
class _Captured:
    """What the queries give of one capture."""

    messages: float
    taps: float
    fired: frozenset[str]
    canaries: int

    @property
    def right(self) -> bool:
        """Whether it is what was done."""
        counted = (self.messages, self.taps) == (_GOOD + _POISON, _TAPS)
        return counted and _WANTED <= self.fired <= _WANTED | _BY_THE_MACHINE

    @property
    def said(self) -> str:
        """The numbers, for a person."""
        return (
            f"{self.messages:.0f} messages and {self.taps:.0f} taps, "
            f"{len(self.fired)} alerts: {', '.join(sorted(self.fired))}"
        )


async def figures_of_the_host(ground: Ground) -> Told:
    """Start the host anew with telemetry on, in each mode; give it work, and ask the queries."""
    log = await _figures(ground, "log", {})
    opentelemetry = await _figures(ground, "opentelemetry", OPENTELEMETRY)
    return Told(
        how=f"the real host twice, by its logger and by OpenTelemetry: {_GOOD} good messages, "
        f"{_POISON} of poison, {_TAPS} taps with an unknown tag, {_STRANGERS} calls without "
        "authorization",
        figure=f"of the real host by its logger {log.said}; by OpenTelemetry {opentelemetry.said}",
        right=log.right and opentelemetry.right,
        canaries=log.canaries + opentelemetry.canaries,
    )


async def _figures(ground: Ground, mode: str, settings: Mapping[str, str]) -> _Captured:
    async with await AppInsights.start((ground.azure.data or STATE) / f"host-{mode}") as endpoint:
        await ground.azure.host.stop()
        ground.azure.settings.update({SETTING: endpoint.connection_string, **settings})
        await ground.azure.start_host()
        # The host is at another address now.
        async with Sender(ground.azure) as sender:
            await _work(ground, sender)

        async def all_told() -> bool:
            return _calls_told(endpoint) >= _TAPS + _STRANGERS

        await until(all_told, within=30, what="that the host told of all calls")
        # What it still has to tell it sends when it stops.
        await ground.azure.host.stop()
        captured = endpoint.envelopes()
    with Workspace() as workspace:
        workspace.add(rows_of(captured))
        now = datetime.now(UTC)
        queries = {part.name: part.query for part in all_parts(read_workbook())}
        glance = {
            row["what"]: row["value"]
            for row in workspace.query(queries["at_a_glance"], until=now, lasting=_HOUR)
        }
        return _Captured(
            messages=glance["messages taken in"],
            taps=glance["taps answered"],
            fired=frozenset(rule.name for rule in read_rules() if evaluate(rule, workspace, now)),
            canaries=sum(_TAG in json.dumps(each) for each in captured),
        )


def _calls_told(endpoint: AppInsights) -> int:
    requests = endpoint.envelopes("RequestData")
    return sum(each["data"]["baseData"]["name"] == "push_webhook" for each in requests)


async def _work(ground: Ground, sender: Sender) -> None:
    poison = [f"this is no JSON: {number}".encode() for number in range(_POISON)]
    await sender.to_queue([*states("TOLD", _GOOD), *poison])
    await until_drained(ground.azure, within=60)
    await asyncio.gather(*(sender.tap("TOLD-00", _TAG) for _ in range(_TAPS)))
    for _ in range(_STRANGERS):
        await sender.call_without_authorization()
