"""The documentation says what the code does: tables, links, commands and reason codes."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from management.main import parser
from shared.emabler.calls import Call, Options
from shared.emabler.contract import ADVICE
from shared.emabler.refusals import CODES, Answer, Hidden, refuse, unusable
from shared.errors import RestRefusedError, RestUnavailableError
from shared.ingestion import ingest
from shared.ingestion.parking import UNEXPECTED
from shared.inventory.refresh import Refreshed
from shared.parked.records import DEAD_LETTERED, REASONS
from shared.push import decode, fields, json_reading
from shared.reconciliation.finding_reading import COLUMNS as FINDING_COLUMNS
from shared.reconciliation.findings import CLASSES, FindingClass, State
from shared.reconciliation.passes import Pass
from shared.reconciliation.silence import CAUSES
from shared.reconciliation.spans import LIES
from shared.sessions.columns import COLUMNS
from shared.sessions.plausibility import FINDINGS
from shared.settings import SETTINGS
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.tables import ALL_TABLES
from shared.telemetry import FIELDS

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
RUNBOOKS = [path for path in PAGES if path.parent.name == "runbooks"]


def page(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows of a page, headings and rules left out."""
    found = []
    for line in text.splitlines():
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append([cell.strip() for cell in cells])
    return found


def test_each_field_of_the_wide_event_is_documented() -> None:
    """docs/telemetry.md has one row for each field, with its unit and meaning, and no other."""
    documented = [row for row in rows(page("docs/telemetry.md")) if row[0].startswith("`")]

    assert documented == [[f"`{name}`", unit, text] for name, (unit, text) in FIELDS.items()]


def test_each_setting_is_documented() -> None:
    """docs/settings.md has one row for each setting: who needs it, default, meaning, example."""
    documented = [row for row in rows(page("docs/settings.md")) if row[0].startswith("`")]

    assert documented == [
        [
            f"`{setting.name}`",
            ", ".join(setting.needed_by) or _nobody(setting.heeded_by),
            "" if setting.default is None else f"`{setting.default}`",
            setting.meaning,
            f"`{setting.example}`",
        ]
        for setting in SETTINGS
    ]


def _nobody(heeded_by: tuple[str, ...]) -> str:
    return f"nobody; a wrong one disables {', '.join(heeded_by)}" if heeded_by else "nobody"


def test_the_sample_settings_are_the_documented_ones() -> None:
    """local.settings.sample.json has each setting, and the two that Functions itself needs."""
    sample = json.loads(page("local.settings.sample.json"))["Values"]

    assert sample.keys() - {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"} == {
        setting.name for setting in SETTINGS
    }


def test_each_reason_for_parking_is_documented() -> None:
    """docs/promises.md names each code that a rejection can carry, and no other."""
    source = "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8")
        for module in (decode, json_reading, ingest)
    )
    codes = set(re.findall(r'(?:_reject\(|RejectedMessageError\(\s*)"(\w+)"', source))
    codes |= {UNEXPECTED, DEAD_LETTERED}
    text = page("docs/promises.md").partition("## Why a message is parked")[2]

    assert set(REASONS) == codes
    assert {row[0].strip("`") for row in rows(text) if row[0].startswith("`")} == codes
    assert len(codes) == 9


def test_each_flag_is_documented() -> None:
    """docs/promises.md names each flag that reading a message can leave, and no other."""
    source = "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8") for module in (decode, fields)
    )
    flags = set(re.findall(r'\.flag\("(\w+)"\)', source))
    text = page("docs/promises.md").partition("## What flags")[2].partition("## Why a message")[0]

    assert {row[0].strip("`") for row in rows(text) if row[0].startswith("`")} == flags


def test_each_way_that_rest_fails_is_documented() -> None:
    """docs/emabler-rest.md has a row for each code: its error, when, tried again, what to do."""
    documented = [row for row in rows(page("docs/emabler-rest.md")) if row[0].startswith("`rest_")]

    assert documented == [
        [
            f"`{code}`",
            f"`{error_of(code)}`",
            each.when,
            "yes" if each.tried_again else "no",
            each.advice.format(permissions="(the call's)", setting=""),
        ]
        for code, each in CODES.items()
    ]


def error_of(code: str) -> str:
    """The error that a code comes with, told by the code that raises it."""
    call = Call("chargers", "GET", "v2/chargers")
    for status in (301, 400, 401, 403, 404, 429, 500):
        try:
            refuse(call, Answer(status, {}, b"", NOW), Hidden("k"), NOW)
        except (RestRefusedError, RestUnavailableError) as error:
            if error.code == code:
                return type(error).__name__
    return type(unusable(call, code, "")).__name__


def test_each_lie_is_documented() -> None:
    """docs/emabler-rest.md has a row for each way that an answer contradicts itself."""
    text = page("docs/emabler-rest.md").partition("## Pictures")[2].partition("\n## ")[0]
    documented = [row for row in rows(text) if row[0].startswith("`")]

    assert documented == [[f"`{code}`", meaning] for code, meaning in LIES.items()]


