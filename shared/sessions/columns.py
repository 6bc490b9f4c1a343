"""The columns of exported sessions: their names, kinds, units and meanings.

One table for all formats; docs/sessions-export.md is held to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.instants import parse_instant
from shared.sessions.claims import Source
from shared.storage.rows import Row, Value


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"
    COUNT = "whole number"
    INSTANT = "instant"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a name that stays, what it holds, and what it means."""

    name: str
    kind: Kind
    meaning: str


_OF_EACH_SOURCE = (
    ("start", Kind.INSTANT, "the session's start"),
    ("end", Kind.INSTANT, "its end"),
    ("energy_wh", Kind.NUMBER, "its energy, Wh"),
    ("meter_start_wh", Kind.NUMBER, "the meter at its start, Wh"),
    ("meter_end_wh", Kind.NUMBER, "the meter at its end, Wh"),
    ("tag", Kind.TEXT, "its tag"),
    ("socket", Kind.COUNT, "its socket"),
)
_SAYS = {
    Source.START: "as the start tells",
    Source.STOP: "as the stop tells",
    Source.REST: "as eMabler's REST tells",
}

COLUMNS: tuple[Column, ...] = (
    Column("charger", Kind.TEXT, "the charger's id"),
    Column("transaction", Kind.TEXT, "the transaction's id as the charger told it"),
    Column("state", Kind.TEXT, "`open` or `ended`; `part` is asked for by name only"),
    Column("start", Kind.INSTANT, "the start: the stop's, else the start's, else REST's"),
    Column("end", Kind.INSTANT, "the end: the stop's, else REST's"),
    Column("energy_wh", Kind.NUMBER, "energy, Wh: told, else by the meters"),
    Column("meter_start_wh", Kind.NUMBER, "the meter at the start, Wh"),
    Column("meter_end_wh", Kind.NUMBER, "the meter at the end, Wh"),
    Column("socket", Kind.COUNT, "the socket's number"),
    Column("tag", Kind.TEXT, "the tag, normalised: personal data"),
    Column("site", Kind.TEXT, "the site's id"),
    Column(
        "sources",
        Kind.TEXT,
        "who told of it: `start`, `stop`, `rest`, parted by commas; `ongoing`: REST's list of "
        "sessions that go on, as long as nobody else does",
    ),
    Column("starts", Kind.COUNT, "how many different starts were told"),
    Column("stops", Kind.COUNT, "how many different stops were told"),
    Column("findings", Kind.TEXT, "what is odd about it, parted by commas"),
    Column("held", Kind.FLAG, "not to be billed before somebody looked at it"),
    Column("erased", Kind.FLAG, "the person was taken out"),
    *(
        Column(f"{source}_{name}", kind, f"{meaning}, {_SAYS[source]}")
        for source in _SAYS
        for name, kind, meaning in _OF_EACH_SOURCE
    ),
    Column("rest_id", Kind.TEXT, "REST's own id of it"),
    Column("rest_observed", Kind.INSTANT, "when REST was asked"),
    Column("session", Kind.TEXT, "the session's key in the store: charger and transaction"),
)


def exported(row: Row) -> dict[str, Value | datetime | None]:
    """A summary's row as the columns' values: texts, numbers, instants; None where untold."""
    columns: Mapping[str, Value] = {**row.columns, "session": row.key.rpartition("|")[0]}
    return {each.name: _value(each.kind, columns.get(each.name)) for each in COLUMNS}


def _value(kind: Kind, value: Value | None) -> Value | datetime | None:
    if value is None:
        return None
    match kind:
        case Kind.TEXT:
            return str(value)
        case Kind.INSTANT:
            return parse_instant(str(value))
        case Kind.NUMBER:
            return float(value)
        case Kind.COUNT:
            return int(value)
        case Kind.FLAG:
            return bool(value)
