"""Histories of ingestion end well, and bugs planted on purpose are found."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings

from tests.simulation import planted, shrinking
from tests.simulation.ingestion import Conditions, simulate
from tests.simulation.virtual_time import run

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--seeds", "many"), "argument --seeds: invalid int value: 'many'"),
        (("--frob",), "unrecognized arguments: --frob"),
        (("--shrink", "--of", "reconciliation"), "--shrink is of ingestion"),
    ],
)
def test_wrong_use_has_a_code_and_a_way_on(words: tuple[str, ...], what: str) -> None:
    """One line with what is wrong and where examples are, exit code 2."""
    played = play(*words)

    assert (played.returncode, played.stdout) == (2, "")
    assert played.stderr.startswith(f"error: usage_wrong: {what}")
    assert played.stderr.endswith("What to do: `python dev.py simulate --help` shows how.\n")


@pytest.mark.timeout(600)
def test_a_hundred_histories_end_well() -> None:
    """Stopped workers, lost locks, late writes, outages: the store ends as the events say."""
    played = play("--seeds", "100")

    assert played.returncode == 0, played.stdout + played.stderr
    assert "100 seeds" in played.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", sorted(planted.BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    """A digest without a field, a summary without its claim, an early completion: each caught."""
    played = play("--seeds", "400", "--until-found", "--bug", bug)

    assert played.returncode == 1, played.stdout + played.stderr
    assert "ended badly" in played.stdout


@pytest.mark.timeout(600)
def test_fifty_histories_of_reconciliation_hold() -> None:
    """Runs that die, sleep and meet: nothing is proven that was not, at each single write."""
    played = play("--seeds", "50", "--of", "reconciliation")

    assert played.returncode == 0, played.stdout + played.stderr
    assert "50 seeds" in played.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", sorted(planted.RECONCILIATION_BUGS))
def test_a_planted_bug_of_reconciliation_is_found(bug: str) -> None:
    """A front before its writes, an older answer that wins, a lease taken while held: caught."""
    played = play("--seeds", "1000", "--until-found", "--bug", bug)

    assert played.returncode == 1, played.stdout + played.stderr
    assert "ended badly" in played.stdout


@settings(max_examples=25)
@given(shrinking.SEEDS, shrinking.CONDITIONS)
def test_histories_under_any_conditions_end_well(seed: int, conditions: Conditions) -> None:
    """Where a history ends badly, hypothesis shrinks it: fewer events, workers and faults."""
    simulate(Random(seed), conditions)


def test_a_bad_history_is_shrunk_to_what_matters() -> None:
    """Of a history that a planted bug spoils, what is left tells the bug and little else."""
    with planted.bug("digest_without_a_field") as take:
        story = shrinking.shortest(take)

    assert story is not None
    sent = [line for line in story.splitlines() if line.startswith("b'")]
    assert 2 <= len(sent) <= 8, story
    assert "worker 1" not in story


def test_virtual_hours_pass_at_once() -> None:
    """Sleeping for a week takes no time, and wakes in order."""
    woken: list[int] = []

    async def sleeper(days: int) -> None:
        await asyncio.sleep(days * 86_400)
        woken.append(days)

    async def all_of_them() -> float:
        await asyncio.gather(*(sleeper(days) for days in (7, 1, 3)))
        return asyncio.get_running_loop().time()

    assert run(all_of_them()) == 7 * 86_400
    assert woken == [1, 3, 7]


def test_waiting_for_nobody_is_an_error() -> None:
    """A history in which nobody can go on ends at once instead of hanging."""

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing is scheduled"):
        run(forever())
