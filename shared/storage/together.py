"""Writes that go out side by side, and what happens when one of them fails."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import cast

from shared.storage import limits
from shared.storage.rows import Operation, Row, Tables, Upsert, address

SIDE_BY_SIDE = 16
"""How many requests of one invocation are under way at once: Azure throttles a burst, not a row."""


async def all_done[T](work: Iterable[Awaitable[T]]) -> list[T]:
    """Wait for all, then raise the first error: no write is cut off because another one failed."""
    awaitables = list(work)
    if len(awaitables) <= 1:
        return [await awaitable for awaitable in awaitables]
    slots = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(awaitable: Awaitable[T]) -> T:
        async with slots:
            return await awaitable

    try:
        results = await asyncio.gather(*map(one, awaitables), return_exceptions=True)
    finally:
        # Where all is cancelled, some have not begun.
        for awaitable in awaitables:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done


async def both[A, B](one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """Wait for both, then raise the first error; see `all_done`."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    for result in (first, second):
        if isinstance(result, BaseException):
            raise result
    return cast("A", first), cast("B", second)


async def ahead[T, R](
    items: AsyncIterator[T], work: Callable[[T], Awaitable[R]]
) -> AsyncGenerator[R]:
    """What comes of each item, in their order; `SIDE_BY_SIDE` of them are under way at once."""

    async def one(item: T) -> R:
        return await work(item)

    under_way: deque[asyncio.Task[R]] = deque()
    try:
        async for item in items:
            under_way.append(asyncio.create_task(one(item)))
            if len(under_way) == SIDE_BY_SIDE:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def in_order(stretches: Iterable[AsyncIterator[Row]]) -> AsyncIterator[Row]:
    """The rows of small stretches in their order, read ahead side by side."""

    async def each() -> AsyncIterator[AsyncIterator[Row]]:
        for stretch in stretches:
            yield stretch

    async def whole(stretch: AsyncIterator[Row]) -> list[Row]:
        return [row async for row in stretch]

    async with aclosing(ahead(each(), whole)) as found:
        async for rows in found:
            for row in rows:
                yield row


async def upsert_all(tables: Tables, table: str, rows: Iterable[Row]) -> None:
    """Write rows named by their content: grouped by partition, in as few requests as they fit."""
    await write_all(tables, table, [Upsert(row) for row in rows])


async def write_all(tables: Tables, table: str, operations: Sequence[Operation]) -> None:
    """Write operations on any partitions of a table; of two on one row the last counts."""
    partitions: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        partition, key = address(operation)
        partitions[partition][key] = operation
    await all_done(
        tables.write(table, group)
        for partition in partitions.values()
        for group in limits.transactions(list(partition.values()))
    )
