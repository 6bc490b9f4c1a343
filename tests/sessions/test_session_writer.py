"""The session writer: claims once, summaries that agree with them, few requests, no lost race."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import StoreUnavailableError
from shared.identifiers import bucket_of, hash_tag
from shared.instants import format_instant
from shared.sessions.claims import Claim, Source, claim_from_row
from shared.sessions.indexes import END_ROWS, OPEN_ROWS, index_rows
from shared.sessions.reading import read_summaries
from shared.sessions.summary import fold, is_summary, summary_row
from shared.sessions.writer import SessionWriter
from shared.storage import limits
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Delete, Row, Upsert
from shared.storage.tables import ALL_TABLES, SESSIONS, TAGS
from tests.stores import is_claim

HASH_KEY = b"k" * 32
START = datetime(2026, 11, 2, 9, 11, 32, tzinfo=UTC)
END = datetime(2026, 11, 2, 10, 41, 43, tzinfo=UTC)
HOUR = timedelta(hours=1)


def claim(source: Source, name: str, **fields: Any) -> Claim:
    told: dict[str, Any] = {"charger": "CH-1", "transaction": "7", "digest": f"digest-{name}"}
    return Claim(source=source, name=name, **(told | fields))


def start(name: str = "a", **fields: Any) -> Claim:
    return claim(Source.START, name, **({"start": START, "tag": "T1"} | fields))


def stop(name: str = "b", **fields: Any) -> Claim:
    return claim(Source.STOP, name, **({"end": END, "energy_wh": 12300.0, "tag": "T1"} | fields))


def rest(digest: str = "x", **fields: Any) -> Claim:
    told = {"digest": digest, "end": END, "energy_wh": 1.0, "observed": END + HOUR}
    return claim(Source.REST, "9", **(told | fields))


def writer(tables: MemoryTables, buckets: int = 1) -> SessionWriter:
    return SessionWriter(tables, buckets=buckets, tag_hash_key=HASH_KEY)


async def requests_of(tables: MemoryTables, *claims: Claim, buckets: int = 1) -> dict[str, int]:
    with counted() as requests:
        await writer(tables, buckets).write(claims)
    return requests.by_purpose


def summaries(tables: MemoryTables) -> list[Row]:
    return [row for row in tables.rows(SESSIONS) if is_summary(row)]


def claim_rows(tables: MemoryTables) -> list[Row]:
    return [row for row in tables.rows(SESSIONS) if is_claim(row)]


def open_rows(tables: MemoryTables) -> list[str]:
    return [row.key for row in tables.rows(SESSIONS) if row.key.startswith(OPEN_ROWS)]


def check_summaries(tables: MemoryTables) -> None:
    """Each summary and index row follows from the claims beside it: the writer's one invariant."""
    sessions: dict[str, list[Claim]] = {}
    for row in claim_rows(tables):
        one = claim_from_row(row)
        assert row.key == one.key
        sessions.setdefault(one.session, []).append(one)
    found = {row.key: row.columns for row in summaries(tables)}
    folded = [summary_row(fold(claims), "0", name) for name, claims in sessions.items()]
    assert found == {row.key: row.columns for row in folded}
    indexed = {row.key: row.columns for row in tables.rows(SESSIONS) if row.key.startswith("!")}
    assert indexed == {
        row.key: row.columns
        for name, claims in sessions.items()
        for row in index_rows("0", name, claims, fold(claims))
    }


@pytest.fixture
def tables() -> MemoryTables:
    return MemoryTables(*ALL_TABLES)


async def test_new_sessions_of_a_bucket_are_one_transaction(tables: MemoryTables) -> None:
    """Thirty-three starts that nobody told before cost one transaction, and no read."""
    claims = [start(charger=f"CH-{n}", tag=None) for n in range(33)]

    assert await requests_of(tables, *claims) == {"sessions_write": 1}
    assert len(tables.rows(SESSIONS)) == 33 * 3
    check_summaries(tables)


async def test_new_sessions_cost_a_transaction_for_each_bucket(tables: MemoryTables) -> None:
    """A batch from a whole fleet is a handful of transactions, whatever the number of chargers."""
    claims = [start(charger=f"CH-{n}", tag=None) for n in range(48)]
    used = {bucket_of(each.charger, 4) for each in claims}

    assert await requests_of(tables, *claims, buckets=4) == {"sessions_write": len(used)}


async def test_a_transaction_holds_100_operations(tables: MemoryTables) -> None:
    """More sessions than fit one transaction take a second; none is cut in two."""
    claims = [start(charger=f"CH-{n}", tag=None) for n in range(34)]

    assert (await requests_of(tables, *claims))["sessions_write"] == 2
    check_summaries(tables)


