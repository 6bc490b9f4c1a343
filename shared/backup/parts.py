"""A part: some thousand lines, compressed, in one blob whose name tells its digest."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

from shared.errors import BackupError

RAW_BYTES = 16 * 1024 * 1024
"""Lines in a part, before compression: what a run has in memory is a part of it, compressed."""

_GZIP = 31
"""What zlib calls the format of .gz files."""

_LEVEL = 4
"""Of zlib: twice as fast as its default, for a tenth more bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part as the manifest names it: the blob, its lines, its bytes and their SHA-256."""

    source: str
    name: str
    lines: int
    size: int
    digest: str


class PartWriter:
    """Takes lines up; what it holds is compressed."""

    def __init__(self) -> None:
        self.lines = 0
        self._raw = 0
        self._written = bytearray()
        # Without a time: equal lines are equal bytes, and a part that is written again is no other.
        self._gzip = zlib.compressobj(_LEVEL, wbits=_GZIP)

    @property
    def full(self) -> bool:
        """Whether it is time for the next part."""
        return self._raw >= RAW_BYTES

    def add(self, line: bytes) -> None:
        """Take up a line."""
        self._written += self._gzip.compress(line)
        self._raw += len(line)
        self.lines += 1

    def finish(self, backup: str, source: str, number: int) -> tuple[Part, bytes]:
        """The part and its bytes. Equal lines make equal parts, and others never the same name."""
        content = bytes(self._written + self._gzip.flush())
        digest = sha256(content).hexdigest()
        name = f"parts/{backup}/{source}/{number:06d}-{digest[:16]}.jsonl.gz"
        return Part(source, name, self.lines, len(content), digest), content


def lines_of(part: Part, content: bytes) -> Iterator[bytes]:
    """The lines of a part that is whole.

    Raises:
        BackupError: `backup_damaged`: the bytes are not those that were written.
    """
    if sha256(content).hexdigest() != part.digest:
        message = f"{part.name} is not as it was written: its digest is another"
        raise BackupError(message, code="backup_damaged")
    with gzip.GzipFile(fileobj=BytesIO(content)) as lines:
        yield from lines
