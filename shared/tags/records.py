"""A tag's record and its row; rows lie under the keyed hash of the tag, never under the tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.identifiers import hash_tag, normalise_tag
from shared.instants import format_instant, parse_instant
from shared.storage.rows import SCHEMA, Row, Value

TAG_ROWS = "tag|"
SESSION_ROWS = "session|"
AFTER_TAG_ROWS = "tag|~"
UNDATED = "undated"
START = "start"
"""The source of a row that opens a session; a row of any other source ends it."""
PART = "part"
"""The source of a row that says that a session is part of another one."""
UNLISTED = "unlisted"
"""The source of a row that says that REST lists a session neither as going on nor as finished."""

_BETWEEN = "\n"
"""Parts the ids of a scope in a column: no id that a line of CSV names holds it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a tag or a group may charge: at these chargers, and at all chargers of these sites."""

    chargers: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it limits anything: a scope that names nothing is everywhere."""
        return bool(self.chargers or self.sites)


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag that an operator knows. Validity is from `valid_from` on and before `valid_until`.

    `scope` counts before its group's. `most_sessions` is how many sessions it may have open at
    once, None is any number. `offline` says whether it may charge while the store is away; None
    leaves that to the snapshot's rule. `driver` and `driver_external` are eMabler's id of the
    driver and the operator's own.
    """

    tag: str
    blocked: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    kind: str | None = None
    driver: str | None = None
    driver_external: str | None = None
    group: str | None = None
    scope: Scope = EVERYWHERE
    most_sessions: int | None = None
    offline: bool | None = None


def tag_key(hashed: str) -> tuple[str, str]:
    """The partition and the row key of the tag of this hash."""
    return hashed, f"{TAG_ROWS}{hashed[:8]}"


def tag_row(tag: Tag, hash_key: bytes) -> Row:
    """The tag's row: one partition for each tag, which holds its sessions as well."""
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
    if tag.group is not None:
        columns["group"] = tag.group
    if tag.most_sessions is not None:
        columns["most_sessions"] = tag.most_sessions
    if tag.offline is not None:
        columns["offline"] = tag.offline
    return Row(*tag_key(hash_tag(tag.tag, hash_key)), columns=columns | scope_columns(tag.scope))


def tag_from_row(row: Row) -> Tag:
    """The tag that a row holds."""
    columns = row.columns
    most, offline = columns.get("most_sessions"), columns.get("offline")
    return Tag(
        tag=str(columns["spelling"]),
        blocked=bool(columns["blocked"]),
        valid_from=instant_in(columns, "valid_from"),
        valid_until=instant_in(columns, "valid_until"),
        kind=_text(columns.get("kind")),
        driver=_text(columns.get("driver")),
        driver_external=_text(columns.get("driver_external")),
        group=_text(columns.get("group")),
        scope=scope_in(columns),
        most_sessions=None if most is None else int(most),
        offline=None if offline is None else bool(offline),
    )


def _text(value: Value | None) -> str | None:
    return None if value is None else str(value)


def scope_columns(scope: Scope) -> dict[str, Value]:
    """A scope as columns of a tag's or a group's row."""
    columns: dict[str, Value] = {}
    if scope.chargers:
        columns["chargers"] = _BETWEEN.join(scope.chargers)
    if scope.sites:
        columns["sites"] = _BETWEEN.join(scope.sites)
    return columns


def scope_in(columns: Mapping[str, Value]) -> Scope:
    """The scope that columns hold."""
    chargers, sites = str(columns.get("chargers", "")), str(columns.get("sites", ""))
    return Scope(
        tuple(chargers.split(_BETWEEN)) if chargers else (),
        tuple(sites.split(_BETWEEN)) if sites else (),
    )


def instant_in(columns: Mapping[str, Value], name: str) -> datetime | None:
    """The instant that a column holds, if any."""
    value = columns.get(name)
    return None if value is None else parse_instant(str(value))


def tag_session_row(
    hashed: str,
    session: str,
    source: str,
    digest: str,
    instant: datetime | None,
    *,
    began: datetime | None = None,
) -> Row:
    """That a session of this tag started or ended: what an authorization reads beside the tag.

    `began` is told by an end without a transaction id: when the session began that it ends.
    """
    when = format_instant(instant) if instant else UNDATED
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "session": session,
        "source": source,
        "instant": when,
    }
    if began is not None:
        columns["began"] = format_instant(began)
    return Row(hashed, f"{SESSION_ROWS}{when}|{session}|{source}|{digest}", columns)
