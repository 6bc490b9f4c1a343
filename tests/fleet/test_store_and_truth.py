"""What a right store holds, by the fleet's own rules: the product's store is that, and no other."""

from __future__ import annotations

import random

import pytest

from local.emabler.fleet.faults import FAULTS
from tests.fleet.plays import Played

HARD = "default,offline=0.4,clock_wrong=0.4,transaction_id_reused=0.1,stop_twice=0.1"
NAMELESS = "default,transaction_id_missing=0.2,open_start_lost=0.5"


@pytest.mark.parametrize("seed", range(6))
async def test_the_product_ends_where_it_must(seed: int) -> None:
    """With the default faults, messages in any order, the verdict is equal."""
    played = Played(seed, faults="default")
    bodies = played.bodies
    random.Random(seed).shuffle(bodies)

    assert (await played.judged_by_the_product(bodies)).differences == ()


@pytest.mark.parametrize("seed", range(30, 36))
async def test_sessions_without_id_or_start_end_where_they_must(seed: int) -> None:
    """Beside all else sessions without a transaction id, and open ones whose start was lost."""
    played = Played(seed, faults=NAMELESS)
    bodies = played.bodies
    random.Random(seed).shuffle(bodies)

    assert (await played.judged_by_the_product(bodies)).differences == ()


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_leaves_the_store_right(name: str) -> None:
    """With one fault that strikes often, the verdict is equal."""
    assert (await Played(21, faults=f"{name}=0.4").judged_by_the_product()).differences == ()


async def test_many_faults_over_days_leave_the_store_right() -> None:
    """Two days of chargers cut off, wrong clocks and ids used again end equal as well."""
    assert (await Played(22, faults=HARD, days=2).judged_by_the_product()).differences == ()


async def test_a_push_that_is_silent_all_day_leaves_the_store_right() -> None:
    """Nothing is pushed: the store is what REST lists, finished and ongoing."""
    played = Played(23, faults="push_silent=1@0h-24h")

    assert (await played.judged_by_the_product()).differences == ()
    assert played.run is not None
    assert played.run.push_silent


@pytest.mark.parametrize(
    "kind", ["transaction_stop", "transaction_start", "status", "measurements"]
)
async def test_one_message_that_the_store_lacks_is_told(kind: str) -> None:
    """Of all messages one is held back from the store: the verdict is unequal and names it."""
    played = Played(24, faults="off")
    bodies = played.bodies
    held = next(body for body in bodies if f'"{kind}"'.encode() in body)
    verdict = await played.judged_by_the_product([body for body in bodies if body is not held])

    assert any(difference.is_ == "0 times" for difference in verdict.differences)


async def test_a_message_that_nobody_sent_is_told() -> None:
    """An event in the journal that the fleet never sent makes the verdict unequal."""
    played = Played(25, faults="off")
    foreign = played.bodies[40].replace(b'"chargerId":"', b'"chargerId":"X')
    verdict = await played.judged_by_the_product([*played.bodies, foreign])

    assert "events that nobody sent" in {difference.what for difference in verdict.differences}