def test_each_difference_of_the_contract_is_documented() -> None:
    """docs/emabler-rest.md has a row for each kind, with what to do."""
    text = page("docs/emabler-rest.md").partition("| difference |")[2].partition("\n## ")[0]
    documented = [row for row in rows(text) if row[0].startswith("`")]

    assert documented == [[f"`{flaw}`", advice] for flaw, advice in ADVICE.items()]


def test_each_call_of_rest_is_documented() -> None:
    """docs/emabler-rest.md has a row for each call, with its permission and its setting."""
    text = page("docs/emabler-rest.md").partition("## What is asked")[2].partition("## ")[0]

    assert [[row[0], row[2], row[3]] for row in rows(text)[1:]] == [
        [call.name, " and ".join(call.permissions), f"`{call.setting}`"]
        for call in Options().all_calls
    ]


def test_each_class_of_the_inventory_is_documented() -> None:
    """docs/emabler-rest.md has a row for each count that the wide event can hold."""
    text = page("docs/emabler-rest.md").partition("## The inventory")[2]
    told = Refreshed(1, 1, 1, 1, 1, 1, complete=False).told()

    assert {row[0].strip("`") for row in rows(text) if row[0].startswith("`")} == told.keys()


def test_each_table_of_the_store_is_documented() -> None:
    """docs/architecture.md has a row for each table, and no other."""
    text = page("docs/architecture.md").partition("## Tables")[2].partition("## Blobs")[0]

    assert {row[0].strip("`") for row in rows(text) if row[0].startswith("`")} == set(ALL_TABLES)


def test_each_finding_of_a_session_is_documented() -> None:
    """docs/sessions.md has a row for each finding, with its kind and meaning, and no other."""
    documented = [row for row in rows(page("docs/sessions.md")) if row[0].startswith("`")]

    assert documented == [[f"`{name}`", str(kind), text] for name, (kind, text) in FINDINGS.items()]


def test_each_class_of_finding_is_documented() -> None:
    """docs/reconciliation.md has a row for each class: what it means and what to do; each state."""
    text = page("docs/reconciliation.md").partition("## Findings")[2]
    classes = text.partition("| class |")[2].partition("A finding is named")[0]
    states = text.partition("Its states:")[2].partition("On one day")[0]

    assert set(CLASSES) == set(FindingClass)
    assert [row for row in rows(classes) if row[0].startswith("`")] == [
        [f"`{name}`", meaning, advice] for name, (meaning, advice) in CLASSES.items()
    ]
    assert [row[0].strip("`") for row in rows(states) if row[0].startswith("`")] == [*State]


def test_each_cause_of_silence_is_documented() -> None:
    """docs/reconciliation.md has a row for each likely cause, and no other."""
    text = page("docs/reconciliation.md").partition("## When push is silent")[2]
    causes = text.partition("## ")[0]

    assert [row for row in rows(causes) if row[0].startswith("`")] == [
        [f"`{name}`", meaning] for name, meaning in CAUSES.items()
    ]


def test_each_pass_is_documented() -> None:
    """docs/reconciliation.md has a row for each pass, and no other."""
    text = page("docs/reconciliation.md").partition("## What is walked")[2].partition("## ")[0]

    assert [row[0] for row in rows(text)[1:]] == [*Pass]


def test_each_exported_column_of_a_finding_is_documented() -> None:
    """docs/reconciliation.md has one row for each column, with its kind and meaning, in order."""
    text = page("docs/reconciliation.md").partition("| column | kind |")[2]
    documented = [row for row in rows(text) if row[0].startswith("`")]

    assert documented == [[f"`{e.name}`", str(e.kind), e.meaning] for e in FINDING_COLUMNS]


def test_each_blob_container_is_documented() -> None:
    """docs/architecture.md has a row for each container, and no other."""
    text = page("docs/architecture.md").partition("## Blobs")[2]

    assert [row[0].strip("`") for row in rows(text) if row[0].startswith("`")] == [*ALL_CONTAINERS]


def test_each_exported_column_is_documented() -> None:
    """docs/sessions-export.md has one row for each column, with its kind and meaning, in order."""
    text = page("docs/sessions-export.md").partition("| column | kind |")[2]
    documented = [row for row in rows(text) if row[0].startswith("`")]

    assert documented == [[f"`{each.name}`", str(each.kind), each.meaning] for each in COLUMNS]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """Each relative link of a page names a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_documented_command_is_understood(path: Path) -> None:
    """Each `python manage.py …` line of a page is one that the command line takes."""
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"python manage\.py ([^`\n|]+)", text):
        words = shlex.split(line)
        if words == ["--help"]:
            continue
        assert parser().parse_args(words)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.name)
def test_runbooks_work_on_the_deployed_environment(path: Path) -> None:
    """Each of their commands says so: without it a developer's local settings would take part."""
    for line in re.findall(r"python manage\.py ([^`\n|]+)", path.read_text(encoding="utf-8")):
        assert "--env azd" in line, line


def test_every_decision_is_listed() -> None:
    """docs/decisions/README.md links each record, and each record has its three parts."""
    folder = CHECKOUT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("0*.md"))

    assert re.findall(r"\]\((0[\w\-]+\.md)\)", page("docs/decisions/README.md")) == records
    for name in records:
        text = (folder / name).read_text(encoding="utf-8")
        assert all(part in text for part in ("**Context.**", "**Choice.**", "**Consequences.**"))