async def test_a_stop_of_a_session_that_exists_costs_a_range_and_a_transaction(
    tables: MemoryTables,
) -> None:
    """The session is read once and written once with all its indexes; its tag takes one write."""
    await writer(tables).write([start()])

    assert await requests_of(tables, stop()) == {
        "sessions_range": 1,
        "sessions_write": 1,
        "tags_write": 1,
    }


async def test_a_warm_worker_needs_no_read_for_the_stop_of_a_session_that_it_opened(
    tables: MemoryTables,
) -> None:
    """What it wrote it remembers; the ETag tells whether that is still so."""
    warm = writer(tables)
    await warm.write([start(), start("r")])

    with counted() as requests:
        await warm.write([start()])
        await warm.write([stop()])

    # The repeated start's row under the tag was written with what is remembered.
    assert requests.by_purpose == {"sessions_write": 1, "tags_write": 1}
    check_summaries(tables)


async def test_what_a_warm_worker_remembers_never_wins_over_the_store(
    tables: MemoryTables,
) -> None:
    """Another worker wrote meanwhile: the session is read again, and both claims count."""
    warm = writer(tables)
    await warm.write([start()])
    await writer(tables).write([stop("theirs", energy_wh=1.0)])

    await warm.write([stop("ours")])

    assert len(claim_rows(tables)) == 3
    check_summaries(tables)


