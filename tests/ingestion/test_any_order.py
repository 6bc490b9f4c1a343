"""The tables are a function of the set of events: whoever brings them, in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.sessions.indexes import END_ROWS, OPEN_ROWS
from shared.sessions.summary import is_summary
from shared.storage.memory import MemoryTables
from shared.storage.rows import Tables
from shared.storage.tables import ALL_TABLES, CHARGERS, EVENTS, SESSIONS
from tests import payloads
from tests.ingestion.day import CHARGERS_HERE, EVERYTHING, deliver, events_of, ingestion
from tests.payloads import ABSENT
from tests.stores import Content, InMemory, Stores, content

WORKERS = (2, 4, 8)


async def told_once(bodies: Sequence[bytes]) -> Content:
    """What one worker leaves that is told everything once, in one batch, on the fake."""
    tables = MemoryTables(*ALL_TABLES)
    await deliver(ingestion(tables), bodies)
    return await content(tables)


def spread(bodies: Sequence[bytes], workers: int, chance: Random) -> list[list[list[bytes]]]:
    """Messages and repeats of some, shuffled, cut into batches, dealt to workers."""
    sent = [*bodies, *chance.choices(bodies, k=chance.randint(0, len(bodies)))]
    chance.shuffle(sent)
    cuts = sorted(chance.sample(range(len(sent)), min(len(sent), chance.randint(1, 2 * workers))))
    batches = [
        part
        for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)
        if (part := sent[begin:end])
    ]
    # A lock that was lost: another worker takes the same batch at the same time.
    batches += chance.choices(batches, k=chance.randint(0, 2))
    dealt: list[list[list[bytes]]] = [[] for _ in range(workers)]
    for n, batch in enumerate(batches):
        dealt[n % workers].append(batch)
    return dealt


async def side_by_side(
    tables: Sequence[Tables], dealt: Sequence[Sequence[Sequence[bytes]]]
) -> Content:
    """Let each worker take its batches one after another, all at the same time."""

    async def work(own: Tables, batches: Sequence[Sequence[bytes]]) -> None:
        taker = ingestion(own)
        for batch in batches:
            await deliver(taker, batch)

    await asyncio.gather(*(work(*each) for each in zip(tables, dealt, strict=True)))
    return await content(tables[0])


def some_of(events: list[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.sampled_from(events), min_size=1, max_size=16, unique=True)


@settings(max_examples=250)
@given(
    some_of(events_of("CH-1")) | some_of(EVERYTHING),
    st.sampled_from((1, *WORKERS)),
    st.integers(0, 2**32),
)
async def test_any_order_repetition_split_and_company_give_the_same_rows(
    bodies: list[bytes], workers: int, seed: int
) -> None:
    """However events are dealt out to however many workers: the rows of one calm worker."""
    chance = Random(seed)
    tables = await InMemory().fresh(workers, chance)

    assert await side_by_side(tables, spread(bodies, workers, chance)) == await told_once(bodies)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("seed", range(10))
async def test_real_company_gives_the_same_rows(stores: Stores, workers: int, seed: int) -> None:
    """The same with workers that meet as they do, on the fake and through clients of their own."""
    chance = Random(f"{seed} {workers}")
    charger = chance.choice(CHARGERS_HERE)
    bodies = [*events_of(charger), *chance.sample(EVERYTHING, 20)]
    tables = await stores.fresh(workers, chance)

    dealt = spread(bodies, workers, chance)

    assert await side_by_side(tables, dealt) == await told_once(bodies)


ONE = payloads.full_v2()
OTHER = payloads.full_v2(deviceTimeStampEnd="2026-11-02T10:41:50Z", consumptionWh=12400)
"""A stop of the same session with a later end and more energy."""


@pytest.mark.parametrize("start", [[], [payloads.start_v2()]], ids=["no start", "a start"])
@pytest.mark.parametrize(
    "dealt",
    [[[[ONE], [OTHER]]], [[[OTHER], [ONE]]], [[[ONE, OTHER]]], [[[ONE]], [[OTHER]]]],
    ids=["one first", "other first", "together", "side by side"],
)
async def test_two_stops_that_contradict_each_other_are_both_kept(
    stores: Stores, start: list[bytes], dealt: list[list[list[bytes]]]
) -> None:
    """In both orders, in one batch and at the same time: both claims, one summary, in conflict."""
    tables = await stores.fresh(len(dealt), Random(7))
    if start:
        await deliver(ingestion(tables[0]), start)

    found = await side_by_side(tables, dealt)

    assert found == await told_once([*start, ONE, OTHER])
    rows = {
        key.rpartition("1032427936|")[2]: columns
        for _, key, columns in found[SESSIONS]
        if not key.startswith(END_ROWS)
    }
    stops = [columns for name, columns in rows.items() if name.startswith("stop|")]
    assert sorted(columns["energy_wh"] for columns in stops) == [12300.0, 12400.0]
    assert (rows["!"]["findings"], rows["!"]["stops"]) == ("stop_conflict", 2)
    assert (rows["!"]["energy_wh"], rows["!"]["end"]) == (12400.0, "2026-11-02T10:41:50.000000Z")
    assert len(found[EVENTS]) == 2 + len(start)
    assert not any(key.startswith(OPEN_ROWS) for _, key, _ in found[SESSIONS])


@pytest.mark.parametrize("seed", range(5))
async def test_a_late_start_completes_its_session(stores: Stores, seed: int) -> None:
    """A start that comes after its stop, or beside it, gives the meter, the tag and the source."""
    start = payloads.start_v1(authorizedIdTag="LATE")
    stop = payloads.stop_v1(authorizedIdTag=ABSENT)
    orders = [[[[stop], [start]]], [[[start], [stop]]], [[[stop]], [[start]]]]

    for dealt in orders:
        tables = await stores.fresh(len(dealt), Random(seed))
        found = await side_by_side(tables, dealt)

        (summary,) = [columns for _, key, columns in found[SESSIONS] if key.endswith("|!")]
        assert (summary["sources"], summary["state"]) == ("start,stop", "ended")
        assert (summary["start"], summary["tag"]) == ("2026-11-02T09:11:32.399000Z", "LATE")
        assert summary["energy_wh"] == 12300.0
        assert not any(key.startswith(OPEN_ROWS) for _, key, _ in found[SESSIONS])


async def test_a_full_message_alone_makes_the_session(stores: Stores) -> None:
    """A stop whose start never came is a session with both times, in every generation."""
    makes = (payloads.full_v2, payloads.full_v2_2025, payloads.full_v1)
    bodies = [make(chargerId=f"CH-{n}") for n, make in enumerate(makes)]
    (tables,) = await stores.fresh()
    await deliver(ingestion(tables), bodies)

    summaries = [row async for row in tables.scan(SESSIONS) if is_summary(row)]
    assert len(summaries) == len(bodies)
    for row in summaries:
        told = {name: row.columns.get(name) for name in ("state", "sources", "start", "end")}
        assert told == {
            "state": "ended",
            "sources": "stop",
            "start": "2026-11-02T09:11:32.400000Z",
            "end": "2026-11-02T10:41:43.633143Z",
        }


@pytest.mark.parametrize("seed", range(5))
async def test_a_state_of_an_older_time_never_replaces_a_newer_one(
    stores: Stores, seed: int
) -> None:
    """Ten states of one socket in any order and company: the latest by device time stands."""
    chance = Random(seed)
    states = [
        payloads.state_v2(
            deviceTimeStamp=f"2026-11-02T09:{minute:02d}:00Z", status=f"Status {minute}"
        )
        for minute in range(10)
    ]
    tables = await stores.fresh(4, chance)

    found = await side_by_side(tables, spread(states, 4, chance))

    (socket,) = [columns for _, key, columns in found[CHARGERS] if key == "CH-0042|1"]
    assert (socket["state_status"], socket["state_instant"]) == (
        "Status 9",
        "2026-11-02T09:09:00.000000Z",
    )
