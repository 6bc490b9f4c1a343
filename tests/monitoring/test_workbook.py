"""The workbook: made of its parts, valid by its published schema, drawn in the documentation."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest

from local.log_analytics.charts import Box, draw, number
from local.log_analytics.drawing import draw_workbook
from local.log_analytics.rules import MONITORING, ROOT
from local.log_analytics.workbook import Part, all_parts, read_workbook
from local.log_analytics.workspace import Result
from tests.infra.deployment import load

SCHEMA = json.loads((ROOT / "tests/infra/schemas/workbook.schema.json").read_text("utf-8"))
PICTURE = ROOT / "docs" / "images" / "workbook.svg"
SVG = "{http://www.w3.org/2000/svg}"
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def workbook() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((MONITORING / "workbook.json").read_text("utf-8"))
    return found


def faults_of(workbook: Any) -> list[str]:
    """What is wrong by the schema, which itself looks at the first item only: here each is one."""
    validator = jsonschema_rs.validator_for(SCHEMA)
    found = []
    for item in workbook["items"]:
        found += [each.message for each in validator.iter_errors({**workbook, "items": [item]})]
    return found


def test_the_workbook_is_made_of_layout_and_queries() -> None:
    """workbook.json is what make_workbook.py writes."""
    made = runpy.run_path(str(MONITORING / "make_workbook.py"))

    committed = (MONITORING / "workbook.json").read_text(encoding="utf-8")
    assert committed == made["text"](made["make"]()), (
        "What to do: python infra/monitoring/make_workbook.py, then python -m tests.infra.update"
    )


def test_the_workbook_is_valid(workbook: Mapping[str, Any]) -> None:
    """Each item is one that the published schema knows."""
    assert faults_of(workbook) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"items": [{"type": 99, "content": {}}]},
        {"items": [{"type": 3}]},
        {"items": [{"type": 1, "content": {"json": 5}}]},
        {"items": [{"type": 1, "content": {}, "customWidth": 50}]},
        {"version": 1},
    ],
)
def test_the_schema_notices_what_is_wrong(workbook: Mapping[str, Any], broken: Any) -> None:
    """An unknown kind of item, one without content, texts that are none."""
    assert faults_of({**workbook, **broken})


def test_each_picture_reads_the_workspace_in_the_chosen_range(workbook: Mapping[str, Any]) -> None:
    """Each query has its own file's text, the workspace, and the range that is chosen on top."""
    pictures = {item["name"]: item["content"] for item in workbook["items"] if item["type"] == 3}
    (parameters,) = (item for item in workbook["items"] if item["type"] == 9)
    (chosen,) = parameters["content"]["parameters"]

    assert list(pictures) == [part.name for part in all_parts(read_workbook())]
    for part in all_parts(read_workbook()):
        content = pictures[part.name]
        assert content["query"] == part.query
        assert content["timeContextFromParameter"] == chosen["name"]
        assert content["crossComponentResources"] == ["{workspace}"]


@pytest.mark.parametrize("name", ["plain", "isolated"])
def test_the_deployed_workbook_is_this_one(workbook: Mapping[str, Any], name: str) -> None:
    """The template deploys it with the id of its own workspace in the place of the sign."""
    deployment = load(ROOT / "tests/infra/parameters" / f"{name}.snapshot.json")
    workspace = deployment.one("Microsoft.OperationalInsights/workspaces")["id"]
    properties = deployment.one("Microsoft.Insights/workbooks")["properties"]
    text = json.dumps(workbook).replace("{workspace}", workspace)

    assert json.loads(properties["serializedData"]) == json.loads(text)
    assert properties["sourceId"] == deployment.one("Microsoft.Insights/components")["id"]


def test_most_of_the_workbook_is_pictures() -> None:
    """No part is a table."""
    kinds = [part.kind for part in all_parts(read_workbook())]

    assert set(kinds) == {"tiles", "line", "area", "bars", "categories", "pie"}


