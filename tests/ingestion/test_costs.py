"""What a batch costs: the requests that docs/architecture.md allows, and not one more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

from shared.identifiers import bucket_of
from shared.ingestion.ingest import Ingestion
from shared.storage.beside import PrefixedTables
from shared.storage.requests import counted
from shared.storage.rows import Tables
from tests import payloads
from tests.ingestion.day import deliver, ingestion
from tests.stores import Stores

BUCKETS = 4


def chargers(first: int, count: int) -> list[str]:
    return [f"CH-{n:04d}" for n in range(first, first + count)]


MEASURED, SEEN, STARTED, STOPPED = (
    chargers(0, 70),
    chargers(70, 20),
    chargers(90, 5),
    chargers(95, 5),
)
"""The chargers of a batch of 100 events: 70 meter values, 20 states, 5 starts and 5 stops."""


def start(charger: str) -> bytes:
    return payloads.start_v2(chargerId=charger, authorizedIdTag=f"TAG-{charger}")


def stop(charger: str) -> bytes:
    return payloads.full_v2(chargerId=charger, authorizedIdTag=f"TAG-{charger}")


BATCH = [
    *(payloads.measurements(chargerId=charger) for charger in MEASURED),
    *(payloads.state_v2(chargerId=charger) for charger in SEEN),
    *map(start, STARTED),
    *map(stop, STOPPED),
]
EARLIER = [start(charger) for charger in STOPPED]


def buckets(of: Iterable[str]) -> Counter[str]:
    """Bucket → how many of these chargers lie in it."""
    return Counter(bucket_of(charger, BUCKETS) for charger in of)


async def cost(worker: Ingestion, tables: Tables, batch: Sequence[bytes]) -> dict[str, int]:
    with counted() as requests:
        await deliver(worker, batch)
    prefix = tables.prefix if isinstance(tables, PrefixedTables) else ""
    return {name.removeprefix(prefix): n for name, n in requests.by_purpose.items() if n}


async def test_a_batch_from_a_fleet_costs_a_request_for_each_group(stores: Stores) -> None:
    """Four buckets: four requests a table; a range for each session that existed; tags one each."""
    (tables,) = await stores.fresh()
    await deliver(ingestion(tables), EARLIER)

    spent = await cost(ingestion(tables), tables, BATCH)

    # The worker is cold, and met rows of chargers in the buckets of those whose start was earlier.
    met = buckets(STOPPED)
    rows = buckets([*MEASURED, *SEEN, *SEEN, *STARTED, *STOPPED])
    assert len(rows) == BUCKETS
    assert spent == {
        "events_write": BUCKETS,
        "chargers_write": BUCKETS + len(met),
        "chargers_get": sum(rows[bucket] for bucket in met),
        "sessions_range": len(STOPPED),
        "sessions_write": len(buckets([*STARTED, *STOPPED])),
        "tags_write": len(STARTED) + len(STOPPED),
    }


@pytest.mark.parametrize("warm", [True, False], ids=["same worker", "another worker"])
async def test_a_batch_that_comes_again_costs_little_more(
    stores: Stores,
    warm: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Of the journal a read for each row, a range a session; a warm worker knows the rest.

    Another worker loses a write for each bucket of chargers, and reads each row once.
    """
    (tables,) = await stores.fresh()
    first = ingestion(tables)
    await deliver(first, [*EARLIER])
    await deliver(first, BATCH)

    spent = await cost(first if warm else ingestion(tables), tables, BATCH)

    rows = len(MEASURED) + 2 * len(SEEN) + len(STARTED) + len(STOPPED)
    assert spent == {
        "events_write": BUCKETS,
        # What is there stays as it is: nothing is written again.
        "events_get": len(BATCH),
        **({} if warm else {"chargers_write": BUCKETS, "chargers_get": rows}),
        # A start that the worker does not remember is taken for new: where it is not, that is one
        # request for its group, and a range.
        "sessions_range": len(STOPPED) + (0 if warm else len(STARTED)),
        **({} if warm else {"sessions_write": len(buckets(STARTED))}),
        "tags_write": len(STOPPED) + (0 if warm else len(STARTED)),
    }


async def test_sessions_that_begin_and_end_in_one_batch_cost_no_read(stores: Stores) -> None:
    """Fifty starts with their stops: a request for each group, and one for each tag."""
    (tables,) = await stores.fresh()
    fleet = chargers(0, 50)
    batch = [body for charger in fleet for body in (start(charger), stop(charger))]
    group = len(buckets(fleet))
    once = dict.fromkeys(("events_write", "chargers_write", "sessions_write"), group)
    once |= {"tags_write": 50}

    assert await cost(ingestion(tables), tables, batch) == once
    again = await cost(ingestion(tables), tables, batch)
    assert again == once | {
        "events_get": 100,
        "sessions_range": 50,
        "chargers_get": 50,
    }


async def test_a_hundred_stops_cost_no_read_and_their_repeats_one_each(
    stores: Stores,
) -> None:
    """A worker that opened the sessions reads none for their stops, and each for the repeats."""
    (tables,) = await stores.fresh()
    fleet = chargers(0, 100)
    worker = ingestion(tables)
    await deliver(worker, [start(charger) for charger in fleet])
    stops = [stop(charger) for charger in fleet]

    first, again = await cost(worker, tables, stops), await cost(worker, tables, stops)

    group = len(buckets(fleet))
    assert first == {
        "events_write": group,
        "chargers_write": group,
        # A stop is a claim, its summary, its row by end, and the session off the list of open ones.
        "sessions_write": sum(-(-4 * size // 100) for size in buckets(fleet).values()),
        "tags_write": 100,
    }
    assert again == {
        "events_write": group,
        "events_get": 100,
        "sessions_range": 100,
        "tags_write": 100,
    }


async def test_a_session_is_read_once_where_its_group_lost_a_race(stores: Stores) -> None:
    """Stops that were read before their group met a known start are not read again."""
    (tables,) = await stores.fresh()
    same = [c for c in chargers(0, 100) if bucket_of(c, BUCKETS) == "0"][:10]
    batch = [*map(start, same[:5]), *map(stop, same[5:])]
    await deliver(ingestion(tables), [*map(start, same), *map(stop, same[5:])])

    spent = await cost(ingestion(tables), tables, batch)

    assert (spent["sessions_range"], spent["sessions_write"]) == (len(same), 1)
