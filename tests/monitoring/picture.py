"""`python -m tests.monitoring.picture`: draw the workbook of a day with faults for docs/."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.log_analytics.drawing import draw_workbook
from local.log_analytics.workbook import all_parts, read_workbook
from local.log_analytics.workspace import Result, Workspace
from tests.monitoring.azure_itself import whole
from tests.monitoring.day import play
from tests.monitoring.faults import ON_ONE_DAY, day_of

PICTURE = Path(__file__).resolve().parent.parent.parent / "docs" / "images" / "workbook.svg"
_MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
_DAY = timedelta(hours=24)


def results(workspace: Workspace, ended: datetime) -> Mapping[str, Result]:
    """What each query of the workbook gives for a day that ended so."""
    parts = all_parts(read_workbook())
    return {part.name: workspace.query(part.query, until=ended, lasting=_DAY) for part in parts}


def main() -> int:
    """Play the day and draw it."""
    played = play(_MIDNIGHT, _DAY, day_of(_MIDNIGHT, ON_ONE_DAY))
    with Workspace() as workspace:
        workspace.add(whole(played))
        found = results(workspace, played.ended)
    PICTURE.parent.mkdir(exist_ok=True)
    title = "eMabler: a day on which much goes wrong"
    PICTURE.write_text(draw_workbook(title, read_workbook(), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
