"""What the queries of alerts and workbook give does not depend on how telemetry leaves the app.

The real host does the same known work twice, once telling it through its logger and once by
OpenTelemetry; each query that reads wide events gives the same rows of both captures, but for
times.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.operator import Operator
from local.commands.playing.sender import Sender
from local.commands.playing.watching import queue_counts, until_drained
from local.emabler.records import FinishedSession
from local.functions_host.process import FunctionFailedError, FunctionsHost
from local.log_analytics.rules import MONITORING, evaluate, read_rules
from local.log_analytics.tables import rows_of
from local.log_analytics.workspace import Result, Workspace
from local.processes import until
from local.stack import OPENTELEMETRY, LocalAzure, Part
from shared.instants import format_instant
from tests import payloads

SETTINGS = {
    "EMABLER_RETRY_SECONDS": "0",
    "RECONCILE_SETTLING_MINUTES": "0",
    "RECONCILE_OVERLAP_MINUTES": "0",
    # Nobody's timers: runs are started.
    "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
    "BACKUP_SCHEDULE": "0 0 0 1 1 *",
    "RETENTION_SCHEDULE": "0 0 0 1 1 *",
}
MODES = {"log": dict[str, str](), "opentelemetry": OPENTELEMETRY}
LASTING = timedelta(hours=6)
CHARGER, KNOWN, UNKNOWN = "HKI-JATKASAARI-12", "04CANARY0001", "04CANARY0002"
FIRES = {
    "findings_new",
    "ingestion_age",
    "invocations_failing",
    "parked_messages",
    "push_silent",
    "taps_by_policy",
    "tokens_refused",
    "unknown_tags",
}
"""What the work raises; `taps_slow` is the machine's."""

QUERIES: Mapping[str, str] = {
    f"{path.parent.name}/{path.stem}": text
    for path in sorted(MONITORING.rglob("*.kql"))
    if "parse_json(Message)" in (text := path.read_text(encoding="utf-8"))
}
TIMES = frozenset(
    (
        "TimeGenerated",
        *("age_h", "age_min", "late_h", "front_h", "oldest_proof_h"),
        *("half", "most", "oldest", "slowest", "p95_ms", "seconds"),
        # As many as fit to how fast it all went.
        "requests",
    )
)
"""Columns whose values are told by clocks."""
_TIMES_AT_A_GLANCE = frozenset(("s", "min", "MB"))


@dataclass(frozen=True, slots=True)
class Told:
    """What the queries give of one capture."""

    rows: Mapping[str, Result]
    fired: frozenset[str]


@pytest.fixture(scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Told]:
    """The same work, told in each mode."""
    found = {}
    for mode, settings in MODES.items():
        folder = tmp_path_factory.mktemp(mode)
        async with LocalAzure(
            data=folder / "data",
            parts=tuple(Part),
            overrides=settings | SETTINGS,
            before_host=lambda azure, folder=folder: Operator(  # type: ignore[misc]
                azure.settings, folder
            ).create_store(),
        ) as azure:
            await work(azure, folder)
            await azure.host.stop()
            found[mode] = read(azure.insights.envelopes())
    return found


def read(envelopes: list[dict[str, Any]]) -> Told:
    """Ask all queries of a capture, over bins that nothing falls between."""
    with Workspace() as workspace:
        workspace.add(rows_of(envelopes))
        now = datetime.now(UTC)
        rules = [replace(rule, window=max(rule.window, LASTING)) for rule in read_rules()]
        return Told(
            {
                name: workspace.query(wide_bins(query), until=now, lasting=LASTING)
                for name, query in QUERIES.items()
            },
            frozenset(rule.name for rule in rules if evaluate(rule, workspace, now)),
        )


def wide_bins(query: str) -> str:
    return re.sub(r"(bin\([^()]*, )\d+[mhd]\)", r"\g<1>1000d)", query)


async def work(azure: LocalAzure, folder: Path) -> None:
    """Good and bad messages, taps and strangers, runs that find and that fail, a worker's end."""
    known = write_tags(folder / "tags.csv", [CsvTag(KNOWN, type="TAG")])
    await Operator(azure.settings, folder).run("tags", "import", known)
    await azure.host.run_function("reconcile")
    now = datetime.now(UTC)
    async with Sender(azure) as sender:
        poison = [f"this is no JSON: {number}".encode() for number in range(3)]
        await sender.to_queue([*states(40), stopped(1, now), *poison])
        await sender.to_webhook([state(now)])
        for tag in [KNOWN] * 6 + [UNKNOWN] * 12:
            await sender.tap(CHARGER, tag)
        for _ in range(25):
            await sender.call_without_authorization()
        await until_drained(azure, within=60)
        await runs(azure, now)
        await arrived(azure)
        await lose_a_worker(azure, sender)
    await until_drained(azure, within=60)
    await arrived(azure, lost=1)


