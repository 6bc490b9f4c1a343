"""The queries of alerts and workbook: bound by Microsoft's language service, held to our fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.log_analytics.binding import Bound, bind
from local.log_analytics.rules import MONITORING, ROOT, read_duration, read_rules
from local.log_analytics.tables import TABLES
from local.log_analytics.workbook import all_parts, read_workbook
from shared.authorization.taps import Cause
from shared.telemetry import FIELDS
from tests.monitoring.reading import Reading, fits

QUERIES: Mapping[str, str] = {
    f"{path.parent.name}/{path.stem}": path.read_text(encoding="utf-8")
    for path in sorted(MONITORING.rglob("*.kql"))
}
NUMBERS = {"int", "long", "real"}
# Azure's lists of what a query alert takes for its window and its frequency, in minutes.
WINDOWS = {1, 5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440, 2880}
FREQUENCIES = WINDOWS - {2880}
MOST_OF_A_QUERY = 32_000
"""Azure takes a rule of 64 KB in all; a character may be two of its bytes."""


@pytest.fixture(scope="module")
def bound() -> Mapping[str, Bound]:
    return bind(QUERIES)


def code_of(folder: str) -> str:
    return "".join(path.read_text("utf-8") for path in sorted((ROOT / folder).rglob("*.py")))


@pytest.mark.parametrize("name", QUERIES)
def test_the_language_service_has_nothing_to_say(bound: Mapping[str, Bound], name: str) -> None:
    """No error, no warning, no hint: each table, column, function and type is as documented."""
    assert bound[name].diagnostics == ()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("AppTrace | count", "AppTrace"),
        ("AppTraces | where Mesage has 'x'", "Mesage"),
        ("AppTraces | where Message > 5", "operator"),
        ("AppTraces | summarize percentil(DurationMs, 95)", "percentil"),
        ("AppRequests | summarize sum(Name)", "summable"),
        ("AppTraces | wher true", "Query operator expected"),
    ],
    ids=["table", "column", "type", "function", "argument", "syntax"],
)
def test_a_wrong_query_is_noticed(query: str, said: str) -> None:
    """A wrong table, column, type, function, argument or word is each told."""
    (found,) = bind({"wrong": query}).values()

    assert any(said in each for each in found.diagnostics), found.diagnostics


def test_columns_that_tables_do_not_document_are_unknown() -> None:
    """A query is bound to the documented tables alone: a column left out of them is no column."""
    less = {"AppTraces": {name: t for name, t in TABLES["AppTraces"].items() if name != "Message"}}

    (found,) = bind({"q": QUERIES["alerts/tokens_refused"]}, less).values()

    assert any("Message" in each for each in found.diagnostics)


@pytest.mark.parametrize("name", QUERIES)
def test_each_field_of_the_wide_event_is_one(name: str) -> None:
    """A misspelt field would be silence: each is of shared/telemetry.py, and read as its unit."""
    reading = Reading.of(QUERIES[name])

    assert reading.hidden == 0
    assert reading.fields <= FIELDS.keys()
    unfit = [each for each in reading.reads() if not fits(each[0], FIELDS[each[1]][0])]
    assert unfit == []


def test_each_field_that_is_read_is_written() -> None:
    """A field that no code sets would be silence: a query may read what an invocation notes."""
    product = code_of("shared").replace((ROOT / "shared/telemetry.py").read_text("utf-8"), "")
    read = set().union(*(Reading.of(query).fields for query in QUERIES.values()))
    unwritten = {name for name in read if not re.search(rf"\b{name}=", product)}
    by_the_event_itself = {"function", "outcome", "duration_ms", "store_requests"}

    assert unwritten <= by_the_event_itself


@pytest.mark.parametrize("name", QUERIES)
def test_each_text_that_a_field_is_compared_with_is_one_of_its_own(name: str) -> None:
    """A misspelt outcome, function, code or cause would be silence too."""
    said = FIELDS["outcome"][1]
    app, product = (ROOT / "function_app.py").read_text("utf-8"), code_of("shared")
    for field, text in Reading.of(QUERIES[name]).compares():
        match field:
            case "outcome" | "source" | "decision":
                known = f"`{text}`" in (said if field == "outcome" else FIELDS[field][1])
            case "function":
                known = f'@app.function_name("{text}")' in app
            case "cause":
                known = text in set(Cause)
            case _:
                known = f'"{text}"' in product
        assert known, f"{field} is never {text}"


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("extend wide = parse_json(Message) | where tostring(wide.outcom) == 'x'", "field"),
        ("where tostring(parse_json(Message).functoin) == 'x'", "field"),
        ("extend wide = parse_json(Message) | where tostring(wide.duration_ms) == '1'", "unit"),
        ("extend wide = parse_json(Message) | extend n = tolong(wide.parked)", "unit"),
        ("extend event = parse_json(Message) | where tostring(event.outcome) == 'x'", "hidden"),
        ("extend wide = parse_json(Message) | where tostring(wide['outcome']) == 'x'", "hidden"),
    ],
)
def test_a_field_that_is_none_is_noticed(query: str, wrong: str) -> None:
    """The reading of fields sees misspelt ones, such as are read as something else, hidden ones."""
    reading = Reading.of(f"AppTraces | {query}")
    found = {
        "field": not reading.fields <= FIELDS.keys(),
        "unit": any(
            name in FIELDS and not fits(each, FIELDS[name][0]) for each, name in reading.reads()
        ),
        "hidden": reading.hidden > 0,
    }

    assert found == {kind: kind == wrong for kind in found}


def test_each_alert_gives_its_measure_and_its_dimensions(bound: Mapping[str, Bound]) -> None:
    """The result of an alert's query is its measure, a number, and its dimensions, texts."""
    for rule in read_rules():
        columns = dict(bound[f"alerts/{rule.name}"].columns)

        assert columns.pop(rule.measure) in NUMBERS, rule.name
        assert columns == dict.fromkeys(rule.dimensions, "string"), rule.name


