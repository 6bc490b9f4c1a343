"""A tag's record and its row; rows lie under the keyed hash of the tag, never under the tag."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.identifiers import hash_tag, normalise_tag
from shared.instants import format_instant, parse_instant
from shared.storage.rows import SCHEMA, Row, Value

TAG_ROWS = "tag|"
SESSION_ROWS = "session|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag that an operator knows. Validity is from `valid_from` on and before `valid_until`.

    `driver` and `driver_external` are eMabler's id of the driver and the operator's own.
    """

    tag: str
    blocked: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    kind: str | None = None
    driver: str | None = None
    driver_external: str | None = None


def tag_row(tag: Tag, hash_key: bytes) -> Row:
    """The tag's row: one partition for each tag, which holds its sessions as well."""
    hashed = hash_tag(tag.tag, hash_key)
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "tag": normalise_tag(tag.tag),
        "spelling": tag.tag,
        "blocked": tag.blocked,
    }
    if tag.valid_from is not None:
        columns["valid_from"] = format_instant(tag.valid_from)
    if tag.valid_until is not None:
        columns["valid_until"] = format_instant(tag.valid_until)
    if tag.kind is not None:
        columns["kind"] = tag.kind
    if tag.driver is not None:
        columns["driver"] = tag.driver
    if tag.driver_external is not None:
        columns["driver_external"] = tag.driver_external
    return Row(hashed, f"{TAG_ROWS}{hashed[:8]}", columns)


def tag_from_row(row: Row) -> Tag:
    """The tag that a row holds."""
    return Tag(
        tag=str(row.columns["spelling"]),
        blocked=bool(row.columns["blocked"]),
        valid_from=_instant(row.columns.get("valid_from")),
        valid_until=_instant(row.columns.get("valid_until")),
        kind=_text(row.columns.get("kind")),
        driver=_text(row.columns.get("driver")),
        driver_external=_text(row.columns.get("driver_external")),
    )


def _text(value: Value | None) -> str | None:
    return None if value is None else str(value)


def _instant(value: Value | None) -> datetime | None:
    return None if value is None else parse_instant(str(value))


def tag_session_row(
    hashed: str, session: str, source: str, digest: str, instant: datetime | None
) -> Row:
    """That a session of this tag started or ended: what an authorization reads beside the tag."""
    when = format_instant(instant) if instant else "undated"
    return Row(
        hashed,
        f"{SESSION_ROWS}{when}|{session}|{source}|{digest}",
        {"schema": SCHEMA, "session": session, "source": source, "instant": when},
    )
