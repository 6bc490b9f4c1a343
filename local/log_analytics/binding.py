"""Queries bound by Microsoft's own KQL language service: what it says of them, what they give."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError, StartError
from local.log_analytics.tables import TABLES

LOCAL = Path(__file__).resolve().parent.parent
SCRIPT = Path(__file__).resolve().parent / "bind.cjs"
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Bound:
    """What the language service says of a query.

    Attributes:
        diagnostics: all of them, whatever their level, each with its line and column.
        columns: the columns of the result with their types.
    """

    diagnostics: tuple[str, ...]
    columns: Mapping[str, str]


def bind(
    queries: Mapping[str, str], tables: Mapping[str, Mapping[str, str]] = TABLES
) -> dict[str, Bound]:
    """Bind queries to tables; `queries` and the answer are by name.

    Raises:
        LocalError: `part_missing`, the language service is not installed.
        StartError: it failed.
    """
    if not (LOCAL / "node_modules" / "@kusto" / "language-service-next").is_dir():
        raise LocalError(
            "part_missing",
            "the KQL language service is not installed in local/node_modules",
            "run `python dev.py test`, which installs it",
        )
    run = subprocess.run(
        [os.environ.get("NODE", "node"), SCRIPT],
        input=json.dumps({"tables": tables, "queries": queries}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=_SECONDS,
    )
    if run.returncode != 0:
        raise StartError(
            f"the KQL language service failed: {run.stderr}", "read what it says above"
        )
    answers = json.loads(run.stdout)["queries"]
    return {
        name: Bound(tuple(answer["diagnostics"]), answer["columns"])
        for name, answer in answers.items()
    }
