"""The commands on what reconciliation knows: runs, windows, findings."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.identifiers import hash_tag, identifier_of
from shared.reconciliation.finding_book import FindingBook, repaired
from shared.reconciliation.findings import Finding, FindingClass, State, known_from_row
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.runs import Outcome
from shared.reconciliation.windows import Window, windows_of
from shared.storage.ledger_keys import CLOSED_ROWS, OPEN_ROWS
from shared.storage.tables import RECONCILIATION
from tests.management.operator import SECRET, Operator
from tests.reconciliation.books import Clock

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SESSION = "CH-0042|1032427936"
KEY = SECRET.encode()


def differs(cls: FindingClass, session: str = SESSION, end: datetime = NOW) -> Finding:
    part, transaction = session.split("|")
    charger = identifier_of(part)
    return Finding(
        cls, session, NOW, charger, transaction, {"energy_wh": 900.0}, {"energy_wh": 800.0}, end
    )


ENERGY = differs(FindingClass.ENERGY_DIFFERS)
TAG = replace(
    differs(FindingClass.TAG_DIFFERS),
    store={"tag": hash_tag("TAG123", KEY)},
    emabler={"tag": hash_tag("OTHER", KEY)},
)
EARLIER = differs(FindingClass.MISSING_AT_EMABLER, "=2B1|7", NOW - 3 * DAY)
PERMISSION = Finding(
    FindingClass.PERMISSION_MISSING,
    None,
    NOW,
    emabler={"permission": "ReadSessions"},
    subject="finished sessions",
)
MISSING = differs(FindingClass.MISSING_IN_STORE, "CH-0046|8")


@pytest.fixture
async def reconciled(operator: Operator) -> Operator:
    """An operator whose store was reconciled twice, and has a gap."""
    clock = Clock()
    for run in ("first", "second"):
        ledger = await Ledger.take(
            operator.tables, clock, run=run, holder="timer", lasts=timedelta(minutes=3)
        )
        book = await FindingBook.read(operator.tables)
        met = [ENERGY, TAG, EARLIER, PERMISSION]
        writes = book.seen(met, compared=[], classes=[], as_of=NOW)
        windows = [
            *windows_of(Window(NOW - 3 * DAY, NOW - 2 * DAY, NOW, kind="front", run=run)),
            *windows_of(Window(NOW - 2 * DAY + HOUR, NOW - HOUR, clock(), kind="front", run=run)),
        ]
        await ledger.commit(findings=[*writes, repaired(MISSING)], windows=windows)
        row = ledger.opening(
            ended=clock() + timedelta(seconds=90),
            outcome=Outcome.OK,
            complete=True,
            windows=4,
            pages=5,
            requests=6,
            sessions={"confirmed": 12, "repaired": 1},
            found=dict(Counter(str(each.cls) for each in writes)),
            front=NOW - HOUR,
        )
        await ledger.commit(front=NOW - HOUR, run=row)
        await ledger.release()
        clock.advance(minutes=15)
    return operator


async def test_runs_are_listed_the_newest_first(reconciled: Operator) -> None:
    """For people with counts in words, for programs whole; by their beginning."""
    ran = await reconciled.run("runs", "list", "--json")
    lines = (await reconciled.run("runs", "list", "--limit", "1")).lines
    early = await reconciled.run("runs", "list", "--to", "2026-11-02T12:10:00Z", "--json")

    assert ran.all("id") == ["second", "first"]
    assert ran.all("seconds") == [90.0, 90.0]
    assert ran.rows[1]["sessions"] == {"confirmed": 12, "repaired": 1}
    assert (ran.rows[0]["found"], ran.rows[1]["found"]["energy_differs"]) == ({}, 1)
    assert len(lines) == 2
    assert "confirmed 12, repaired 1" in lines[1]
    assert early.all("id") == ["first"]


async def test_windows_are_listed_day_by_day(reconciled: Operator) -> None:
    """Each day tells its oldest proof and its gaps; what is beyond the front is no gap."""
    ran = await reconciled.run(
        "windows", "list", "--json", "--from", "2026-10-29", "--to", "2026-11-03"
    )

    told = [(row["day"], row["proven"], row["gaps"]) for row in ran.rows]
    gap = "2026-10-31T12:00:00.000000Z to 2026-10-31T13:00:00.000000Z"
    assert told == [
        ("2026-10-29", "not", ["2026-10-29T00:00:00.000000Z to 2026-10-30T00:00:00.000000Z"]),
        ("2026-10-30", "part", ["2026-10-30T00:00:00.000000Z to 2026-10-30T12:00:00.000000Z"]),
        ("2026-10-31", "part", [gap]),
        ("2026-11-01", "whole", []),
        ("2026-11-02", "so far", []),
        ("2026-11-03", "not", []),
    ]
    assert [row["as_of"] for row in ran.rows[2:4]] == [
        "2026-11-02T12:00:00.000000Z",
        "2026-11-02T12:15:00.000000Z",
    ]
    assert "the front is at 2026-11-02T11:00:00.000000Z" in ran.err


async def test_each_window_can_be_seen(reconciled: Operator) -> None:
    """Those that are kept, with the run that proved them: a newer one has replaced an older."""
    ran = await reconciled.run(
        "windows", "list", "--each", "--json", "--from", "2026-10-31", "--to", "2026-11-01"
    )

    assert [(row["start"][:13], row["run"]) for row in ran.rows] == [
        ("2026-10-31T00", "first"),
        ("2026-10-31T13", "second"),
        ("2026-11-01T00", "second"),
    ]


async def test_a_store_that_was_never_reconciled_says_so(operator: Operator) -> None:
    """All three lists are empty, and no front is told."""
    windows = await operator.run("windows", "list")
    assert "no front yet" in windows.err
    assert (await operator.run("runs", "list")).err == "0 runs\n"
    assert (await operator.run("findings", "list")).err == "0 findings\n"


async def test_a_range_that_is_none_is_refused(operator: Operator) -> None:
    """Days in the wrong order are wrong usage, not an empty list."""
    ran = await operator.run("windows", "list", "--from", "2026-11-02", "--to", "2026-11-01")
    assert (ran.code, ran.out) == (2, "")
    assert "error: wrong_range" in ran.err


@pytest.mark.parametrize(
    ("arguments", "classes"),
    [
        (
            (),
            "missing_at_emabler energy_differs tag_differs permission_missing missing_in_store",
        ),
        (("--state", "open"), "missing_at_emabler energy_differs tag_differs permission_missing"),
        (("--state", "repaired"), "missing_in_store"),
        (("--state", "repaired", "--state", "gone"), "missing_in_store"),
        (("--charger", "CH-0042"), "energy_differs tag_differs"),
        (("--charger", "+1"), "missing_at_emabler"),
        (("--charger", "CH"), ""),
        (("--class", "tag_differs", "--class", "missing_in_store"), "tag_differs missing_in_store"),
        (("--to", "2026-11-01"), "missing_at_emabler"),
        (("--from", "2026-11-02", "--limit", "1"), "permission_missing"),
    ],
)
async def test_findings_are_chosen(
    reconciled: Operator, arguments: tuple[str, ...], classes: str
) -> None:
    """By state, class, charger and the session's end; those that are open first."""
    ran = await reconciled.run("findings", "list", "--json", *arguments)

    assert sorted(ran.all("class")) == sorted(classes.split())
    states = ran.all("state")
    assert states == sorted(states)


