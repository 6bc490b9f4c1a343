"""Findings: where the store and eMabler's books differ, or why that cannot be told. Pure.

A finding holds what each side says, never which one is right. It is named by its class and its
subject, a session or what else it is about, so that meeting it again makes no second one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from shared.identifiers import key_part
from shared.instants import format_instant, parse_instant
from shared.storage.ledger_keys import CLOSED_ROWS, OPEN_ROWS, PARTITION, RESOLVED_ROWS
from shared.storage.rows import SCHEMA, Row, Value

TAG = "tag"
SUBJECT_SIGN = "!"
"""Begins what a finding is about where that is no session: no key of a session begins so."""
_TAG_COLUMNS = {"store": "store_tag", "emabler": "emabler_tag"}
_HASH = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES = 8
_ID_CHARACTERS = 12
_LONGEST_TEXT = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class FindingClass(StrEnum):
    """What is wrong. The meanings are in `CLASSES`."""

    MISSING_IN_STORE = "missing_in_store"
    MISSING_AT_EMABLER = "missing_at_emabler"
    ENERGY_DIFFERS = "energy_differs"
    TIME_DIFFERS = "time_differs"
    TAG_DIFFERS = "tag_differs"
    SOCKET_DIFFERS = "socket_differs"
    CHANGED_AT_EMABLER = "changed_at_emabler"
    CONFLICT = "conflict"
    REST_ITEMS_CONFLICT = "rest_items_conflict"
    OPEN_TOO_LONG = "open_too_long"
    OPEN_NOT_AT_EMABLER = "open_not_at_emabler"
    ONGOING_MISSING_IN_STORE = "ongoing_missing_in_store"
    UNPAIRED = "unpaired"
    PUSH_SILENT = "push_silent"
    ANSWER_WRONG = "answer_wrong"
    PERMISSION_MISSING = "permission_missing"
    CONTRACT_DRIFT = "contract_drift"


CLASSES: Mapping[FindingClass, tuple[str, str]] = {
    FindingClass.MISSING_IN_STORE: (
        "eMabler lists a session that push never brought; it is in the store now, from REST",
        "nothing, where they are few; many at once: look for `push_silent`",
    ),
    FindingClass.MISSING_AT_EMABLER: (
        "push told of an end, and after the grace time eMabler lists the session nowhere",
        "ask eMabler with charger and transaction; the session stays in the store as push told it",
    ),
    FindingClass.ENERGY_DIFFERS: (
        "the stop and REST tell energies further apart than is tolerated",
        "decide before billing which one counts; the meter's readings are in `sessions show`",
    ),
    FindingClass.TIME_DIFFERS: (
        "the stop and REST tell starts or ends further apart than is tolerated",
        "look at the charger's clock; it matters where the price depends on the time",
    ),
    FindingClass.TAG_DIFFERS: (
        "the stop and REST tell different tags",
        "`findings show` tells both; decide before billing who is charged",
    ),
    FindingClass.SOCKET_DIFFERS: (
        "the stop and REST tell different sockets",
        "look at the charger's configuration at eMabler",
    ),
    FindingClass.CHANGED_AT_EMABLER: (
        "eMabler's answer on a session is another one than before, or that of another item",
        "compare what was billed with what eMabler says now",
    ),
    FindingClass.CONFLICT: (
        "two stops of the session contradict each other",
        "`sessions show` puts them side by side; do not bill before somebody looked",
    ),
    FindingClass.REST_ITEMS_CONFLICT: (
        "eMabler lists the session more than once, and the items contradict each other",
        "ask eMabler which item is the session's",
    ),
    FindingClass.OPEN_TOO_LONG: (
        "the session is open in the store and at eMabler for longer than is usual",
        "look at the charger; nothing is closed by invention",
    ),
    FindingClass.OPEN_NOT_AT_EMABLER: (
        "the session is open in the store, and eMabler lists it neither as ongoing nor as finished",
        "ask eMabler; for taps the session counts as over",
    ),
    FindingClass.ONGOING_MISSING_IN_STORE: (
        "eMabler lists the session as ongoing, and push never brought its start",
        "nothing, where they are few; many at once: look for `push_silent`",
    ),
    FindingClass.UNPAIRED: (
        "a start or a stop without a transaction's id, and no session that it belongs to",
        "look at the charger: it starts sessions offline",
    ),
    FindingClass.PUSH_SILENT: (
        "REST lists sessions, and no push event came meanwhile; the likely cause is told",
        "mend the cause at eMabler; the store is kept whole from REST until then",
    ),
    FindingClass.ANSWER_WRONG: (
        "an answer contradicts itself or the question, or fails only there: the front waits there",
        "wait for the next run; where it stays, send eMabler the finding's detail",
    ),
    FindingClass.PERMISSION_MISSING: (
        "the key may not make a call that reconciliation needs",
        "grant the permission that the finding names to the operator who made the key",
    ),
    FindingClass.CONTRACT_DRIFT: (
        "a field that we rely on is missing, has another type or an unknown value",
        "look for a newer release of this product; compare with eMabler's description",
    ),
}
"""Each class: what it means, and what to do. docs/reconciliation.md is held to it."""


class State(StrEnum):
    """What became of a finding.

    `open`: met, and nobody has dealt with it. `repaired`: mended by the run that met it.
    `resolved`: an operator dealt with it; it stays so until a value changes, or until it is over
    (`finding_book.ends_though_resolved`). `gone`: met no more.
    """

    OPEN = "open"
    REPAIRED = "repaired"
    RESOLVED = "resolved"
    GONE = "gone"


_PREFIXES = {State.OPEN: OPEN_ROWS, State.RESOLVED: RESOLVED_ROWS}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run met.

    Args:
        cls: Its class.
        session: The key of the session in the store, `{charger}|{transaction}`; None where the
            finding is about none.
        observed: As of when it was so: the instant before eMabler was asked (UTC).
        charger: The charger's id.
        transaction: The transaction's id.
        store: What the store says, by field. `tag` holds the keyed hash of a tag, 64 hexadecimal
            digits, never the tag.
        emabler: What eMabler says, by field.
        end: The end of the session that it is about, as far as it is known.
        subject: What it is about where that is no session: a call, a field, a stretch of time.

    Raises:
        ValueError: It is about nothing, or names a tag.
    """

    cls: FindingClass
    session: str | None
    observed: datetime
    charger: str | None = None
    transaction: str | None = None
    store: Mapping[str, Value] = field(default_factory=dict)
    emabler: Mapping[str, Value] = field(default_factory=dict)
    end: datetime | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        if (self.session is None) == (self.subject is None):
            raise ValueError("a finding is about a session or about something else")
        for side in (self.store, self.emabler):
            if TAG in side and not _HASH.fullmatch(str(side[TAG])):
                raise ValueError("a finding holds keyed hashes of tags, no tags")

    @property
    def about(self) -> str:
        """The part of its key that tells what it is about."""
        if self.subject is not None:
            return f"{SUBJECT_SIGN}{key_part(self.subject)}"
        return str(self.session)

    @property
    def digest(self) -> bytes:
        """What both sides say, in 8 bytes: another one where a value changed."""
        text = f"{side_text(self.store)}\n{side_text(self.emabler)}"
        return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def side_text(side: Mapping[str, Value]) -> str:
    """What one side says, as JSON text, in ASCII, that is the same for the same values.

    A text of more than 1,000 characters is cut: a finding fits its row, whatever a server answers.
    """
    told = {name: _cut(value) for name, value in side.items()}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _cut(value: Value) -> Value:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[: _LONGEST_TEXT - 1]}…"
    return value