def test_each_picture_gets_the_columns_that_it_needs(bound: Mapping[str, Bound]) -> None:
    """Over time: instants and numbers; of categories: one text and one number; tiles: four."""
    for part in all_parts(read_workbook()):
        kinds = list(bound[f"workbook/{part.name}"].columns.values())
        names = bound[f"workbook/{part.name}"].columns.keys()
        numbers = sum(kind in NUMBERS for kind in kinds)

        assert part.names.keys() <= names, part.name
        match part.kind:
            case "tiles":
                assert list(names) == ["place", "what", "value", "unit"]
            case "categories" | "pie":
                assert (kinds.count("string"), numbers, len(kinds)) == (1, 1, 2), part.name
            case _:
                assert "TimeGenerated" in names, part.name
                assert kinds.count("datetime") == 1, part.name
                # Lines are the columns of numbers, or the values of one text.
                assert numbers == 1 or "string" not in kinds, part.name


def test_each_query_is_used() -> None:
    """Each file is of an alert or of the workbook, each of them has its file, once."""
    alerts = [f"alerts/{rule.name}" for rule in read_rules()]
    parts = [f"workbook/{part.name}" for part in all_parts(read_workbook())]

    assert sorted(alerts + parts) == sorted(QUERIES)


def test_each_alert_is_one_that_azure_takes() -> None:
    """Severity, window, frequency, operator and length are what Azure takes for a query alert."""
    told = json.loads((MONITORING / "alerts.json").read_text(encoding="utf-8"))["alerts"]
    for each, rule in zip(told, read_rules(), strict=True):
        window, frequency = (
            read_duration(each[name]).total_seconds() / 60 for name in ("window", "frequency")
        )

        assert re.fullmatch(r"[a-z_]{3,40}", rule.name)
        assert rule.severity in range(5)
        assert window in WINDOWS
        assert frequency in FREQUENCIES
        assert frequency <= window, f"{rule.name}: what lies between two windows is never looked at"
        assert rule.operator in {"GreaterThan", "LessThan"}
        assert rule.aggregation in {"Total", "Maximum"}
        assert len(rule.query) < MOST_OF_A_QUERY
        assert each["description"].endswith(".")
        assert each["runbook"] == f"docs/runbooks/{rule.name}.md"


def test_a_query_names_no_range_of_time() -> None:
    """The range comes from outside: an alert's window, a workbook's choice. `now()` is its end."""
    for name, query in QUERIES.items():
        assert not re.search(r"\bago\(|\bdatetime\(\d|TimeGenerated\s*[<>]", query), name


def test_queries_of_alerts_use_nothing_that_alerts_do_not_take() -> None:
    """Plug-ins, unions and searches over all tables are refused, or slow, in Azure's alerts."""
    for path in sorted(Path(MONITORING / "alerts").glob("*.kql")):
        text = Reading.of(path.read_text(encoding="utf-8")).text

        # Microsoft, "Optimize log search alert queries": no rule with search or union.
        refused = r"\b(evaluate|search|union|externaldata|find|take|limit)\b"
        assert not re.search(refused, text), path.stem
        assert "AggregatedValue" not in text


def table_of(heading: str) -> list[list[str]]:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    lines = page.partition(f"## {heading}")[2].partition("\n## ")[0].splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "|" in line
    ]
    return [row for row in cells if row[0].startswith("`") or row[0].endswith("?")]


def test_each_alert_is_documented() -> None:
    """docs/monitoring.md has a row for each query alert, as alerts.json has it."""
    told = json.loads((MONITORING / "alerts.json").read_text(encoding="utf-8"))["alerts"]
    words = {"GreaterThan": "more than", "LessThan": "less than"}

    assert table_of("The alerts that are queries") == [
        [
            f"`{each['name']}`",
            str(each["severity"]),
            f"{each['measure']} {words[each['operator']]} {each['threshold']} {each['unit']}"
            + "".join(f" for each {name}" for name in each["dimensions"]),
            f"{each['window']} / {each['frequency']}",
            each["description"],
        ]
        for each in told
    ]


def test_each_picture_is_documented() -> None:
    """docs/monitoring.md has a row for each part of the workbook, in its order."""
    assert [row[:3] for row in table_of("The workbook")] == [
        [section.question, f"`{part.name}`", part.title]
        for section in read_workbook()
        for part in section.parts
    ]
