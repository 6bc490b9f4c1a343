"""Tags into the store: an import that writes only what differs, and one tag changed at a time."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import batched

from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.rows import Delete, Insert, Replace, Row, Tables
from shared.storage.tables import TAG_GROUPS, TAGS
from shared.storage.together import all_done, upsert_all
from shared.tags.groups import member_row
from shared.tags.importing import fields_of, merged
from shared.tags.records import AFTER_TAG_ROWS, TAG_ROWS, Tag, tag_from_row, tag_key, tag_row

MANY = 2_000
"""From so many tags on an import asks for all that is there in one scan, not for each tag."""

_TOGETHER = 400
_MAX_ROUNDS = 20
_HASH_BYTES, _DIGEST_BYTES = 16, 8
_RECORD_BYTES = _HASH_BYTES + _DIGEST_BYTES


class Outcome(StrEnum):
    """What came, or would come, of one tag."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Told:
    """What an import did, or would do, to one line's tag; `changes` as `column: old → new`."""

    line: int
    outcome: Outcome
    changes: tuple[str, ...] = ()


class Known:
    """What the store holds of all tags, 24 bytes each: hash, and digest of some columns."""

    def __init__(self, columns: Collection[str]) -> None:
        self._columns = sorted(columns)
        self._records = bytearray()

    async def scan(self, tables: Tables, told: Callable[[int], None]) -> None:
        """Read all tags; `told` is told how many more were read.

        Raises:
            StoreUnavailableError: They cannot be read now.
        """
        records: list[bytes] = []
        async for row in tables.scan(TAGS, keys_from=TAG_ROWS, keys_to=AFTER_TAG_ROWS):
            half = bytes.fromhex(row.partition[: 2 * _HASH_BYTES])
            records.append(half + self._digest(tag_from_row(row)))
            told(1)
        self._records = bytearray().join(sorted(records))

    def outcome(self, hashed: str, tag: Tag) -> Outcome:
        """How a tag compares with what is there, as far as these columns go."""
        wanted, size = bytes.fromhex(hashed[: 2 * _HASH_BYTES]), _RECORD_BYTES
        low, high = 0, len(self._records) // size
        while low < high:
            middle = (low + high) // 2
            if self._records[middle * size : middle * size + _HASH_BYTES] < wanted:
                low = middle + 1
            else:
                high = middle
        found = bytes(self._records[low * size : (low + 1) * size])
        if found[:_HASH_BYTES] != wanted:
            return Outcome.NEW
        return Outcome.SAME if found[_HASH_BYTES:] == self._digest(tag) else Outcome.CHANGED

    def _digest(self, tag: Tag) -> bytes:
        fields = fields_of(tag)
        text = "\x1f".join(fields[name] for name in self._columns)
        return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


class TagImport:
    """Brings the store up to the lines of a file; tags that it does not name stay."""

    def __init__(
        self,
        tables: Tables,
        hash_key: bytes,
        columns: Collection[str],
        *,
        previous_key: bytes | None = None,
        dry_run: bool = False,
    ) -> None:
        """`previous_key` is set while tags are moved: what lies under it alone is merged too."""
        self._tables = tables
        self._hash_key = hash_key
        self._previous_key = previous_key
        self._columns = columns
        self._dry_run = dry_run
        self._known: Known | None = None

    async def look(self, told: Callable[[int], None]) -> None:
        """Read what is there of all tags, where many will be written; `told` how many more.

        Raises:
            StoreUnavailableError: They cannot be read now.
        """
        known = Known(self._columns)
        await known.scan(self._tables, told)
        self._known = known

    async def write(self, tags: Iterable[tuple[int, Tag]]) -> AsyncIterator[Sequence[Told]]:
        """Write what differs, some side by side; what came of each is told in parts.

        Args:
            tags: The tags with the numbers of their lines.

        Raises:
            StoreUnavailableError: Some are written; the same import writes the rest.
        """
        for part in batched(tags, _TOGETHER, strict=False):
            await self._write_members([tag for _, tag in part])
            yield await all_done(self._write(number, tag) for number, tag in part)

    async def _write_members(self, tags: Sequence[Tag]) -> None:
        """Make new tags members of their groups together; others see to it one by one."""
        if self._known is not None and self._previous_key is None and not self._dry_run:
            await upsert_all(self._tables, TAG_GROUPS, self._new_members(self._known, tags))

    def _new_members(self, known: Known, tags: Sequence[Tag]) -> Iterator[Row]:
        for tag in tags:
            if tag.group is not None:
                hashed = hash_tag(tag.tag, self._hash_key)
                if known.outcome(hashed, tag) is Outcome.NEW:
                    yield member_row(tag.group, hashed)

    def _outcome(self, known: Known, hashed: str, tag: Tag) -> Outcome:
        """How a tag compares with what was there, under the current key or else the previous."""
        found = known.outcome(hashed, tag)
        if found is Outcome.NEW and self._previous_key is not None:
            return known.outcome(hash_tag(tag.tag, self._previous_key), tag)
        return found

    async def _write(self, number: int, tag: Tag) -> Told:
        row = tag_row(tag, self._hash_key)
        known = self._outcome(self._known, row.partition, tag) if self._known else None
        if known is Outcome.SAME:
            return Told(number, Outcome.SAME)
        if known is Outcome.NEW and self._previous_key is None:
            try:
                if not self._dry_run:
                    await self._tables.write(TAGS, [Insert(row)])
            except RowConflictError:
                pass
            else:
                return Told(number, Outcome.NEW)
        return await self._merge(number, tag)

    async def _merge(self, number: int, tag: Tag) -> Told:
        """Write one tag as what is there has it, under its ETag."""

        def change(present: Tag | None) -> Tag:
            return tag if present is None else merged(present, tag, self._columns)

        before, after = await change_tag(
            self._tables,
            hash_tag(tag.tag, self._hash_key),
            self._hash_key,
            change,
            previous=hash_tag(tag.tag, self._previous_key) if self._previous_key else None,
            dry_run=self._dry_run,
        )
        if before is None:
            return Told(number, Outcome.NEW)
        if before == after:
            return Told(number, Outcome.SAME)
        return Told(number, Outcome.CHANGED, tuple(_changes(before, after)))


