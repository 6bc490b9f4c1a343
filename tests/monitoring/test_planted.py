"""Alerts on planted lines: what is told seldom, by quiet sites, or by timers that always fail."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.log_analytics.rules import Firing, evaluate, read_rules
from local.log_analytics.tables import TableRow
from local.log_analytics.workbook import all_parts, read_workbook
from local.log_analytics.workspace import Workspace

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
RULES = {rule.name: rule for rule in read_rules()}
FAILED = {"outcome": "failed", "error_code": "store_unavailable"}


def line(function: str, ago: timedelta, *, instance: str = "one", **fields: Any) -> TableRow:
    wide = {"event": "invocation", "schema": 1, "function": function, "outcome": "ok", **fields}
    row = {
        "TimeGenerated": NOW - ago,
        "OperationId": f"{function}{ago}",
        "AppRoleInstance": instance,
        "Message": json.dumps(wide, separators=(",", ":")),
    }
    return TableRow("AppTraces", row)


def lines(function: str, hours: float, *, every: timedelta = QUARTER, **f: Any) -> list[TableRow]:
    """A line each quarter of an hour, for so many hours until a minute ago."""
    first = timedelta(minutes=1)
    return [line(function, first + n * every, **f) for n in range(int(hours * HOUR / every))]


def healthy(hours: float = 47) -> list[TableRow]:
    """A night: each function does its work, each as often as by default."""
    return [
        *lines("ingest_push_events", hours),
        *lines("reconcile", hours),
        *lines("back_up", hours, backup_age_s=3600),
        *lines("retain", hours, every=24 * HOUR),
    ]


def but(function: str, told: Iterable[TableRow]) -> list[TableRow]:
    return [each for each in told if f'"function":"{function}"' not in each.row["Message"]]


def fired(alert: str, told: Iterable[TableRow]) -> list[Firing]:
    with Workspace() as workspace:
        workspace.add(told)
        return evaluate(RULES[alert], workspace, NOW)


def functions(told: Iterable[TableRow]) -> set[str]:
    """The functions that are called silent."""
    return {name for each in fired("function_silent", told) for name in each.dimensions}


@pytest.mark.parametrize("name", ["reconcile", "back_up", "retain"])
def test_a_timer_that_always_fails_is_silent(name: str) -> None:
    """Its runs come, and none does its work: too few of them for the share of failures."""
    every = 24 * HOUR if name == "retain" else QUARTER
    told = [*but(name, healthy()), *lines(name, 47, every=every, **FAILED)]

    assert functions(healthy()) == set()
    assert functions(told) == {name}


def test_a_backup_that_does_not_run_is_silent() -> None:
    """The timer of backups is expected like the others."""
    assert functions(but("back_up", healthy())) == {"back_up"}


def test_a_run_that_meets_another_is_no_failure() -> None:
    """While a long walk by hand holds the lease, the timer's runs find it held: nothing is late."""
    held = lines("reconcile", 47, outcome="failed", error_code="reconciliation_running")

    assert functions([*but("reconcile", healthy()), *held]) == set()


def test_the_snapshot_is_expected_where_it_is_tried() -> None:
    """Failing for an hour it is told; where it is not made at all, or no longer, nothing is."""
    often = timedelta(minutes=10)
    fails = lines("refresh_tag_snapshot", 5, every=often, **FAILED)
    off = [line("refresh_tag_snapshot", 6 * HOUR + n * often) for n in range(9)]

    assert functions([*healthy(), *fails]) == {"refresh_tag_snapshot"}
    assert functions([*healthy(), *lines("refresh_tag_snapshot", 5, every=often)]) == set()
    assert functions([*healthy(), *off]) == set()


def test_an_app_that_says_nothing_for_two_days_stays_told() -> None:
    """Without a single line in the window, all that is expected is late: nothing resolves."""
    assert functions([]) == {"ingest_push_events", "reconcile", "back_up", "retain"}


def test_a_backup_that_grows_old_is_told() -> None:
    """The age is that of the latest run that knew it, and goes on while runs fail or say none."""
    old = [
        line("back_up", 30 * HOUR, backup_age_s=20 * 3600),
        *lines("back_up", 29, backup="20261123T060000Z", finished=False),
    ]

    (found,) = fired("backup_old", old)
    assert found.value == pytest.approx(50)
    assert fired("backup_old", lines("back_up", 47, backup_age_s=30 * 3600)) == []


def test_a_first_backup_that_is_never_whole_is_told() -> None:
    """Its age counts from the first run that worked on one; none of that where none are taken."""
    assert fired("backup_old", lines("back_up", 47, backup="20261122T130000Z", finished=False))
    assert fired("backup_old", lines("back_up", 20, backup="20261123T160000Z")) == []
    assert fired("backup_old", lines("back_up", 47)) == []


def reconciled(ago: timedelta, n: int, *, proof_days: float, front_h: float = 0.25) -> TableRow:
    """A run tells the front each time, and the oldest proof in one run of four."""
    told: dict[str, Any] = {"front_age_s": front_h * 3600}
    if n % 4 == 0:
        told["oldest_proof_s"] = proof_days * 86400
    return line("reconcile", ago, **told)


