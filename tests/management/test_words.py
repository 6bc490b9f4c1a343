"""Numbers as people say them, in what the commands tell."""

from __future__ import annotations

import re

import pytest

from management.words import counted
from tests.management.operator import Operator


@pytest.mark.parametrize(
    ("number", "things", "said"),
    [
        (0, "backups", "0 backups"),
        (1, "backups", "1 backup"),
        (2, "backups", "2 backups"),
        (1, "unknown tags", "1 unknown tag"),
        (1, "rows and blobs", "1 row or blob"),
        (3, "rows and blobs", "3 rows and blobs"),
        (1, "passes", "1 pass"),
    ],
)
def test_one_is_no_plural(number: int, things: str, said: str) -> None:
    """One thing is said as one, none and many as many."""
    assert counted(number, things) == said


@pytest.mark.parametrize(
    "words",
    [
        "events list --limit 1",
        "sessions list --limit 1",
        "sessions show CH-0042 1032427936",
        "chargers list --limit 1",
        "parked list --limit 1",
        "parked replay --limit 1 --dry-run",
        "windows list --limit 1",
        "privacy erase TAG123 --dry-run",
    ],
)
async def test_no_command_says_one_of_many(operator: Operator, words: str) -> None:
    """`1 messages` is said nowhere."""
    ran = await operator.run(*words.split())

    assert not re.search(r"\b1 (?:[a-z]+ )*[a-z]+s\b", ran.err.partition(";")[0].partition(":")[0])