def test_the_documentation_shows_each_part() -> None:
    """docs/images/workbook.svg has the title of each part, and something drawn in each."""
    found = parsed(PICTURE.read_text(encoding="utf-8"))
    texts = [text.text for text in found.iter(f"{SVG}text")]

    for section in read_workbook():
        assert section.question in texts
        for part in section.parts:
            assert part.title in texts, "What to do: python -m tests.monitoring.picture"
    assert "nothing" not in texts
    assert "workbook.svg" in (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - what was drawn here


def drawn(kind: str, rows: list[dict[str, Any]], **names: str) -> ET.Element:
    part = Part("p", "P", kind, 100, "", names)
    inner = "".join(draw(part, rows, Box(0, 0, 400, 200)))
    return parsed(f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>')


def hours(*values: float | None) -> list[dict[str, Any]]:
    return [
        {"TimeGenerated": MIDNIGHT + timedelta(hours=n), "a": value, "b": 1}
        for n, value in enumerate(values)
    ]


def test_bars_stand_on_each_other() -> None:
    """Bars of one time are stacked in the order of their columns, each as high as its number."""
    found = drawn("bars", hours(3, 0, 1), a="first")
    bars = [each for each in found.iter(f"{SVG}rect") if each.get("rx") is None]
    heights = [round(float(each.get("height", "0")), 1) for each in bars]

    assert len(bars) == 5  # of nothing there is no bar
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.01)
    texts = [each.text for each in found.iter(f"{SVG}text")]
    assert {"first", "b", "00:00", "02:00"} <= set(texts)


def test_lines_leave_out_what_is_not_known() -> None:
    """A time without a value keeps its place and has no point."""
    found = drawn("line", hours(3, None, 1))
    first, second = (each.get("points", "").split() for each in found.iter(f"{SVG}polyline"))

    assert (len(first), len(second)) == (2, 3)
    assert first[1].split(",")[0] == second[2].split(",")[0]


def test_the_largest_categories_are_drawn() -> None:
    """The ten largest by size, the rest together; what is not text does not break the picture."""
    rows = [{"what": f"<{n}>", "n": n} for n in range(1, 15)]
    texts = [each.text for each in drawn("categories", rows).iter(f"{SVG}text")]

    assert texts[:4] == ["<14>", "14", "<13>", "13"]
    assert texts[-2:] == ["others", "10"]


def test_a_ring_is_whole() -> None:
    """The arcs of a ring make one turn."""
    rows = [{"what": "a", "n": 3}, {"what": "b", "n": 1}, {"what": "c", "n": 0}]
    arcs = [each.get("stroke-dasharray", "") for each in drawn("pie", rows).iter(f"{SVG}circle")]
    lengths = [[float(each) for each in arc.split()] for arc in arcs]

    assert len(lengths) == 2
    assert sum(length for length, _ in lengths) == pytest.approx(sum(lengths[0]), rel=0.001)


def test_nothing_is_said_in_words() -> None:
    """A query without rows, or with nulls only, is drawn as the word nothing."""
    for rows in ([], [{"what": None, "n": None}]):
        assert [each.text for each in drawn("pie", rows).iter(f"{SVG}text")] == ["nothing"]
    with pytest.raises(KeyError, match="cloud"):
        drawn("cloud", [{"n": 1}])


def test_numbers_are_for_people() -> None:
    """Thousands are parted, fractions are short."""
    assert [number(each) for each in (12345.6, 7.0, 0.1234, 12.5)] == [
        "12,346",
        "7",
        "0.123",
        "12.5",
    ]


def test_a_page_holds_all_parts() -> None:
    """The picture of the whole workbook is well-formed, also where nothing was told."""
    sections = read_workbook()
    empty: dict[str, Result] = {part.name: [] for part in all_parts(sections)}

    found = parsed(draw_workbook("T & <T>", sections, empty))

    texts = [each.text for each in found.iter(f"{SVG}text")]
    assert texts.count("nothing") == len(empty)
    assert "T & <T>" in texts