async def test_a_finding_is_shown_with_what_to_do(reconciled: Operator) -> None:
    """Both sides, what it means, what to do, and the tags that the session's own claims name."""
    (name,) = (await reconciled.run("findings", "list", "--class", "tag_differs", "--json")).all(
        "id"
    )

    shown = await reconciled.run("findings", "show", name[:6])
    (told,) = (await reconciled.run("findings", "show", name, "--json")).rows

    assert told["tags"] == [
        {"source": "start", "tag": "TAG123"},
        {"source": "stop", "tag": "TAG123"},
    ]
    assert told["store"] == {"tag": hash_tag("TAG123", KEY)}
    assert told["meaning"] == "the stop and REST tell different tags"
    assert f"tag {hash_tag('OTHER', KEY)[:16]}\n" in shown.out
    assert "stop TAG123" in shown.out
    assert (await reconciled.run("findings", "show", "ffffff")).code == 1
    listed = await reconciled.run("findings", "list")
    assert "TAG123" not in listed.out


async def test_what_is_resolved_says_by_whom_and_why(reconciled: Operator) -> None:
    """Counted first; with --yes done; only what was open; a run that meets it leaves it so."""
    first = await reconciled.run(
        "findings", "resolve", "--charger", "CH-0042", "--note", "looked", "--dry-run"
    )
    assert first.err == "2 findings would be resolved (energy_differs 1, tag_differs 1)\n"
    asked = await reconciled.run("findings", "resolve", "--note", "looked")
    assert asked.code == 2
    assert "not_confirmed" in asked.err

    done = await reconciled.run(
        *("findings", "resolve", "--charger", "CH-0042", "--note", "looked", "--as", "Ada", "--yes")
    )
    assert (done.code, done.err) == (0, "2 findings resolved\n")
    again = await reconciled.run(
        *("findings", "resolve", "--charger", "CH-0042", "--note", "x", "--yes")
    )
    assert again.err == "0 findings would be resolved\n"
    rows = (await reconciled.run("findings", "list", "--state", "resolved", "--json")).rows
    assert [(row["who"], row["note"]) for row in rows] == [("Ada", "looked")] * 2
    book = await FindingBook.read(reconciled.tables)
    assert book.seen([ENERGY, TAG], compared=[SESSION], classes=list(FindingClass), as_of=NOW) == []
    assert book.open().total() == 2


