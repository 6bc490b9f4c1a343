"""Sessions of a time: each in one of any times that follow each other, and no other one is read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.instants import format_instant
from shared.sessions.choosing import Wanted, read_wanted
from shared.sessions.claims import Claim, Source
from shared.sessions.reading import read_summaries
from shared.sessions.summary import State
from shared.sessions.writer import SessionWriter
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Row
from shared.storage.tables import SESSIONS, TAGS

KEY = b"k" * 32
DAWN = datetime(2026, 10, 31, tzinfo=UTC)
HOUR = timedelta(hours=1)
ODD = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC), None)
INSTANTS = [*(DAWN + n * HOUR for n in range(6)), DAWN + timedelta(seconds=1), *ODD]
EDGES = [None, ODD[0], DAWN, DAWN + HOUR, DAWN + 2 * HOUR, DAWN + 5 * HOUR, ODD[1], None]


def claim(
    source: Source,
    transaction: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    name: str = "1",
    gone: bool = False,
) -> Claim:
    """What one source says; the digest tells claims of different content apart."""
    digest = f"{source}-{name}-{start}-{end}"
    return Claim(
        source=source,
        charger=f"CH-{int(transaction) % 3}",
        transaction=transaction,
        name=name if source is Source.REST else digest,
        digest=digest,
        start=start,
        end=end,
        observed=DAWN if source is Source.REST else None,
        gone=gone,
    )


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    """Sessions of all kinds: several stops and REST items, ends that agree, ends that are odd."""
    found: list[Claim] = []
    times = st.sampled_from(INSTANTS)
    for number in range(draw(st.integers(1, 6))):
        transaction = str(number + 1)
        for kind in draw(st.lists(st.sampled_from("sorr"), min_size=1, max_size=4)):
            start, end = draw(times), draw(times)
            match kind:
                case "s":
                    found.append(claim(Source.START, transaction, start=start))
                case "o" if end is not None:
                    found.append(claim(Source.STOP, transaction, start=start, end=end))
                case _:
                    name, gone = draw(st.sampled_from("12")), draw(st.booleans())
                    found.append(
                        claim(Source.REST, transaction, start=start, end=end, name=name, gone=gone)
                    )
    return found


async def store_of(told: Sequence[Claim]) -> MemoryTables:
    """A store to which these claims came one after another."""
    tables = MemoryTables(SESSIONS, TAGS)
    for each in told:
        await SessionWriter(tables, buckets=4, tag_hash_key=KEY).write([each])
    return tables


async def found(tables: MemoryTables, wanted: Wanted) -> list[Row]:
    """What is found, and that it is what a look at all sessions finds."""
    rows = [row async for row in read_wanted(tables, wanted, buckets=4)]
    every = [row async for row in read_summaries(tables, charger=None, buckets=4)]
    assert sorted(row.key for row in rows) == sorted(row.key for row in every if wanted.holds(row))
    return rows


@settings(max_examples=30)
@given(claims())
def test_each_session_is_in_one_of_the_times(told: list[Claim]) -> None:
    """Over times without gaps all ended sessions that tell an end or a start are found once."""

    async def run() -> None:
        tables = await store_of(told)
        seen: Counter[str] = Counter()
        for start, end in pairwise(EDGES):
            for state in (None, State.OPEN):
                for touching in (False, True):
                    wanted = Wanted(start=start, end=end, state=state, touching=touching)
                    rows = await found(tables, wanted)
                    if state is None and not touching:
                        seen.update(row.key for row in rows)
        every = [row async for row in read_summaries(tables, charger=None, buckets=4)]
        assert seen == Counter(
            row.key
            for row in every
            if row.columns["state"] == State.ENDED and {"start", "end"} & row.columns.keys()
        )

    asyncio.run(run())


async def day_of_sessions(count: int) -> MemoryTables:
    """A session a minute, each told by its start, its stop and REST, on three chargers."""
    tables = MemoryTables(SESSIONS, TAGS)
    writer = SessionWriter(tables, buckets=4, tag_hash_key=KEY)
    told: list[Claim] = []
    for number in range(count):
        start, end = DAWN + timedelta(minutes=number), DAWN + timedelta(minutes=number + 30)
        for source in (Source.START, Source.STOP, Source.REST):
            its_end = None if source is Source.START else end
            told.append(claim(source, str(number + 1), start=start, end=its_end))
    await writer.write(told)
    return tables


@pytest.mark.parametrize("touching", [False, True])
async def test_what_is_not_asked_for_is_not_read(*, touching: bool) -> None:
    """Of 500 sessions one of ten minutes costs a request for each session found, and a few."""
    tables = await day_of_sessions(500)
    start = DAWN + timedelta(minutes=500)
    wanted = Wanted(start=start, end=start + timedelta(minutes=10), touching=touching)

    with counted() as requests:
        rows = [row async for row in read_wanted(tables, wanted, buckets=4)]

    ends = [str(row.columns["end"]) for row in rows]
    assert len(rows) == (30 if touching else 10)
    assert requests.total <= len(rows) + 3 * 4
    assert ends == sorted(ends)
    assert ends[0] == format_instant(start)


async def test_open_sessions_are_found_without_the_others() -> None:
    """Two open ones among 300: a request for each, and one for each bucket."""
    tables = await day_of_sessions(300)
    writer = SessionWriter(tables, buckets=4, tag_hash_key=KEY)
    await writer.write(claim(Source.START, str(n), start=DAWN + n * HOUR) for n in (901, 902))

    with counted() as requests:
        rows = [row async for row in read_wanted(tables, Wanted(state=State.OPEN), buckets=4)]

    assert sorted(str(row.columns["transaction"]) for row in rows) == ["901", "902"]
    assert requests.total == 2 + 4


async def test_who_stops_reading_leaves_nothing_under_way() -> None:
    """What was read ahead is given up with the walk."""
    tables = await day_of_sessions(100)
    before = asyncio.all_tasks()

    async with aclosing(read_wanted(tables, Wanted(start=DAWN), buckets=4)) as rows:
        async for row in rows:
            assert row.columns["state"] == State.ENDED
            break

    assert asyncio.all_tasks() == before
