"""Rows beside the sessions by which they are found: by their end, as open, as without an id.

They lie in the sessions' own table and partition, so that they are written in one transaction with
the claims that they follow from: no crash leaves one without the other. Their keys begin with `!`,
which no escaped charger does (`shared.identifiers.key_part`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from shared.identifiers import key_part
from shared.instants import format_instant
from shared.sessions.claims import BEGINNINGS, Claim, Source
from shared.sessions.plausibility import AGREEMENT
from shared.sessions.summary import State, Summary
from shared.storage.rows import SCHEMA, Row, Value

END_ROWS = "!end|"
OPEN_ROWS = "!open|"
NAMELESS_ROWS = "!none|"
SESSION_ROWS = "-"
"""The first character that a session's key can begin with: all index rows sort before it."""

UNDATED = "undated"
CONFLICTS = frozenset(("stop_conflict", "transaction_id_reused"))
"""Findings of a session whose claims contradict each other: see `shared.sessions.plausibility`."""

_COMPARED = ("energy_wh", "tag", "socket")
_TIMES = ("start", "end")
END_COLUMNS = (
    *("digest", "start", "gone", "part_of", "other", "rests", "conflict", "push"),
    *_COMPARED,
    *(f"push_{name}" for name in (*_TIMES, *_COMPARED)),
)
"""The columns of a row by end; one has those of them that it needs, and `schema`."""


def index_rows(bucket: str, session: str, claims: Collection[Claim], summary: Summary) -> list[Row]:
    """All index rows that a session has: a function of its claims alone."""
    rows = [_end_row(bucket, claim, summary) for claim in claims if claim.source not in BEGINNINGS]
    rows += [
        _nameless_row(bucket, claim, claim.start)
        for claim in claims
        if claim.start is not None and claim.is_nameless
    ]
    if summary.state is State.OPEN:
        columns: dict[str, Value] = {"schema": SCHEMA, "charger": summary.charger}
        if summary.start is not None:
            columns["start"] = format_instant(summary.start)
        if summary.socket is not None:
            columns["socket"] = summary.socket
        rows.append(Row(bucket, f"{OPEN_ROWS}{session}", columns))
    return rows


def rest_row(bucket: str, summary: Summary) -> Row | None:
    """The row by end of the REST answer that counts; None where there is none."""
    return None if summary.rest_claim is None else _end_row(bucket, summary.rest_claim, summary)


def _end_row(bucket: str, claim: Claim, summary: Summary) -> Row:
    """One stop or REST item under the instant of its end, with what is compared of it.

    The row of the REST answer that counts says beside it what push says otherwise, so that a
    window of ends is compared without reading its sessions. `gone`: eMabler lists the item no
    more.
    """
    columns: dict[str, Value] = {"schema": SCHEMA, "digest": claim.digest}
    for name in _COMPARED:
        value = getattr(claim, name)
        if value is not None:
            columns[name] = value
    if claim.start:
        columns["start"] = format_instant(claim.start)
    if claim.gone:
        columns["gone"] = True
    if claim.part_of is not None:
        columns["part_of"] = claim.part_of
    elif claim.source is Source.REST:
        columns |= _beside(claim, summary)
    end = format_instant(claim.end) if claim.end else UNDATED
    return Row(bucket, f"{END_ROWS}{end}|{claim.key}", columns)


def _beside(claim: Claim, summary: Summary) -> dict[str, Value]:
    """What the session says beside this REST answer.

    `other`: another answer counts. `rests`: how many REST items eMabler lists, where more than
    one.
    `conflict`: findings of `CONFLICTS`. `push`: who of push tells of it; `push_…`: what push says
    otherwise (times beyond `AGREEMENT`).
    """
    if summary.rest_claim is None or claim.key != summary.rest_claim.key:
        return {"other": True}
    columns: dict[str, Value] = {}
    if summary.rests > 1:
        columns["rests"] = summary.rests
    conflicts = [name for name in summary.findings if name in CONFLICTS]
    if conflicts:
        columns["conflict"] = ",".join(conflicts)
    pushed = summary.pushed
    if pushed is None:
        return columns
    columns["push"] = ",".join(pushed.sources)
    for name in _TIMES:
        instant: datetime | None = getattr(pushed, name)
        told: datetime | None = getattr(claim, name)
        if instant and (told is None or abs(instant - told) > AGREEMENT):
            columns[f"push_{name}"] = format_instant(instant)
    for name in _COMPARED:
        value = getattr(pushed, name)
        if value is not None and value != getattr(claim, name):
            columns[f"push_{name}"] = value
    return columns


def _nameless_row(bucket: str, claim: Claim, start: datetime) -> Row:
    """A claim without an id under its charger and start: what its pair is looked for by."""
    text = format_instant(start)
    return Row(
        bucket,
        f"{NAMELESS_ROWS}{key_part(claim.charger)}|{text}|{claim.key}",
        {"schema": SCHEMA, "start": text},
    )


def named_by(index: Row) -> str:
    """The key of the row that an index row stands for: a claim, or the summary of an open one."""
    if index.key.startswith(OPEN_ROWS):
        return f"{index.key.removeprefix(OPEN_ROWS)}|!"
    return index.key.split("|", 3 if index.key.startswith(NAMELESS_ROWS) else 2)[-1]


def session_named_by(index: Row) -> str:
    """The session that an index row finds: charger and transaction."""
    return "|".join(named_by(index).split("|", 2)[:2])