async def test_a_warm_worker_remembers_so_many_sessions_and_no_more(
    tables: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays flat: the session written longest ago is forgotten, and then read."""
    monkeypatch.setattr("shared.sessions.remembered._REMEMBERED_SESSIONS", 2)
    warm = writer(tables)
    for name in ("1", "2", "3"):
        await warm.write([start(transaction=name)])

    with counted() as requests:
        await warm.write([stop(transaction=name) for name in ("1", "2", "3")])

    assert requests.by_purpose["sessions_range"] == 1
    check_summaries(tables)


async def test_a_session_with_more_claims_than_a_transaction_holds_is_whole(
    tables: MemoryTables,
) -> None:
    """A hundred stops of one session in one batch: each is kept, and the summary knows them all."""
    await writer(tables).write([start(), *(stop(f"{n:03d}", energy_wh=n) for n in range(100))])

    assert len(claim_rows(tables)) == 101
    (summary,) = summaries(tables)
    assert summary.columns["stops"] == 100
    check_summaries(tables)


async def test_a_start_and_a_stop_in_one_batch_cost_no_read(tables: MemoryTables) -> None:
    """A session that begins and ends in one batch is new, and never was open."""
    requests = await requests_of(tables, stop(), start())

    assert (requests["sessions_write"], requests.get("sessions_range")) == (1, None)
    assert open_rows(tables) == []
    check_summaries(tables)


@pytest.mark.parametrize("again", [start(), stop(), rest()], ids=["start", "stop", "rest"])
async def test_a_repeat_writes_no_session(tables: MemoryTables, again: Claim) -> None:
    """What is there already is read, and neither claim nor summary is written again."""
    await writer(tables).write([start(), stop(), rest()])
    before = tables.rows(SESSIONS)

    requests = await requests_of(tables, again)

    assert requests["sessions_range"] == 1
    assert requests.get("sessions_write", 0) == (1 if again.source is Source.START else 0)
    assert tables.rows(SESSIONS) == before


async def test_an_open_session_is_listed_until_its_end_is_seen(tables: MemoryTables) -> None:
    """It stands in the list of open ones exactly while it is open, whatever comes late."""
    await writer(tables).write([start()])
    assert open_rows(tables) == ["!open|CH-1|7"]

    await writer(tables).write([stop()])
    assert open_rows(tables) == []

    await writer(tables).write([start("late")])
    assert open_rows(tables) == []


async def test_a_list_mended_by_hand_stops_nobody(tables: MemoryTables) -> None:
    """An index row that somebody deleted is not waited for: the session ends all the same."""
    await writer(tables).write([start()])
    await tables.write(SESSIONS, [Delete("0", "!open|CH-1|7")])

    await writer(tables).write([stop()])

    check_summaries(tables)


async def test_ends_are_indexed_by_their_instant(tables: MemoryTables) -> None:
    """Each stop and each REST item has a row under its end, with what is compared."""
    await writer(tables).write(
        [start(), stop(start=START, socket=2), rest(), stop("c", end=None, transaction="8")]
    )

    rows = [row for row in tables.rows(SESSIONS) if row.key.startswith(END_ROWS)]
    end = format_instant(END)
    assert {row.key: row.columns for row in rows} == {
        f"!end|{end}|CH-1|7|stop|b": {
            "schema": 1,
            "digest": "digest-b",
            "energy_wh": 12300.0,
            "tag": "T1",
            "socket": 2,
            "start": format_instant(START),
        },
        f"!end|{end}|CH-1|7|rest|9": {
            "schema": 1,
            "digest": "x",
            "energy_wh": 1.0,
            "push": "start,stop",
            "push_start": format_instant(START),
            "push_energy_wh": 12300.0,
            "push_tag": "T1",
            "push_socket": 2,
        },
        "!end|undated|CH-1|8|stop|c": {
            "schema": 1,
            "digest": "digest-c",
            "energy_wh": 12300.0,
            "tag": "T1",
        },
    }


async def test_an_end_that_changes_moves_its_index_row(tables: MemoryTables) -> None:
    """REST tells another end: the session is found under the new one, no longer under the old."""
    await writer(tables).write([rest()])

    await writer(tables).write([rest("y", end=END + HOUR, observed=END + 2 * HOUR)])

    keys = [row.key for row in tables.rows(SESSIONS) if row.key.startswith(END_ROWS)]
    assert keys == [f"!end|{format_instant(END + HOUR)}|CH-1|7|rest|9"]
    check_summaries(tables)


async def test_a_tag_s_sessions_lie_under_its_hash(tables: MemoryTables) -> None:
    """Each claim of a session has a row under each tag that the session names, in order of time."""
    await writer(tables).write([start(), stop(tag=None), start("c", transaction="8", tag=None)])

    rows = tables.rows(TAGS)
    assert {row.partition for row in rows} == {hash_tag("T1", HASH_KEY)}
    assert [row.key for row in rows] == [
        f"session|{format_instant(START)}|CH-1|7|start|digest-a",
        f"session|{format_instant(END)}|CH-1|7|stop|digest-b",
    ]


async def test_what_came_of_each_session_is_told(tables: MemoryTables) -> None:
    """The caller learns what was there before, what was new, and the summary of all."""
    await writer(tables).write([start()])

    (told,) = await writer(tables).write([start(), stop()])

    assert told.session == "CH-1|7"
    assert told.before is not None
    assert [each for each, _ in told.before.claims.values()] == [start()]
    assert told.added == (stop(),)
    assert set(told.claims) == {start(), stop()}
    assert told.summary == fold([start(), stop()])


OBSERVATIONS = [
    rest("x", energy_wh=1.0, observed=END + HOUR),
    rest("y", energy_wh=2.0, observed=END + 2 * HOUR),
    rest("z", energy_wh=3.0, observed=END + 2 * HOUR),
    rest("w", energy_wh=4.0, observed=END),
    rest("v", energy_wh=5.0, observed=None),
]


@settings(max_examples=60)
@given(st.permutations(OBSERVATIONS), st.sets(st.integers(1, 4)))
async def test_of_rest_s_answers_the_one_observed_last_stands(
    answers: list[Claim], cuts: set[int]
) -> None:
    """Whoever writes first or last, together or apart: the latest observation, ties by content."""
    tables = MemoryTables(*ALL_TABLES)
    bounds = [0, *sorted(cuts), len(answers)]

    for begin, end in itertools.pairwise(bounds):
        await writer(tables).write(answers[begin:end])

    (found,) = claim_rows(tables)
    assert found.columns["digest"] == "z"
    (summary,) = summaries(tables)
    assert summary.columns["rest_energy_wh"] == 3.0
    check_summaries(tables)


async def test_a_push_claim_is_never_written_over(tables: MemoryTables) -> None:
    """A claim named by its content stays as it was first written."""
    await writer(tables).write([stop(energy_wh=1.0)])
    await writer(tables).write([stop(energy_wh=2.0)])

    (found,) = claim_rows(tables)
    assert found.columns["energy_wh"] == 1.0


def coming_between(
    tables: MemoryTables, moment: str, what: Callable[[], Awaitable[object]]
) -> Callable[[str, str], Awaitable[None]]:
    """A pause at which somebody else does something to the sessions, once."""
    quiet = tables.pause

    async def pause(table: str, now: str) -> None:
        if (table, now) == (SESSIONS, moment):
            tables.pause = quiet
            await what()

    return pause


@pytest.mark.parametrize("mine", [start(), stop(), rest()], ids=["start", "stop", "rest"])
@pytest.mark.parametrize("theirs", [start("t"), stop("t"), rest("t")], ids=["t", "p", "r"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
async def test_a_writer_that_comes_between_is_seen(
    tables: MemoryTables,
    mine: Claim,
    theirs: Claim,
    known: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A claim written between a read and its write makes the writer read again: both count."""
    if known:
        await writer(tables).write([stop("earlier", energy_wh=None)])
    tables.pause = coming_between(tables, "before_write", lambda: writer(tables).write([theirs]))

    await writer(tables).write([mine])

    check_summaries(tables)
    found = {claim_from_row(row) for row in claim_rows(tables)}
    both = {mine, theirs} if mine.key != theirs.key else {max(mine, theirs, key=lambda c: c.digest)}
    assert both <= found


async def test_a_session_that_never_rests_is_weather(tables: MemoryTables) -> None:
    """A writer that loses every race gives up with a transient error: the batch comes again."""
    await writer(tables).write([start()])
    names = itertools.count()

    async def always_between(table: str, moment: str) -> None:
        if (table, moment) == (SESSIONS, "before_write"):
            (summary,) = summaries(tables)
            columns = dict(summary.columns) | {"starts": next(names)}
            tables.pause = MemoryTables().pause
            await tables.write(SESSIONS, [Upsert(Row(summary.partition, summary.key, columns))])
            tables.pause = always_between

    tables.pause = always_between

    with pytest.raises(StoreUnavailableError, match="sessions kept changing") as error:
        await writer(tables).write([stop()])

    assert error.value.code == "store_contended"


async def test_a_summary_that_disagrees_is_mended(tables: MemoryTables) -> None:
    """Writing a claim again folds anew: a summary left behind by whatever accident is put right."""
    await writer(tables).write([start(), stop()])
    (summary,) = summaries(tables)
    await tables.write(SESSIONS, [Upsert(Row("0", summary.key, {"schema": 1, "state": "open"}))])

    await writer(tables).write([stop()])

    check_summaries(tables)


async def test_summaries_are_read_by_charger(tables: MemoryTables) -> None:
    """One charger's sessions are one range; no charger whose id begins alike is among them."""
    chargers = ["CH", "CH-1", "CH-10", "ch-1", "CH-1|", "CH-1~"]
    await writer(tables, 4).write(
        [start(charger=charger, transaction=each) for charger in chargers for each in ("7", "-1")]
    )

    async def found(charger: str | None) -> list[object]:
        rows = read_summaries(tables, charger=charger, buckets=4)
        return [row.columns["charger"] async for row in rows]

    for charger in chargers:
        with counted() as requests:
            assert await found(charger) == [charger, charger]
        assert requests.by_purpose == {"sessions_range": 1}
    assert len(await found(None)) == 2 * len(chargers)
    assert await found("CH-2") == []


async def test_sessions_taken_for_new_fill_their_transaction_and_cost_no_read(
    tables: MemoryTables,
) -> None:
    """A first load: 33 of REST's sessions in one transaction, the insert being the look-up."""
    claims = [rest(charger=f"CH-{n}") for n in range(33)]
    fresh = {each.session for each in claims}

    with counted() as requests:
        await writer(tables).write(claims, fresh=fresh)

    assert requests.by_purpose == {"sessions_write": 1}
    check_summaries(tables)


async def test_a_session_wrongly_taken_for_new_is_read_and_loses_nothing(
    tables: MemoryTables,
) -> None:
    """One of 33 was there, with claims of its own: all are written, that one folded whole."""
    await writer(tables).write([start(charger="CH-7"), stop(charger="CH-7")])
    claims = [rest(charger=f"CH-{n}") for n in range(33)]

    written = await writer(tables).write(claims, fresh={each.session for each in claims})

    assert sum(each.before is not None and bool(each.before.claims) for each in written) == 1
    assert len(claim_rows(tables)) == 35
    check_summaries(tables)


async def test_looking_tells_what_writing_would_do_and_writes_nothing(
    tables: MemoryTables,
) -> None:
    """The same outcome as of a write, and no row is touched."""
    await writer(tables).write([start(), rest()])
    before = tables.rows(SESSIONS), tables.rows(TAGS)
    claims = [rest("y", observed=END + 2 * HOUR), rest(transaction="8"), start()]

    looked = await writer(tables).look(claims)

    assert (tables.rows(SESSIONS), tables.rows(TAGS)) == before
    written = await writer(tables).write(claims)
    by_session = {each.session: each for each in written}
    for each in looked:
        assert each.added == by_session[each.session].added
        assert each.summary == by_session[each.session].summary


@pytest.mark.parametrize(("raising", "stands"), [(True, 2), (False, 1)])
async def test_an_equal_answer_stands_with_its_later_instant_only_when_raising(
    tables: MemoryTables,
    raising: bool,  # noqa: FBT001 - a parameter
    stands: int,
) -> None:
    """So that a run which read the answer before cannot write an older one any more."""
    await writer(tables).write([rest()])

    await writer(tables).write([rest(observed=END + 2 * HOUR)], raising=raising)
    await writer(tables).write([rest(observed=END)], raising=raising)

    (summary,) = summaries(tables)
    assert summary.columns["rest_observed"] == format_instant(END + stands * HOUR)


SEEN = st.lists(st.sampled_from(["x", "y", None]), min_size=1, max_size=6)
"""What eMabler says of an item, time after time: one answer, another one, or none."""


def as_observed(seen: list[str | None]) -> list[Claim]:
    """The claims of what was seen: of an item that is listed no more as it was before."""
    digest, claims = "x", list[Claim]()
    for hour, each in enumerate(seen, 1):
        digest = each or digest
        claims.append(rest(digest, observed=END + hour * HOUR, gone=each is None))
    return claims


@given(SEEN, st.data())
async def test_listed_gone_and_listed_again_the_latest_stands(
    seen: list[str | None], data: st.DataObject
) -> None:
    """In whatever order answers are written, also twice: the one observed last stands."""
    tables = MemoryTables(*ALL_TABLES)
    claims = as_observed(seen)
    twice = data.draw(st.permutations([*claims, data.draw(st.sampled_from(claims))]))

    for each in twice:
        await writer(tables).write([each], raising=True)

    (row,) = claim_rows(tables)
    assert claim_from_row(row) == claims[-1]
    check_summaries(tables)


@given(SEEN)
async def test_equal_answers_in_a_row_change_nothing_but_the_first(seen: list[str | None]) -> None:
    """As they come: gone is told once, listed again once, with the instant of the first."""
    tables = MemoryTables(*ALL_TABLES)
    claims = as_observed(seen)
    told = [(each.digest, each.gone) for each in claims]

    for number, each in enumerate(claims):
        (written,) = await writer(tables).write([each])
        assert bool(written.added) is (number == 0 or told[number] != told[number - 1])

    (row,) = claim_rows(tables)
    kept = claim_from_row(row)
    assert (kept.digest, kept.gone) == told[-1]


@pytest.mark.parametrize("order", [1, -1])
async def test_of_two_answers_of_one_instant_the_one_that_lists_the_item_stands(
    tables: MemoryTables, order: int
) -> None:
    """Gone is said where nothing else is."""
    for each in [rest(), rest("z", gone=True)][::order]:
        await writer(tables).write([each])

    (row,) = claim_rows(tables)
    assert claim_from_row(row) == rest()


async def test_a_long_answer_is_kept_whole(tables: MemoryTables) -> None:
    """An answer that no column holds stands in several, and is read as it was."""
    body = json.dumps({"note": "é" * 70_000})
    await writer(tables).write([rest(body=body)])

    (row,) = claim_rows(tables)
    assert claim_from_row(row).body == body
    limits.check([Upsert(row)])


async def test_stops_of_a_session_with_many_rest_items_keep_the_limits(
    tables: MemoryTables,
) -> None:
    """Sessions with several REST items each, and a stop for each: no transaction is too large."""
    names = [f"CH-{n}" for n in range(30)]
    items = [
        replace(rest(digest=f"{n}", charger=name, observed=END + n * HOUR), name=str(n))
        for name in names
        for n in range(3)
    ]
    await writer(tables).write(items)

    await writer(tables).write([stop(charger=name) for name in names])
    await writer(tables).write(
        [replace(each, digest="new", end=END + HOUR, observed=END + 9 * HOUR) for each in items]
    )

    check_summaries(tables)


async def test_ongoing_sessions_count_until_anybody_else_tells(tables: MemoryTables) -> None:
    """REST's list opens a session; whoever else tells of it counts alone; the row stays."""
    listed = claim(Source.ONGOING, "7", start=START, tag="T1", meter_start_wh=5.0, observed=END)
    await writer(tables).write([listed])
    assert open_rows(tables) == ["!open|CH-1|7"]
    (summary,) = summaries(tables)
    assert (summary.columns["sources"], summary.columns["meter_start_wh"]) == ("ongoing", 5.0)

    await writer(tables).write([rest()])

    (summary,) = summaries(tables)
    assert (summary.columns["sources"], summary.columns["state"]) == ("rest", "ended")
    assert "meter_start_wh" not in summary.columns
    assert open_rows(tables) == []
    assert len(claim_rows(tables)) == 2
    check_summaries(tables)