async def runs(azure: LocalAzure, now: datetime) -> None:
    """Runs of timers: energies differ, push is silent, REST fails; a backup and retention."""
    told_otherwise = listed(1, now, energy_wh=9_000)
    not_pushed = [listed(number, now) for number in range(2, 8)]
    await azure.emabler.put("sessions", [told_otherwise, *not_pushed])
    await azure.host.run_function("reconcile")
    await azure.emabler.put_faults("failing=1 status=500")
    for _ in range(3):
        with suppress(FunctionFailedError):
            await azure.host.run_function("reconcile")
    await azure.emabler.put_faults()
    for function in ("back_up", "retain"):
        await azure.host.run_function(function)


async def lose_a_worker(azure: LocalAzure, sender: Sender) -> None:
    """While the store is away taps are answered without it, and a batch loses its worker."""
    await azure.azurite.stop()
    for _ in range(4):
        await sender.tap(CHARGER, KNOWN)
    await arrived(azure)
    await sender.to_queue([state(datetime.now(UTC))])

    async def taken() -> bool:
        return (await queue_counts(azure)).locked > 0

    await until(taken, within=60, what="a batch")
    assert isinstance(azure.host, FunctionsHost)
    for pid in await azure.host.worker_pids():
        os.kill(pid, signal.SIGKILL)
    await azure.azurite.restart()


async def arrived(azure: LocalAzure, *, lost: int = 0) -> None:
    """Wait until all that was printed is captured, with the host's word on each invocation."""

    async def all_told() -> bool:
        texts = [each["data"]["baseData"].get("message", "") for each in azure.insights.envelopes()]
        lines = sum(text.startswith('{"event":"invocation"') for text in texts)
        printed = azure.host.log_text().count('{"event":"invocation"')
        requests = len(azure.insights.envelopes("RequestData"))
        return bool(printed == lines == requests - lost)

    await until(all_told, within=120, what="the capture")


def states(count: int) -> list[bytes]:
    """Messages of some hours ago, which come late."""
    first = datetime.now(UTC) - timedelta(hours=3)
    return [state(first + timedelta(seconds=number)) for number in range(count)]


def state(at: datetime) -> bytes:
    told = format_instant(at)
    return payloads.state_v2(chargerId=CHARGER, receivedTimestamp=told, deviceTimeStamp=told)


def stopped(number: int, at: datetime) -> bytes:
    """What push tells of a session."""
    return payloads.full_v2(
        chargerId=CHARGER,
        transactionId=str(number),
        receivedTimestamp=format_instant(at),
        deviceTimeStampStart=format_instant(at - timedelta(minutes=40)),
        deviceTimeStampEnd=format_instant(at),
        meterReadStart=0,
        meterReadEnd=4_000,
        consumptionWh=4_000,
    )


def listed(number: int, at: datetime, *, energy_wh: int = 4_000) -> dict[str, Any]:
    """What REST tells of one, of two chargers by turns but for the first."""
    record = FinishedSession(
        id=number,
        charger_id=CHARGER if number == 1 else f"HKI-SILENT-{number % 2}",
        socket_id=1,
        timestamp_start=format_instant(at - timedelta(minutes=40)),
        timestamp_end=format_instant(at),
        evse_transaction_id=str(number),
        full_consumption_wh=energy_wh,
    )
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def without_times(rows: Result) -> list[str]:
    """Rows to be compared: of what a clock told only whether it was told."""
    found = []
    for row in rows:
        clock = TIMES | ({"value"} if row.get("unit") in _TIMES_AT_A_GLANCE else frozenset())
        found.append(repr({n: v is None if n in clock else v for n, v in sorted(row.items())}))
    return sorted(found)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", QUERIES)
def test_a_query_gives_the_same_in_both_modes(name: str, told: Mapping[str, Told]) -> None:
    """The same rows for the same work, whichever way its telemetry left."""
    log, opentelemetry = (told[mode].rows[name] for mode in MODES)

    assert without_times(opentelemetry) == without_times(log)


@pytest.mark.timeout(600)
def test_each_query_has_something_to_give(told: Mapping[str, Told]) -> None:
    """Of this work each query gives rows, but for the one that tells of what was not done."""
    quiet = {name for name, rows in told["log"].rows.items() if not rows}

    assert quiet == {"alerts/function_silent"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_alerts_fire(mode: str, told: Mapping[str, Told]) -> None:
    """What the work raises is raised, in both modes, and nothing else."""
    assert told[mode].fired - {"taps_slow"} == FIRES


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_a_lost_worker_is_told(mode: str, told: Mapping[str, Told]) -> None:
    """Of an invocation that left no line the host tells, by the function's name in both modes."""
    failures = {row["what"]: row["failures"] for row in told[mode].rows["workbook/failures"]}

    assert failures == {
        "ingest_push_events: worker_lost": 1,
        "push_webhook: store_away": 4,
        "reconcile: rest_failing": 3,
    }