@pytest.mark.parametrize("latest", range(4))
def test_an_old_proof_is_told_whichever_run_was_the_latest(latest: int) -> None:
    """The proof is told once an hour, and its alert does not come and go between."""
    minute = timedelta(minutes=1)

    def runs(**how: float) -> list[TableRow]:
        return [reconciled(minute + n * QUARTER, n + latest, **how) for n in range(12)]

    (found,) = fired("proof_old", runs(proof_days=30))
    assert found.value == pytest.approx((30 - 7) * 24)
    assert fired("proof_old", runs(proof_days=7.5)) == []
    assert fired("proof_old", runs(proof_days=7.5, front_h=50))


def test_a_proof_that_is_young_again_is_told_no_more() -> None:
    """Of each field the latest word counts, not the worst."""
    told = [reconciled(2 * HOUR, 0, proof_days=30), reconciled(HOUR, 0, proof_days=6)]

    assert fired("proof_old", told) == []


@pytest.mark.parametrize("pause", [3, 4, 5])
def test_the_picture_of_the_oldest_proof_has_no_gaps(pause: int) -> None:
    """Told in one run of some only, it is drawn wherever the front is, and grows older between."""
    told = [line("reconcile", n * QUARTER, front_age_s=120) for n in range(40)]
    told += [
        line("reconcile", n * QUARTER, front_age_s=120, oldest_proof_s=86400.0 - n * 900)
        for n in range(0, 40, pause)
    ]
    (query,) = (part.query for part in all_parts(read_workbook()) if part.name == "proof_front")

    with Workspace() as workspace:
        workspace.add(told)
        rows = workspace.query(query, until=NOW, lasting=9 * HOUR)

    assert len(rows) == 18 + 1
    known = [row["oldest_proof_h"] for row in rows[pause - 2 :]]
    assert None not in known
    assert known == sorted(known)
    assert {row["front_h"] for row in rows} == {120 / 3600}


def test_an_oldest_proof_that_is_told_no_more_is_drawn_no_more() -> None:
    """Two hours after the last word of it nobody knows."""
    told = [line("reconcile", n * QUARTER, front_age_s=120) for n in range(32)]
    told.append(line("reconcile", 32 * QUARTER, front_age_s=120, oldest_proof_s=86400))
    (query,) = (part.query for part in all_parts(read_workbook()) if part.name == "proof_front")

    with Workspace() as workspace:
        workspace.add(told)
        rows = workspace.query(query, until=NOW, lasting=9 * HOUR)

    assert [row["oldest_proof_h"] for row in rows][:5] == [24, 24.5, 25, 25.5, None]


def test_a_row_lost_at_a_quiet_site_is_told() -> None:
    """One tap in hours tells of it: no other line in the window is needed."""
    told = [
        line("push_webhook", 4 * HOUR, audit_lost=0),
        line("push_webhook", QUARTER, audit_lost=1, audit_lost_new=1),
    ]

    assert [each.value for each in fired("audit_lost", told)] == [1]


def test_a_worker_that_starts_anew_is_no_loss() -> None:
    """What a worker lost long ago is told once: its count that begins again is no new loss."""
    told = [
        line("push_webhook", QUARTER * 3, audit_lost=9),
        line("push_webhook", QUARTER * 2, audit_lost=0),
        line("push_webhook", QUARTER, audit_lost=0),
    ]

    assert fired("audit_lost", told) == []


@pytest.mark.parametrize("silent", [True, False])
def test_silence_is_as_the_latest_run_that_looked_says(silent: bool) -> None:  # noqa: FBT001
    """Runs that failed or did not come to look say nothing of it, and change nothing."""
    told = [
        line("reconcile", 2 * HOUR, push_silent=not silent),
        line("reconcile", HOUR, push_silent=silent),
        line("reconcile", 2 * QUARTER),
        line("reconcile", QUARTER, **FAILED),
    ]

    assert bool(fired("push_silent", told)) is silent


def requests(name: str, code: str, number: int = 9) -> list[TableRow]:
    """Requests of the host's own, that failed and left no line."""
    rows = (
        {
            "TimeGenerated": NOW - timedelta(minutes=n + 1),
            "OperationId": f"{name}{n}",
            "Name": name,
            "ResultCode": code,
            "Success": False,
        }
        for n in range(number)
    )
    return [TableRow("AppRequests", row) for row in rows]


@pytest.mark.parametrize("code", ["401", "404"])
def test_a_stranger_wakes_nobody(code: str) -> None:
    """Calls that the host turned away, of an address or a key that nobody has, are no failures."""
    told = [*healthy(), *requests("GET", code)]

    assert fired("invocations_failing", told) == []


@pytest.mark.parametrize(("name", "code"), [("push_webhook", "500"), ("reconcile", "0")])
def test_a_worker_that_was_lost_is_told(name: str, code: str) -> None:
    """Of an invocation whose worker ended, the host alone tells."""
    (found,) = fired("invocations_failing", [*healthy(), *requests(name, code)])

    assert found.dimensions == (name,)
