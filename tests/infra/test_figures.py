"""docs/cost.md and docs/limits.md hold what infra/figures.py computes."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from itertools import pairwise
from types import ModuleType

import pytest

from benchmarks.ingest.load import METER_VALUES, STARTS, STATES, batches
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.tables import ALL_TABLES
from tests.infra.compiler import INFRA
from tests.ingestion.day import deliver, ingestion
from tests.test_docs import page


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", INFRA / "figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its own module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_cost_page_is_the_script_s(figures: ModuleType) -> None:
    """The worked example is what the script prints, and so are the prices beside it."""
    text = page("docs/cost.md")

    assert "\n".join(figures.cost_table()) in text
    assert f"adds {figures.isolation():,.0f} a month" in text
    assert f"Premium ({figures.premium():,.0f})" in text
    assert f"{figures.Traffic(1).events_a_day} events a day" in text
    assert "\n".join(figures.gathering_table()) in text
    alone, gathered = figures.Traffic(1_000), figures.Traffic(1_000, gathered=20, within=5)
    before, after = (sum(figures.costs(each).values()) for each in (alone, gathered))
    assert f"would pay {after:,.0f} dollars a month instead of {before:,.0f}" in text
    saved = -figures.kept_ready(figures.ingestion_seconds(alone))
    assert f"saves some {saved:,.0f} dollars" in text
    taken = figures.kept_ready(figures.ingestion_seconds(gathered))
    assert f"and {taken:,.0f} where 1,000\nchargers' messages are gathered" in text
    most = figures.Traffic(50_000).log_gb_a_month / figures.DAYS_A_MONTH
    assert f"the example writes {most:,.0f} GB a day" in page("docs/limits.md")


@pytest.mark.parametrize("size", [1, 20, 100])
async def test_requests_are_those_of_the_code(figures: ModuleType, size: int) -> None:
    """What a batch of events of the example asks of the tables is what the script counts with."""
    first, *full = batches(45)
    parts = (0, METER_VALUES, METER_VALUES + STATES, METER_VALUES + STATES + STARTS, None)
    meters, states, starts, stops = (
        [event for batch in full for event in batch[a:b]] for a, b in pairwise(parts)
    )
    events = [*meters[:900], *states[:50], *starts[:10], *stops[:20]]
    random.Random(1).shuffle(events)
    worker = ingestion(MemoryTables(*ALL_TABLES))
    await deliver(worker, first)

    with counted() as requests:
        for at in range(0, len(events), size):
            await deliver(worker, events[at : at + size])

    asked = sum(requests.by_purpose.values()) / len(events)
    assert asked == pytest.approx(figures.REQUESTS_OF_ONE_EVENT / size**0.5, rel=0.3)


def test_a_quiet_fleet_pays_for_each_event(figures: ModuleType) -> None:
    """An event that comes alone is a call, and a call a second; gathered, they are few."""
    alone, gathered = figures.Traffic(1_000), figures.Traffic(1_000, gathered=20)

    assert alone.events_a_batch == pytest.approx(1, abs=0.5)
    assert figures.paid_seconds(60, 0.05, 1) == 60
    assert figures.paid_seconds(1e9, 0.05, 2) == 2 * figures.SECONDS_A_MONTH
    assert sum(figures.costs(gathered).values()) < sum(figures.costs(alone).values()) / 2


def test_no_more_is_gathered_than_comes_in_the_time(figures: ModuleType) -> None:
    """A small fleet's calls go when time is up, a large one's when the number is there."""
    small, large = figures.Traffic(100, 20, 5), figures.Traffic(50_000, 20, 5)

    assert small.seconds_gathered == 5
    assert small.events_a_batch == pytest.approx(1 + 5 * small.events_a_second)
    assert large.events_a_batch == pytest.approx(20)
    assert large.seconds_gathered < 1
    alone = figures.Traffic(50_000)
    assert figures.Traffic(50_000, 2, 5).events_a_batch == alone.events_a_batch > 2
    assert figures.Traffic(100, 1, 5).events_a_batch == figures.Traffic(100).events_a_batch


def test_the_limits_page_is_the_script_s(figures: ModuleType) -> None:
    """The arithmetic of the limits is what the script prints."""
    text = page("docs/limits.md")

    assert "\n".join(figures.limit_table()) in text
    assert "\n".join(figures.backup_table()) in text
    assert "\n".join(figures.retention_table()) in text
    rows, sessions = figures.RETAINED_ROWS_A_SECOND, figures.RETAINED_SESSIONS_A_SECOND
    assert f"{rows:,} rows a second of the journal and {sessions} sessions a second" in text


def test_costs_add_up(figures: ModuleType) -> None:
    """Twice the fleet costs less than twice as much, since some of it is a fixed price."""
    one, two = (sum(figures.costs(figures.Traffic(n)).values()) for n in (10_000, 20_000))

    assert one < two < 2 * one


def test_steps_of_service_bus_join(figures: ModuleType) -> None:
    """The price of Standard has no jump where its steps meet, and never falls."""
    prices = [figures.standard(figures.Traffic(n)) for n in range(0, 20_000, 10)]

    assert prices == sorted(prices)
    assert max(b - a for a, b in pairwise(prices)) < 1


def test_a_backlog_takes_longer_the_longer_the_outage(figures: ModuleType) -> None:
    """Two hours drain in twice the time of one; deliveries that only just keep up never end."""
    fleet = figures.Traffic(50_000)

    assert figures.drain_minutes(fleet, 2, 1_000) == pytest.approx(
        2 * figures.drain_minutes(fleet, 1, 1_000)
    )
    assert figures.drain_minutes(fleet, 2, fleet.events_a_second + 1) > 24 * 60


def test_the_script_runs_by_itself() -> None:
    """Any Python prints all tables; a word it does not know is wrong usage."""
    script = str(INFRA / "figures.py")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    assert run.stdout.count("50,000 chargers |") == 5
    assert subprocess.run([sys.executable, script, "x"], check=False).returncode == 2