def _without_tag(side: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in side.items() if name != TAG}


@dataclass(frozen=True, slots=True)
class Known:
    """A finding as it is kept: what a run met last, and what became of it.

    `first` and `last` are the days on which it was met first and last, UTC. `who` and `note` are an
    operator's, `at` the instant of the change of state.
    """

    finding: Finding
    state: State
    first: date
    last: date
    run: str = ""
    who: str | None = None
    note: str | None = None
    at: datetime | None = None

    @property
    def key(self) -> str:
        """The row key."""
        prefix = _PREFIXES.get(self.state, CLOSED_ROWS)
        return f"{prefix}{self.finding.about}|{self.finding.cls}"

    @property
    def id(self) -> str:
        """What names it on a command line, whatever its state."""
        return finding_id(self.key)


def finding_id(key: str) -> str:
    """The name of a finding on a command line: 12 hexadecimal digits that follow from its key."""
    named = key.partition("|")[2]
    return hashlib.sha256(named.encode()).hexdigest()[:_ID_CHARACTERS]


def known_row(known: Known, etag: str | None = None) -> Row:
    """The finding as a row."""
    finding = known.finding
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "class": str(finding.cls),
        "state": str(known.state),
        "store": side_text(_without_tag(finding.store)),
        "emabler": side_text(_without_tag(finding.emabler)),
        "observed": format_instant(finding.observed),
        "first_seen": known.first.isoformat(),
        "last_seen": known.last.isoformat(),
        "run": known.run,
    }
    for name, side in (("store", finding.store), ("emabler", finding.emabler)):
        if TAG in side:
            # A column of its own: an erasure finds a tag's hash by comparing whole columns.
            columns[_TAG_COLUMNS[name]] = str(side[TAG])
    for name in ("session", "charger", "transaction", "subject"):
        if (value := getattr(finding, name)) is not None:
            columns[name] = value
    for name, instant in (("end", finding.end), ("changed", known.at)):
        if instant is not None:
            columns[name] = format_instant(instant)
    for name in ("who", "note"):
        if (value := getattr(known, name)) is not None:
            columns[name] = value
    return Row(PARTITION, known.key, columns, etag)


def known_from_row(row: Row) -> Known:
    """The finding that a row holds."""
    columns = row.columns
    sides = {}
    for name, column in _TAG_COLUMNS.items():
        sides[name] = dict(json.loads(str(columns[name])))
        if column in columns:
            sides[name][TAG] = columns[column]
    finding = Finding(
        FindingClass(str(columns["class"])),
        _optional(columns, "session"),
        parse_instant(str(columns["observed"])) or _EPOCH,
        _optional(columns, "charger"),
        _optional(columns, "transaction"),
        sides["store"],
        sides["emabler"],
        parse_instant(str(columns.get("end", ""))),
        _optional(columns, "subject"),
    )
    return Known(
        finding,
        State(str(columns["state"])),
        date.fromisoformat(str(columns["first_seen"])),
        date.fromisoformat(str(columns["last_seen"])),
        str(columns["run"]),
        _optional(columns, "who"),
        _optional(columns, "note"),
        parse_instant(str(columns.get("changed", ""))),
    )


def _optional(columns: Mapping[str, Value], name: str) -> str | None:
    value = columns.get(name)
    return None if value is None else str(value)


def microseconds(instant: datetime) -> int:
    """An instant as a number that takes little room."""
    return (instant - _EPOCH) // _MICROSECOND
