"""Work side by side that is stopped in the middle."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from shared.storage.together import SIDE_BY_SIDE, all_done


async def test_what_was_not_begun_is_left_without_a_word() -> None:
    """What waits for a slot when all is stopped is never begun, and nothing complains of it."""
    begun: list[int] = []
    all_slots_taken = asyncio.Event()

    async def wait(number: int) -> None:
        begun.append(number)
        if len(begun) == SIDE_BY_SIDE:
            all_slots_taken.set()
        await asyncio.Event().wait()

    work = asyncio.create_task(all_done(wait(number) for number in range(2 * SIDE_BY_SIDE)))
    await all_slots_taken.wait()

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        gc.collect()

    assert begun == list(range(SIDE_BY_SIDE))
    assert complaints == []
