"""The roster: a copy of each tag's record where no sessions lie, for whoever walks all tags.

A tap reads a tag's record and its sessions in one range, so records lie among the rows of sessions
of years; a walk over them would walk over those too. The roster has one row for each record. It is
either a copy, or marked: the record is about to change, so whoever wants it reads the record.

Whoever changes a record reads it, marks its row, writes the record under the ETag that was read,
and settles the row, under the mark's ETag. New records of an import are announced together, in one
note, in place of a mark each. A row that is not marked is the record as it is, at any moment and
wherever anybody is stopped; docs/decisions/0040 has the argument.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import uuid4

from shared.errors import RowConflictError, RowMissingError, StoreUnavailableError
from shared.storage import limits
from shared.storage.roster_mark import KEY, ROSTER, roster_row
from shared.storage.rows import (
    SCHEMA,
    Delete,
    Insert,
    Operation,
    Replace,
    Row,
    Tables,
    Upsert,
    Value,
    address,
)
from shared.storage.tables import STORE, TAG_ROSTER, TAGS
from shared.storage.together import all_done
from shared.tags.records import AFTER_TAG_ROWS, TAG_ROWS, Tag, tag_from_row, tag_key

MARK = "changing"
"""The column of a marked row, which holds nothing of the tag."""
LEFT_BEHIND = timedelta(minutes=10)
"""A mark of that age is of a writer that was stopped: sooner it would be disturbed for nothing."""
NOTHING_CAME = timedelta(days=1)
"""A note of that age, or a mark without a record, is of a writer that will not write any more."""

_NOTES = "noted"
"""The partition of the notes, behind those of the rows."""
_HASH_DIGITS = 64
_AT_HAND = 1_000
_MAX_ROUNDS = 1_000
"""Two who make a roster side by side overtake each other at each note."""


def roster_key(hashed: str) -> tuple[str, str]:
    """The partition and the row key of the tag of this hash: sixteen partitions."""
    return hashed[0], hashed


async def mark(tables: Tables, hashes: Iterable[str]) -> dict[str, str]:
    """Say that the records of these hashes are about to change; the ETags to settle with.

    Always allowed, and before any write of a record, which has to have been read before.

    Raises:
        StoreUnavailableError: Some are marked.
    """
    columns: dict[str, Value] = {"schema": SCHEMA, MARK: True}
    rows = [Upsert(Row(*roster_key(hashed), columns)) for hashed in dict.fromkeys(hashes)]
    groups = _in_transactions(rows)
    etags = await all_done(tables.write(TAG_ROSTER, group) for group in groups)
    return {
        address(operation)[1]: str(etag)
        for group, written in zip(groups, etags, strict=True)
        for operation, etag in zip(group, written, strict=True)
    }


async def note(tables: Tables, hashes: Sequence[str]) -> str:
    """Say of at most 2,000 hashes that records may be inserted; the note's key, to end it with.

    Raises:
        StoreUnavailableError: Nothing is said, or nobody will end it: a walk does, in time.
    """
    key = uuid4().hex
    columns: dict[str, Value] = {"schema": SCHEMA, "hashes": bytes.fromhex("".join(hashes))}
    await tables.write(TAG_ROSTER, [Insert(Row(_NOTES, key, columns))])
    return key


async def end_note(tables: Tables, key: str) -> None:
    """Take a note away: each of its records has its row by now, or is not there.

    Raises:
        StoreUnavailableError: It may stay.
    """
    with suppress(RowMissingError):
        await tables.write(TAG_ROSTER, [Delete(_NOTES, key)])


async def is_noted(tables: Tables, hashed: str) -> bool:
    """Whether a record of this hash may be inserted without a mark, and then copied.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    return any(hashed in _hashes_of(each) for each in await _notes(tables))


async def _notes(tables: Tables) -> list[Row]:
    return [row async for row in tables.range(TAG_ROSTER, _NOTES)]


def _hashes_of(noted: Row) -> list[str]:
    hashes = noted.columns["hashes"]
    text = hashes.hex() if isinstance(hashes, bytes) else ""
    return [text[at : at + _HASH_DIGITS] for at in range(0, len(text), _HASH_DIGITS)]


async def settle(tables: Tables, records: Iterable[Row], marks: Mapping[str, str]) -> list[str]:
    """Make rows copies of records as they were written; the hashes of those that are none.

    `marks` are the ETags of the marks, by hash; where there is none, the row is a new one. A row
    that is another one by now is somebody else's, or gone.

    Raises:
        StoreUnavailableError: Some are copies, the others stay marked.
    """
    copies: list[Operation] = []
    for record in records:
        copy = Row(*roster_key(record.partition), record.columns, marks.get(record.partition))
        copies.append(Insert(copy) if copy.etag is None else Replace(copy))

    async def write(group: Sequence[Operation]) -> list[str]:
        try:
            await tables.write(TAG_ROSTER, group)
        except RowConflictError:
            if len(group) == 1:
                return [address(group[0])[1]]
            return [each for one in group for each in await write([one])]
        return []

    unsettled = await all_done(write(group) for group in _in_transactions(copies))
    return [hashed for part in unsettled for hashed in part]


