"""The documented limits of Table Storage, held before anything is sent.

The local emulator is laxer than the service, so what breaks a limit has to fail here, the same
everywhere. Source: Microsoft, "Understanding the Table service data model" and "Performing entity
group transactions".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from shared.errors import RowRejectedError
from shared.storage.rows import Delete, Operation, Row, Value, address

MAX_OPERATIONS = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_ROW_BYTES = 1024 * 1024
MAX_COLUMNS = 252
MAX_TEXT_UNITS = 32 * 1024
MAX_BINARY_BYTES = 64 * 1024
MAX_KEY_BYTES = 1024

_FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_OPERATION_OVERHEAD = 700
"""Bytes that one operation costs in a transaction besides its row: MIME part and headers."""


def check(operations: Sequence[Operation]) -> None:
    """Hold a write to the limits of one request.

    Raises:
        RowRejectedError: Which limit is broken, by which row.
    """
    if not 1 <= len(operations) <= MAX_OPERATIONS:
        message = f"a transaction has 1 to {MAX_OPERATIONS} operations, not {len(operations)}"
        raise RowRejectedError(message)
    addresses = [address(operation) for operation in operations]
    if len({partition for partition, _ in addresses}) > 1:
        raise RowRejectedError("a transaction stays within one partition")
    if len(set(addresses)) < len(addresses):
        raise RowRejectedError("a transaction names each row once")
    for operation in operations:
        if not isinstance(operation, Delete):
            check_row(operation.row)
    if len(operations) > 1 and sum(map(operation_bytes, operations)) > MAX_TRANSACTION_BYTES:
        raise RowRejectedError("a transaction has at most 4 MiB")


def check_row(row: Row) -> None:
    """Hold a row to the limits of an entity.

    Raises:
        RowRejectedError: Which limit is broken.
    """
    for name, key in (("partition", row.partition), ("key", row.key)):
        if _FORBIDDEN_IN_KEYS.search(key):
            raise RowRejectedError(f"a {name} holds a character that keys may not have")
        if 2 * len(key) > MAX_KEY_BYTES:
            raise RowRejectedError(f"a {name} has {len(key)} characters; 512 are possible")
    if len(row.columns) > MAX_COLUMNS:
        raise RowRejectedError(f"a row has at most {MAX_COLUMNS} columns, not {len(row.columns)}")
    for name, value in row.columns.items():
        if not _COLUMN_NAME.fullmatch(name):
            raise RowRejectedError(f"{name!r} is no name of a column")
        _check_value(name, value)
    if row_bytes(row) > MAX_ROW_BYTES:
        raise RowRejectedError("a row has at most 1 MiB")


def _check_value(name: str, value: Value) -> None:
    if isinstance(value, str) and _utf16_bytes(value) > 2 * MAX_TEXT_UNITS:
        raise RowRejectedError(f"column {name} holds more than 32 Ki UTF-16 units of text")
    if isinstance(value, bytes) and len(value) > MAX_BINARY_BYTES:
        raise RowRejectedError(f"column {name} holds more than 64 KiB of bytes")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RowRejectedError(f"column {name} holds a number beyond 64 bits")


def row_bytes(row: Row) -> int:
    """The size of an entity by Microsoft's formula, in bytes."""
    size = 4 + 2 * (len(row.partition) + len(row.key))
    for name, value in row.columns.items():
        size += 8 + 2 * len(name)
        match value:
            case str():
                size += 4 + _utf16_bytes(value)
            case bytes():
                size += 4 + len(value)
            case _:
                size += 8
    return size


def _utf16_bytes(text: str) -> int:
    return 2 * len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass"))


def operation_bytes(operation: Operation) -> int:
    """An upper bound of what an operation adds to a transaction as sent, in bytes."""
    partition, key = address(operation)
    # Keys stand in the address, percent-escaped, and in the body.
    size = _OPERATION_OVERHEAD + 8 * (len(partition) + len(key))
    if isinstance(operation, Delete):
        return size
    for name, value in operation.row.columns.items():
        size += 2 * len(name) + 40
        match value:
            case str():
                # A bound that costs nothing to find: JSON writes a quote, a backslash or a line's
                # end of a body as two bytes, and another letter than ASCII as twelve at most.
                size += (2 if value.isascii() else 12) * len(value)
            case bytes():
                size += 4 * len(value) // 3 + 4
            case _:
                size += 24
    return size


def transactions(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Cut operations on one partition into transactions that keep the limits, in their order."""
    return transactions_of_groups([operation] for operation in operations)


def transactions_of_groups(
    groups: Iterable[Sequence[Operation]], *, beside: Sequence[Operation] = ()
) -> Iterator[list[Operation]]:
    """Cut groups of operations on one partition likewise; each group stays in one transaction.

    `beside` are operations that the caller adds to each transaction: there is room for them.
    """
    most = MAX_OPERATIONS - len(beside)
    room = MAX_TRANSACTION_BYTES - sum(map(operation_bytes, beside))
    together: list[Operation] = []
    size = 0
    for group in groups:
        more = sum(map(operation_bytes, group))
        if together and (len(together) + len(group) > most or size + more > room):
            yield together
            together, size = [], 0
        together += group
        size += more
    if together:
        yield together
