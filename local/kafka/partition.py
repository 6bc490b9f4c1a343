"""One partition: batches of records in their order, as the bytes that the producer sent.

A batch (magic 2) begins with base offset 8 bytes, length 4, leader epoch 4, magic 1, CRC 4,
attributes 2, last offset delta 4: https://kafka.apache.org/documentation/#recordbatch. The broker
writes the base offset, which the CRC leaves out.
"""

from bisect import bisect_right

from local.kafka.wire import WireError

_BEFORE_LENGTH, _AFTER_LENGTH, _LEAST = 8, 12, 27
_MAGIC_AT, _MAGIC = 16, 2
_DELTA = slice(23, 27)


class Partition:
    """A log in memory; it keeps everything."""

    def __init__(self) -> None:
        self._batches: list[bytes] = []
        self._firsts: list[int] = []
        self.end = 0

    def append(self, records: bytes) -> int:
        """Keep the batches of one request; give the offset of the first record.

        Raises:
            WireError: They are no batches of magic 2; none is kept.
        """
        batches = _batches(records)
        first = self.end
        for batch in batches:
            self._firsts.append(self.end)
            self._batches.append(self.end.to_bytes(_BEFORE_LENGTH, "big") + batch[_BEFORE_LENGTH:])
            self.end += int.from_bytes(batch[_DELTA], "big") + 1
        return first

    def read(self, offset: int, most_bytes: int) -> bytes:
        """Whole batches from the one that holds `offset` on; at least one where there is one."""
        if offset >= self.end:
            return b""
        begin = number = bisect_right(self._firsts, offset) - 1
        size = 0
        while number < len(self._batches):
            size += len(self._batches[number])
            if size > most_bytes and number > begin:
                break
            number += 1
        return b"".join(self._batches[begin:number])


def _batches(records: bytes) -> list[bytes]:
    found = []
    rest = records
    while rest:
        size = _AFTER_LENGTH + int.from_bytes(rest[_BEFORE_LENGTH:_AFTER_LENGTH], "big")
        if len(rest) < max(size, _LEAST) or rest[_MAGIC_AT] != _MAGIC:
            raise WireError("records that are no batches of magic 2")
        found.append(rest[:size])
        rest = rest[size:]
    return found