def _in_transactions(operations: Iterable[Operation]) -> list[list[Operation]]:
    partitions: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        partitions[address(operation)[0]].append(operation)
    return [group for each in partitions.values() for group in limits.transactions(each)]


async def walk(tables: Tables) -> AsyncIterator[tuple[str, Tag]]:
    """All tags with their hashes. Each is as it was at some moment of the walk.

    Where there is no whole roster it is made first. Marks that were left behind are settled.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    await _make_whole(tables)
    notes = await _notes(tables)
    noted = {hashed for each in notes for hashed in _hashes_of(each)}
    async for part in _parts(tables.scan(TAG_ROSTER, end=_NOTES)):
        noted.difference_update(row.key for row in part)
        marked = [row for row in part if MARK in row.columns]
        records = await _records(tables, [row.key for row in marked])
        for row in part:
            record = records[row.key] if MARK in row.columns else row
            if record is not None:
                yield row.key, tag_from_row(record)
        if marked:
            await _tidy(tables, marked, records)
    found = await _records(tables, sorted(noted))
    for hashed, record in found.items():
        if record is not None:
            yield hashed, tag_from_row(record)
    if notes:
        await _tidy_notes(tables, notes, found)


async def _records(tables: Tables, hashes: Sequence[str]) -> dict[str, Row | None]:
    read = await all_done(tables.get(TAGS, *tag_key(hashed)) for hashed in hashes)
    return dict(zip(hashes, read, strict=True))


async def any_tags(tables: Tables) -> AsyncIterator[tuple[str, Tag]]:
    """Some tags with their hashes, the copies first: for one look, which writes nothing.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    async for row in tables.scan(TAG_ROSTER, end=_NOTES):
        if MARK not in row.columns:
            yield row.key, tag_from_row(row)
    async for row in tables.scan(TAGS, keys_from=TAG_ROWS, keys_to=AFTER_TAG_ROWS):
        yield row.partition, tag_from_row(row)


async def _parts(rows: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    part: list[Row] = []
    async for row in rows:
        part.append(row)
        if len(part) == _AT_HAND:
            yield part
            part = []
    if part:
        yield part


async def _tidy(tables: Tables, marked: Sequence[Row], records: Mapping[str, Row | None]) -> None:
    """Settle marks that were left behind, and take away those of records that never came."""
    # What a walk has read does not depend on whether anything can be written.
    with suppress(StoreUnavailableError):
        now = await tables.now()
        old = [row for row in marked if _age(row, now) >= LEFT_BEHIND]
        tried = await all_done(_write_over(tables, row, records[row.key], now) for row in old)
        ours = [record for record in tried if record is not None]
        await settle(tables, ours, {row.key: str(row.etag) for row in old})


async def _write_over(tables: Tables, marked: Row, record: Row | None, now: datetime) -> Row | None:
    """Write a record over with itself: who read it before can write it no more, but begins anew."""
    with suppress(RowConflictError):
        if record is not None:
            await tables.write(TAGS, [Replace(record)])
            return record
        if _age(marked, now) >= NOTHING_CAME:
            await tables.write(TAG_ROSTER, [Delete(marked.partition, marked.key, marked.etag)])
    return None


async def _tidy_notes(
    tables: Tables, notes: Sequence[Row], found: Mapping[str, Row | None]
) -> None:
    """Mark what came of notes that were left behind, and end them when nothing more will come."""
    with suppress(StoreUnavailableError):
        now = await tables.now()
        for each in notes:
            if _age(each, now) >= LEFT_BEHIND:
                await mark(tables, [name for name in _hashes_of(each) if found.get(name)])
            if _age(each, now) >= NOTHING_CAME:
                await end_note(tables, each.key)


def _age(row: Row, now: datetime) -> timedelta:
    return now - row.timestamp if row.timestamp else timedelta()


async def _make_whole(tables: Tables) -> None:
    """Mark the row of every record, where nobody did: they are settled by and by.

    How far it came is noted, and others go on from there. A note that somebody else wrote, or took
    away, is read again: what it says then is true of all who make one roster.
    """
    for _ in range(_MAX_ROUNDS):
        noted = await tables.get(STORE, ROSTER, KEY)
        if noted is not None and noted.columns["whole"]:
            return
        try:
            await _make(tables, noted)
        except RowConflictError:
            continue
        return
    raise StoreUnavailableError("the roster kept changing", code="store_contended")


async def _make(tables: Tables, noted: Row | None) -> None:
    after, etag = "", noted.etag if noted else None

    async def note(*, whole: bool = False) -> str | None:
        row = roster_row(whole=whole, after=after, etag=etag)
        return (await tables.write(STORE, [Replace(row) if etag else Insert(row)]))[0]

    if noted is None:
        etag = await note()
    else:
        after = str(noted.columns["after"])
    if not after:
        # Copies from before, of which nobody knows whether they are true.
        async for part in _parts(tables.scan(TAG_ROSTER, end=_NOTES)):
            await mark(tables, [row.key for row in part])
    records = tables.scan(TAGS, after, keys_from=TAG_ROWS, keys_to=AFTER_TAG_ROWS)
    async for part in _parts(records):
        await mark(tables, [row.partition for row in part])
        after = part[-1].partition
        etag = await note()
    await note(whole=True)
