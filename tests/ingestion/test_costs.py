"""What a batch costs: the requests that docs/architecture.md allows, and not one more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

from shared.identifiers import bucket_of
from shared.ingestion.ingest import Ingestion
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Delete, Row, Tables, Upsert
from shared.storage.tables import ALL_TABLES, OPEN_SESSIONS
from shared.storage.together import delete_all
from tests import payloads
from tests.ingestion.day import deliver, ingestion
from tests.stores import PrefixedTables, Stores

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


def deletes(groups: Counter[str]) -> int:
    """What deleting rows costs that are gone: two more for a group, none where it is one row."""
    return sum(1 if size == 1 else 3 for size in groups.values())


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
        "sessionends_write": len(buckets(STOPPED)),
        "opensessions_write": len(buckets(STARTED)) + len(buckets(STOPPED)),
        "tags_write": len(STARTED) + len(STOPPED),
    }


@pytest.mark.parametrize("warm", [True, False], ids=["same worker", "another worker"])
async def test_a_batch_that_comes_again_costs_little_more(
    stores: Stores,
    warm: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Two requests a group of the journal, a range for each session; a warm worker knows the rest.

    Another worker loses a write for each bucket of chargers, and reads each row once.
    """
    (tables,) = await stores.fresh()
    first = ingestion(tables)
    await deliver(first, [*EARLIER])
    await deliver(first, BATCH)

    spent = await cost(first if warm else ingestion(tables), tables, BATCH)

    rows = len(MEASURED) + 2 * len(SEEN) + len(STARTED) + len(STOPPED)
    assert spent == {
        "events_write": 2 * BUCKETS,
        **({} if warm else {"chargers_write": BUCKETS, "chargers_get": rows}),
        "sessions_range": len(STARTED) + len(STOPPED),
        # A start is taken for new: where it is not, that is one request for its group.
        "sessions_write": len(buckets(STARTED)),
        "sessionends_write": len(buckets(STOPPED)),
        "opensessions_write": len(buckets(STARTED)) + deletes(buckets(STOPPED)),
        "tags_write": len(STARTED) + len(STOPPED),
    }


async def test_sessions_that_begin_and_end_in_one_batch_cost_no_read(stores: Stores) -> None:
    """Fifty starts with their stops: a request a group, two where the hint comes and goes."""
    (tables,) = await stores.fresh()
    fleet = chargers(0, 50)
    batch = [body for charger in fleet for body in (start(charger), stop(charger))]
    group = len(buckets(fleet))
    once = dict.fromkeys(("events_write", "chargers_write", "sessions_write"), group)
    indexes = {"sessionends_write": group, "tags_write": 50, "opensessions_write": 2 * group}

    assert await cost(ingestion(tables), tables, batch) == once | indexes
    again = await cost(ingestion(tables), tables, batch)
    assert again == once | indexes | {
        "events_write": 2 * group,
        "sessions_range": 50,
        "chargers_get": 50,
    }


async def test_a_hundred_stops_that_come_again_cost_no_request_each_but_their_read(
    stores: Stores,
) -> None:
    """Hints that are gone are not deleted one by one: two requests more for a group at most."""
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
        "sessions_range": 100,
        "sessions_write": group,
        "sessionends_write": group,
        "opensessions_write": group,
        "tags_write": 100,
    }
    wrote = {"events_write": 2 * group, "opensessions_write": 3 * group}
    assert again == {n: c for n, c in first.items() if n not in _KNOWN} | wrote


_KNOWN = ("chargers_write", "sessions_write")
"""What a worker that took a batch need not write again."""


async def test_a_session_is_read_once_where_its_group_lost_a_race(stores: Stores) -> None:
    """Stops that were read before their group met a known start are not read again."""
    (tables,) = await stores.fresh()
    same = [c for c in chargers(0, 100) if bucket_of(c, BUCKETS) == "0"][:10]
    batch = [*map(start, same[:5]), *map(stop, same[5:])]
    await deliver(ingestion(tables), [*map(start, same), *map(stop, same[5:])])

    spent = await cost(ingestion(tables), tables, batch)

    assert (spent["sessions_range"], spent["sessions_write"]) == (len(same), 1)


async def test_rows_that_somebody_else_deletes_as_well_are_gone_at_last() -> None:
    """Two that delete the same rows at the same time end with none, whoever comes between."""
    tables = MemoryTables(*ALL_TABLES)
    rows = [Row("0", f"CH-{n}|1", {"schema": 1}) for n in range(3)]
    quiet = tables.pause
    writes = 0

    async def somebody_else(_table: str, moment: str) -> None:
        nonlocal writes
        writes += moment == "before_write"
        # After the rows were written once more, one is taken away again.
        if moment == "before_write" and writes == 3:
            tables.pause = quiet
            await tables.write(OPEN_SESSIONS, [Delete("0", rows[1].key)])

    tables.pause = somebody_else
    await tables.write(OPEN_SESSIONS, [Upsert(rows[0])])
    writes = 0

    await delete_all(tables, OPEN_SESSIONS, rows)

    assert tables.rows(OPEN_SESSIONS) == []
    assert writes == 3
