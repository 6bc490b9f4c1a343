"""Claims: what a start, a stop or eMabler's REST says of a session. Rows named by their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.identifiers import NAMELESS, identifies_a_transaction, key_part, normalise_tag
from shared.instants import format_instant, parse_instant
from shared.push.events import TransactionStart, TransactionStop, clock_marks
from shared.storage.rows import SCHEMA, Row, Value
from shared.tags.redaction import TagText

MOST_BODY_CHARACTERS = 450_000
"""Of a longer answer of REST only the fields that are read are kept: a row takes 1 MiB, and text
takes two bytes a character."""

_PIECE = 30_000
"""Characters of an answer in one column, which takes 32 Ki."""


class Source(StrEnum):
    """Who claims."""

    START = "start"
    STOP = "stop"
    REST = "rest"
    ONGOING = "ongoing"


BEGINNINGS = frozenset((Source.START, Source.ONGOING))
"""Who tells that a session began; the others tell that it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one source says of one session. Energy and meters in Wh, instants UTC.

    `name` is what tells claims of one source apart: the digest of an event, the id of a REST item.
    `digest` is that of the content. `observed` is when a REST answer was asked for; the claim
    observed last wins. `gone`: eMabler, asked for the REST item by its id, did not list it as of
    `observed`; all else is what it said last. `tag` is normalised: equal digests must make equal
    rows. `marks` say of a push event that its clock cannot have been right
    (`shared.push.events.CLOCK_FLAGS`). `erased`: the person was taken out of it; the digest is
    still that of the whole.

    A claim whose transaction id identifies nothing stands alone until reconciliation finds the
    session that it belongs to: it is copied there, the copy saying `within` which session it is,
    and `part_of` says of the claim itself where it went.
    """

    source: Source
    charger: str
    transaction: str | None
    name: str
    digest: str
    socket: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    tag: str | None = None
    meter_start_wh: float | None = None
    meter_end_wh: float | None = None
    energy_wh: float | None = None
    site: str | None = None
    observed: datetime | None = None
    gone: bool = False
    body: str | None = None
    marks: tuple[str, ...] = ()
    erased: bool = False
    within: str | None = None
    part_of: str | None = None

    @property
    def is_nameless(self) -> bool:
        """Whether the claim's transaction id identifies nothing, so that it stands alone."""
        return self.within is None and not identifies_a_transaction(self.transaction)

    @property
    def session(self) -> str:
        """The session's key: charger and transaction.

        A transaction id that identifies nothing makes the claim a session of its own, until
        reconciliation pairs it.
        """
        if self.within is not None:
            return self.within
        return session_key(self.charger, self.transaction, self.source, self.name)

    @property
    def key(self) -> str:
        """The row key of the claim."""
        return f"{self.session}|{self.source}|{key_part(self.name)}"


def session_key(charger: str, transaction: str | None, source: Source, name: str) -> str:
    """The key of the session that a claim is of: see `Claim.session`."""
    if transaction is not None and identifies_a_transaction(transaction):
        return f"{key_part(charger)}|{key_part(transaction)}"
    # No escaped id holds "=" before anything but two hex digits or "~": these meet none.
    return f"{key_part(charger)}|{NAMELESS}{source}-{key_part(name)}"


def claim_of(event: TransactionStart | TransactionStop, digest: str) -> Claim:
    """The claim that a transaction's start or stop makes; `digest` is the event's."""
    if isinstance(event, TransactionStart):
        return Claim(
            source=Source.START,
            charger=event.charger,
            transaction=event.transaction,
            name=digest,
            digest=digest,
            socket=event.socket,
            start=event.instant,
            tag=normalise_tag(event.tag) if event.tag else None,
            meter_start_wh=event.meter_start_wh,
            site=event.site,
            marks=clock_marks(event),
        )
    return Claim(
        source=Source.STOP,
        charger=event.charger,
        transaction=event.transaction,
        name=digest,
        digest=digest,
        socket=event.socket,
        start=event.start,
        end=event.instant,
        tag=normalise_tag(event.tag) if event.tag else None,
        meter_start_wh=event.meter_start_wh,
        meter_end_wh=event.meter_end_wh,
        energy_wh=event.energy_wh,
        site=event.site,
        marks=clock_marks(event),
    )


def without_person(claim: Claim, tag: str | None = None) -> Claim:
    """The claim without `tag` (without its own, where none is given): what is left is no person's.

    REST's answer is kept with the tag's id taken out.
    """
    names = {name for name in (tag, claim.tag) if name}
    body = claim.body
    for name in names if body is not None else ():
        body = TagText(name).without_in_body((body or "").encode()).decode()
    return replace(claim, tag=None, body=body, erased=True)


_INSTANTS = ("start", "end", "observed")
_FLAGS = ("erased", "gone")
_PLAIN = (
    "charger",
    "transaction",
    "name",
    "digest",
    "socket",
    "tag",
    "meter_start_wh",
    "meter_end_wh",
    "energy_wh",
    "site",
    "within",
    "part_of",
)


def claim_row(claim: Claim, bucket: str) -> Row:
    """The claim as a row of the sessions table."""
    columns: dict[str, Value] = {"schema": SCHEMA, "source": str(claim.source)}
    for name in _FLAGS:
        if getattr(claim, name):
            columns[name] = True
    for name in _PLAIN:
        value = getattr(claim, name)
        if value is not None:
            columns[name] = value
    for name in _INSTANTS:
        instant = getattr(claim, name)
        if instant is not None:
            columns[name] = format_instant(instant)
    if claim.marks:
        columns["marks"] = ",".join(claim.marks)
    if claim.body is not None:
        columns |= _answer_columns(claim.body)
    return Row(bucket, claim.key, columns)


def claim_from_row(row: Row) -> Claim:
    """The claim that a row holds."""
    columns = dict(row.columns)
    fields = {name: columns.get(name) for name in _PLAIN}
    for name in _FLAGS:
        fields[name] = bool(columns.get(name))
    for name in _INSTANTS:
        text = columns.get(name)
        fields[name] = parse_instant(str(text)) if text is not None else None  # type: ignore[assignment] # instants beside values
    marks = tuple(str(columns["marks"]).split(",")) if "marks" in columns else ()
    source = Source(str(columns["source"]))
    body = answer_in(columns)
    return Claim(source=source, marks=marks, body=body, **fields)  # type: ignore[arg-type] # columns are the claim's own fields


def _answer_columns(body: str) -> dict[str, Value]:
    """REST's answer as `body`, and `body_01` … where one column does not hold it."""
    pieces = [body[first : first + _PIECE] for first in range(0, max(len(body), 1), _PIECE)]
    return {f"body_{n:02d}" if n else "body": piece for n, piece in enumerate(pieces)}


def answer_in(columns: Mapping[str, Value]) -> str | None:
    """REST's answer that stands in the columns of a claim, None where there is none."""
    if "body" not in columns:
        return None
    names = sorted(name for name in columns if name.startswith("body_"))
    return "".join(str(columns[name]) for name in ("body", *names))