def _changes(before: Tag, after: Tag) -> Iterator[str]:
    old, new = fields_of(before), fields_of(after)
    for name, value in new.items():
        if old[name] != value:
            # Reports may be kept: no tag in them, neither spelling.
            told = "spelling" if name == "tag" else f"{name}: {old[name] or '-'} → {value or '-'}"
            yield told


async def change_tag(
    tables: Tables,
    hashed: str,
    hash_key: bytes,
    change: Callable[[Tag | None], Tag],
    *,
    previous: str | None = None,
    dry_run: bool = False,
) -> tuple[Tag | None, Tag]:
    """Change the tag of a hash under its ETag, and its group's members; before and after.

    `previous` is the tag's hash under the previous key, while tags are moved: where there is no
    record yet, the one that lies there is what is changed. It stays until it is moved.

    Raises:
        StoreUnavailableError: It cannot be read or written now, or keeps changing.
    """
    for _ in range(_MAX_ROUNDS):
        row = await tables.get(TAGS, *tag_key(hashed))
        present = row
        if row is None and previous is not None:
            # Moved in between, it lies under the current hash: the insert below meets it.
            present = await tables.get(TAGS, *tag_key(previous))
        before = tag_from_row(present) if present else None
        after = change(before)
        if dry_run or after == before:
            return before, after
        left = await _membership(tables, hashed, before, after) if row else None
        new = replace(tag_row(after, hash_key), partition=hashed, key=tag_key(hashed)[1])
        if after.group is not None:
            await upsert_all(tables, TAG_GROUPS, [member_row(after.group, hashed)])
        try:
            operation = Replace(replace(new, etag=row.etag)) if row else Insert(new)
            await tables.write(TAGS, [operation])
        except RowConflictError:
            continue
        if left is not None:
            await _leave(tables, left)
        return before, after
    raise StoreUnavailableError("a tag kept changing", code="store_contended")


async def _membership(tables: Tables, hashed: str, before: Tag | None, after: Tag) -> Row | None:
    """The member's row of the group that a change takes the tag out of, as it is before it."""
    if before is None or before.group in (None, after.group):
        return None
    member = member_row(str(before.group), hashed)
    return await tables.get(TAG_GROUPS, member.partition, member.key)


async def _leave(tables: Tables, member: Row) -> None:
    """Take a member's row away that is as it was before the tag left: who joins again writes it."""
    with suppress(RowConflictError):
        await tables.write(TAG_GROUPS, [Delete(member.partition, member.key, member.etag)])


async def set_blocked(
    tables: Tables, hashes: Sequence[str], hash_key: bytes, *, blocked: bool
) -> tuple[Tag | None, Tag] | None:
    """Block or unblock a tag that lies under any of these hashes; before and after, None: nowhere.

    `hashes` are those under the current key and, while tags are moved, the previous one. The
    record under the current key is written first, also where there was none: from then on it
    counts, and a move that is under way does not undo it.

    Raises:
        StoreUnavailableError: It may be done in part; the same call does the rest.
    """
    rows = await all_done(tables.get(TAGS, *tag_key(hashed)) for hashed in hashes)
    found = [tag_from_row(row) for row in rows if row is not None]
    if not found:
        return None

    def change(present: Tag | None) -> Tag:
        return replace(present or found[0], blocked=blocked)

    _, after = await change_tag(tables, hashes[0], hash_key, change)
    for hashed, row in zip(hashes[1:], rows[1:], strict=True):
        if row is not None:
            await change_tag(tables, hashed, hash_key, change)
    return found[0], after
