"""Tags into the store: an import that writes only what differs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched

from shared.identifiers import hash_tag
from shared.storage.rows import Tables
from shared.tags.changing import Change, change_tags
from shared.tags.importing import fields_of, merged
from shared.tags.records import Tag
from shared.tags.roster import walk

MANY = 2_000
"""From so many tags on an import asks for all that is there in one scan, not for each tag."""

_TOGETHER = 2_000
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
        async for hashed, tag in walk(tables):
            half = bytes.fromhex(hashed[: 2 * _HASH_BYTES])
            records.append(half + self._digest(tag))
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
            yield await self._write(part)

    async def _write(self, part: Sequence[tuple[int, Tag]]) -> list[Told]:
        same: dict[int, Told] = {}
        changes: dict[int, Change] = {}
        for number, tag in part:
            outcome = self._known_outcome(tag)
            if outcome is Outcome.SAME:
                same[number] = Told(number, outcome)
            else:
                changes[number] = self._change(tag, outcome)
        changed = await change_tags(
            self._tables, self._hash_key, list(changes.values()), dry_run=self._dry_run
        )
        told = {n: _told(n, *each) for n, each in zip(changes, changed, strict=True)}
        return [same.get(number) or told[number] for number, _ in part]

    def _known_outcome(self, tag: Tag) -> Outcome | None:
        """How a tag compares with what was there, under the current key or else the previous."""
        if self._known is None:
            return None
        found = self._known.outcome(hash_tag(tag.tag, self._hash_key), tag)
        if found is Outcome.NEW and self._previous_key is not None:
            return self._known.outcome(hash_tag(tag.tag, self._previous_key), tag)
        return found

    def _change(self, tag: Tag, outcome: Outcome | None) -> Change:
        def change(present: Tag | None) -> Tag:
            return tag if present is None else merged(present, tag, self._columns)

        previous = hash_tag(tag.tag, self._previous_key) if self._previous_key else None
        return Change(
            hash_tag(tag.tag, self._hash_key),
            change,
            previous,
            # While tags are moved, one may come to either hash that was not there.
            absent=outcome is Outcome.NEW and previous is None,
        )


def _told(number: int, before: Tag | None, after: Tag) -> Told:
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
