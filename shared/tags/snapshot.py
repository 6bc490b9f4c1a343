"""Whether tags may charge while the store is away, in 24 bytes each. Pure.

```
TAGS 1          magic and version, 8 bytes
scanned         microseconds since 1970: the instant before the scan of the table began
as_of           the same, of the last change, so that no earlier scan takes its place
count           how many tags, then as many records, ascending:
                16 bytes of the keyed hash, valid from and valid until as seconds since 1970
```

All numbers are unsigned and big-endian. Bounds are cut to the second, never to a longer validity.
A tag that may not charge has a record whose validity is empty, 0 to 0: a tag may lie under several
hashes (a previous key, other spellings), and the first that is held decides, as in the store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.tags.groups import Group
from shared.tags.records import Tag

_HEADER = struct.Struct(">8sQQI")
_RECORD = struct.Struct(">16sII")
_MAGIC = b"TAGS\x00\x00\x00\x01"
_HASH_BYTES = 16
_NEVER_ENDS = 2**32 - 1
_NEVER = 0, 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _SECOND = timedelta(microseconds=1), timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a tag of the snapshot may charge, as seconds since 1970."""

    begin: int
    end: int

    def holds(self, now: datetime) -> bool:
        """Whether an instant lies within."""
        seconds = (now - _EPOCH) // _SECOND
        return self.begin <= seconds and (seconds < self.end or self.end == _NEVER_ENDS)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """When tags may charge offline, by their keyed hashes, as of the beginning of a scan."""

    scanned: datetime
    as_of: datetime
    records: bytes

    def __len__(self) -> int:
        """How many tags it holds."""
        return len(self.records) // _RECORD.size

    def validity(self, hashed: str) -> Validity | None:
        """The validity of the tag of this hash; None where the snapshot does not hold it."""
        wanted = bytes.fromhex(hashed[: 2 * _HASH_BYTES])
        at = _position(self.records, wanted)
        if self.records[at : at + _HASH_BYTES] != wanted:
            return None
        return Validity(*_RECORD.unpack_from(self.records, at)[1:])

    def denying(self, hashes: Iterable[str]) -> Snapshot:
        """The snapshot in which these tags may not charge: a later change, of the same scan."""
        records = self.records
        for hashed in hashes:
            wanted = bytes.fromhex(hashed[: 2 * _HASH_BYTES])
            at = _position(records, wanted)
            held = records[at : at + _HASH_BYTES] == wanted
            rest = records[at + _RECORD.size if held else at :]
            records = records[:at] + _RECORD.pack(wanted, *_NEVER) + rest
        return Snapshot(self.scanned, self.next_change(), records)

    def next_change(self) -> datetime:
        """An instant after all that it tells, by no clock: those of two machines differ."""
        return max(self.as_of, self.scanned) + _MICROSECOND

    def content(self) -> bytes:
        """The bytes of the blob."""
        times = ((instant - _EPOCH) // _MICROSECOND for instant in (self.scanned, self.as_of))
        return _HEADER.pack(_MAGIC, *times, len(self)) + self.records


def _position(records: bytes, wanted: bytes) -> int:
    """The place of the first record whose hash is not below the wanted one."""
    low, high, size = 0, len(records) // _RECORD.size, _RECORD.size
    while low < high:
        middle = (low + high) // 2
        if records[middle * size : middle * size + _HASH_BYTES] < wanted:
            low = middle + 1
        else:
            high = middle
    return low * size


def read_snapshot(content: bytes) -> Snapshot | None:
    """The snapshot that a blob holds; None where it is none of this version."""
    if len(content) < _HEADER.size:
        return None
    magic, scanned, as_of, count = _HEADER.unpack_from(content)
    records = content[_HEADER.size :]
    if magic != _MAGIC or len(records) != count * _RECORD.size:
        return None
    try:
        return Snapshot(
            _EPOCH + scanned * _MICROSECOND, _EPOCH + as_of * _MICROSECOND, bytes(records)
        )
    except OverflowError:
        return None


def make_snapshot(
    records: Iterable[bytes], scanned: datetime, after: Snapshot | None = None
) -> Snapshot:
    """A snapshot of records in any order, as of the instant before they were read.

    It follows `after`, whatever the clock says that made that one.
    """
    as_of = scanned if after is None else max(scanned, after.next_change())
    return Snapshot(scanned, as_of, b"".join(sorted(records)))


def no_scan_yet() -> Snapshot:
    """A snapshot of nothing, too old to decide anything: what changes while a scan is the first."""
    return Snapshot(_EPOCH, _EPOCH, b"")


def may_charge_offline(tag: Tag, group: Group | None) -> bool:
    """Whether a tag may charge offline: not blocked, its group not either.

    Where the operator did not say, a tag with a scope may not: offline nobody knows where the
    charger stands. Limits are not judged offline.
    """
    if tag.blocked or (tag.group is not None and (group is None or group.blocked)):
        return False
    if tag.offline is not None:
        return tag.offline
    return not (tag.scope or (group is not None and group.scope))


def record_of(hashed: str, tag: Tag, group: Group | None) -> bytes:
    """A tag's record; with an empty validity where it may not charge, or not before 2106."""
    half = bytes.fromhex(hashed[: 2 * _HASH_BYTES])
    if not may_charge_offline(tag, group):
        return _RECORD.pack(half, *_NEVER)
    ends = [each.valid_until for each in (tag, group) if each is not None and each.valid_until]
    begin = 0 if tag.valid_from is None else -((_EPOCH - tag.valid_from) // _SECOND)
    end = min(((each - _EPOCH) // _SECOND for each in ends), default=_NEVER_ENDS)
    begin, end = max(begin, 0), min(end, _NEVER_ENDS)
    return _RECORD.pack(half, *((begin, end) if begin < end else _NEVER))