async def test_one_finding_is_resolved_by_its_id(reconciled: Operator) -> None:
    """The others stay as they are."""
    (name,) = (
        await reconciled.run("findings", "list", "--class", "permission_missing", "--json")
    ).all("id")
    await reconciled.run("findings", "resolve", "--id", name, "--note", "granted", "--yes")

    (row,) = (await reconciled.run("findings", "list", "--state", "resolved", "--json")).rows
    assert (row["subject"], row["note"]) == ("finished sessions", "granted")
    opened = [r for r in reconciled.tables.rows(RECONCILIATION) if r.key.startswith(OPEN_ROWS)]
    assert len(opened) == 3


async def test_findings_are_exported(reconciled: Operator, tmp_path: Path) -> None:
    """As CSV and JSON lines the same rows as are listed; no tag is in them."""
    for name in ("csv", "jsonl", "parquet"):
        ran = await reconciled.run(
            "findings", "export", "--format", name, "--output", str(tmp_path / name)
        )
        assert (ran.code, ran.err) == (0, "5 findings\n")
    rows = list(csv.DictReader((tmp_path / "csv").read_text(encoding="utf-8").splitlines()))
    lines = (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()
    listed = await reconciled.run("findings", "list", "--json")

    assert [row["id"] for row in rows] == listed.all("id")
    assert [json.loads(line)["id"] for line in lines] == listed.all("id")
    assert json.loads(rows[1]["store"]) == {"energy_wh": 900.0}
    assert all(b"TAG123" not in (tmp_path / each).read_bytes() for each in ("csv", "jsonl"))


async def test_what_was_repaired_is_readable(reconciled: Operator) -> None:
    """The rows that the lists stand on are the ledger's own."""
    kept = [
        known_from_row(row)
        for row in reconciled.tables.rows(RECONCILIATION)
        if row.key.startswith(CLOSED_ROWS)
    ]
    assert [(each.finding, each.state) for each in kept] == [(MISSING, State.REPAIRED)]
