"""Rows beside the sessions by which they are found: those that ended when, those still open.

They lie in the sessions' own table and partition, so that they are written in one transaction with
the claims that they follow from: no crash leaves one without the other. Their keys begin with `!`,
which no escaped charger does (`shared.identifiers.key_part`).
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.instants import format_instant
from shared.sessions.claims import Claim, Source
from shared.sessions.summary import State, Summary
from shared.storage.rows import SCHEMA, Row, Value

END_ROWS = "!end|"
OPEN_ROWS = "!open|"
SESSION_ROWS = "-"
"""The first character that a session's key can begin with: all index rows sort before it."""

UNDATED = "undated"
_COMPARED = ("energy_wh", "tag", "socket")


def index_rows(bucket: str, session: str, claims: Iterable[Claim], summary: Summary) -> list[Row]:
    """All index rows that a session has: a function of its claims alone."""
    rows = [_end_row(bucket, claim) for claim in claims if claim.source is not Source.START]
    if summary.state is State.OPEN:
        columns: dict[str, Value] = {"schema": SCHEMA, "charger": summary.charger}
        if summary.start is not None:
            columns["start"] = format_instant(summary.start)
        rows.append(Row(bucket, f"{OPEN_ROWS}{session}", columns))
    return rows


def _end_row(bucket: str, claim: Claim) -> Row:
    """One stop or REST item under the instant of its end, with what is compared of it."""
    columns: dict[str, Value] = {"schema": SCHEMA, "digest": claim.digest}
    for name in _COMPARED:
        value = getattr(claim, name)
        if value is not None:
            columns[name] = value
    if claim.start:
        columns["start"] = format_instant(claim.start)
    end = format_instant(claim.end) if claim.end else UNDATED
    return Row(bucket, f"{END_ROWS}{end}|{claim.key}", columns)
