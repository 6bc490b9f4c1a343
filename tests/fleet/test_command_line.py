"""The small eMabler's own command line, where a fleet is ordered without a stack."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from local.emabler.fleet.command_line import add_fleet_arguments, begin_of, order_from

CHECKOUT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 14, 12, 0, 0, 987, tzinfo=UTC)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_fleet_arguments(parser)
    return parser.parse_args(words)


async def start(*words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.emabler", "--exit-with-stdin", *words),
        cwd=CHECKOUT,
        env=os.environ | {"LOCAL_EMABLER_API_KEY": "k", "LOCAL_EMABLER_AUTHORIZATION": "a"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )


@pytest.mark.parametrize("words", ["demo --chargers", "up --fleet"])
@pytest.mark.parametrize("number", ["0", "-1", "10000", "many", "1e3", "99999999999"])
def test_a_fleet_that_cannot_be_is_refused_before_anything_starts(words: str, number: str) -> None:
    """Exit 2 and one message that says what is possible; no part of the local Azure was started."""
    command, option = words.split()

    ran = subprocess.run(
        [sys.executable, "-m", f"local.commands.{command}", f"{option}={number}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 2
    assert "is no number of chargers from 1 to 9999" in ran.stderr
    assert "ready" not in ran.stdout


def test_options_make_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option is in the order; secrets come from the environment."""
    monkeypatch.setenv("LOCAL_EMABLER_SERVICE_BUS", "Endpoint=sb://x")
    words = "--fleet 9 --seed 4 --days 2 --speed max --faults lost --generation v1 --queue q"
    made = order_from(parse(*words.split(), "--fallback", "allow", "--tap-seconds", "2"))

    assert (made.chargers, made.seed, made.days, made.speed) == (9, 4, 2, None)
    assert (made.faults, str(made.generation)) == ("lost", "v1")
    assert (made.customer.service_bus, made.customer.queue) == ("Endpoint=sb://x", "q")
    assert (str(made.customer.fallback), made.customer.tap_seconds) == ("allow", 2)


def test_a_play_ends_at_the_present_of_its_end() -> None:
    """A day of 24 s ends 24 s from now; one at once ends now; one without an end is under way."""
    whole = NOW.replace(microsecond=0)

    assert begin_of(1, 3600, NOW) == whole + timedelta(seconds=24) - timedelta(days=1)
    assert begin_of(2, None, NOW) == whole - timedelta(days=2)
    assert begin_of(None, 1, NOW) < whole


async def test_a_fleet_lives_where_its_customer_is_away() -> None:
    """Ordered on the command line, it plays and waits for a customer that cannot be reached."""
    process = await start("--fleet", "2", "--push", "webhook", "--webhook", "http://127.0.0.1:9")
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{ready['port']}/_fleet")
            told = answer.json()
        assert (told["stage"], told["chargers"]) == ("playing", 2)
    finally:
        await process.communicate()
    assert process.returncode == 0


async def test_wrong_use_is_one_line() -> None:
    """What cannot be ordered is told with its code, and the exit code is 2."""
    process = await start("--fleet", "0")
    _, said = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 2
    assert said.decode().startswith("error: usage_wrong: a fleet of 0 chargers cannot be made")
