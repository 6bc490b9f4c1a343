"""Makes the workbook of layout and queries: `python infra/monitoring/make_workbook.py`.

It writes `workbook.json`, which the template deploys, from `workbook/layout.json` and
`workbook/*.kql`; a test keeps it so. In it `{workspace}` stands for the workspace's resource id.
Standard library only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORKBOOK = HERE / "workbook.json"
SCHEMA = (
    "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json"
)
WORKSPACE = "microsoft.operationalinsights/workspaces"
HOUR_MS = 3_600_000
RANGES_H = (1, 4, 12, 24, 48, 72, 168, 720)
DEFAULT_RANGE_H = 24

type Item = dict[str, Any]

VISUALIZATIONS: Mapping[str, str] = {
    "area": "areachart",
    "bars": "barchart",
    "categories": "categoricalbar",
    "line": "linechart",
    "pie": "piechart",
    "tiles": "tiles",
}
"""Kind of picture in layout.json → what a workbook calls it."""


def make(folder: Path = HERE) -> Item:
    """The workbook."""
    layout = json.loads((folder / "workbook" / "layout.json").read_text(encoding="utf-8"))
    items = [_heading(layout["title"]), _time_range()]
    for section in layout["sections"]:
        items.append(_text(f"## {section['question']}", section["question"]))
        items += [_picture(part, folder) for part in section["parts"]]
    return {
        "version": "Notebook/1.0",
        "items": items,
        "fallbackResourceIds": ["{workspace}"],
        "$schema": SCHEMA,
    }


def _heading(title: str) -> Item:
    return _text(
        f"# {title}\nWhat the alerts watch, as pictures. What each part means and where to look"
        " next: docs/monitoring.md.",
        title,
    )


def _text(markdown: str, name: str) -> Item:
    return {"type": 1, "content": {"json": markdown}, "name": name}


def _time_range() -> Item:
    parameter = {
        "version": "KqlParameterItem/1.0",
        "name": "TimeRange",
        "label": "Time range",
        "type": 4,
        "isRequired": True,
        "value": {"durationMs": DEFAULT_RANGE_H * HOUR_MS},
        "typeSettings": {
            "selectableValues": [{"durationMs": hours * HOUR_MS} for hours in RANGES_H],
            "allowCustom": True,
        },
    }
    content = {
        "version": "KqlParameterItem/1.0",
        "parameters": [parameter],
        "style": "pills",
        "queryType": 0,
        "resourceType": WORKSPACE,
    }
    return {"type": 9, "content": content, "name": "time range"}


def _picture(part: Mapping[str, Any], folder: Path) -> Item:
    query = (folder / "workbook" / f"{part['query']}.kql").read_text(encoding="utf-8")
    content: Item = {
        "version": "KqlItem/1.0",
        "query": query,
        "size": 4 if part["as"] == "tiles" else 0,
        "title": part["title"],
        "noDataMessage": "Nothing of this in the time range.",
        "timeContextFromParameter": "TimeRange",
        "queryType": 0,
        "resourceType": WORKSPACE,
        "crossComponentResources": ["{workspace}"],
        "visualization": VISUALIZATIONS[part["as"]],
    }
    if part["as"] == "tiles":
        content["tileSettings"] = _tiles()
    else:
        labels = [
            {"seriesName": column, "label": label}
            for column, label in part.get("names", {}).items()
        ]
        content["chartSettings"] = {"showLegend": True} | (
            {"seriesLabelSettings": labels} if labels else {}
        )
    return {
        "type": 3,
        "content": content,
        "customWidth": str(part["width"]),
        "name": part["query"],
    }


def _tiles() -> Item:
    number = {"unit": 0, "options": {"style": "decimal", "maximumFractionDigits": 1}}
    return {
        "titleContent": {"columnMatch": "what", "formatter": 1},
        "leftContent": {"columnMatch": "value", "formatter": 12, "numberFormat": number},
        "rightContent": {"columnMatch": "unit", "formatter": 1},
        "sortCriteriaField": "place",
        "sortOrderField": 1,
        "showBorder": True,
        "size": "auto",
    }


def text(workbook: Item) -> str:
    """The workbook as it is committed."""
    return json.dumps(workbook, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the workbook."""
    WORKBOOK.write_text(text(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
