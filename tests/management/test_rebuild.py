"""Rebuilding: rows altered by hand are restored, an intact store is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.storage.requests import counted
from shared.storage.rows import Delete, Row, Upsert, Value
from shared.storage.tables import ALL_TABLES, EVENTS, SESSIONS, TAGS
from tests import payloads
from tests.management.operator import Operator

type Content = dict[str, list[Row]]


def content(operator: Operator) -> Content:
    """All rows but for their ETags."""
    return {
        table: [Row(row.partition, row.key, row.columns) for row in operator.tables.rows(table)]
        for table in ALL_TABLES
        if table != "store"
    }


async def test_an_intact_store_is_left_alone(operator: Operator) -> None:
    """Nothing differs, and nothing is written but the stamp of the first command."""
    await operator.run("rebuild", "--dry-run")
    with counted() as requests:
        ran = await operator.run("rebuild")

    assert ran.err == "the store is as its claims and its journal say\n"
    assert ran.code == 0
    assert [name for name in requests.by_purpose if name.endswith("write")] == []


def _is(part: str) -> Callable[[Row], bool]:
    return lambda row: part in row.key


ALTERED: dict[str, tuple[str, str, dict[str, Value]]] = {
    "a summary": (SESSIONS, "CH-0042|1032427936|!", {"energy_wh": 1.0}),
    "a claim": (SESSIONS, "CH-0042|1032427936|stop|", {"energy_wh": 1.0}),
    "a claim's tag": (SESSIONS, "CH-0042|1032427936|start|", {"tag": "ELSE"}),
    "a row by end": (SESSIONS, "!end|2026-11-02T10:41:43", {"energy_wh": 1.0}),
    "a row under a tag": (TAGS, "session|2026-11-02T09:11:32", {"source": "x"}),
    "a claim that is unreadable": (SESSIONS, "CH-0042|1032427936|stop|", {"source": "?"}),
}


@pytest.mark.parametrize("what", ALTERED)
async def test_what_was_altered_by_hand_is_restored(operator: Operator, what: str) -> None:
    """A dry run tells it and exits 1; then it is as it was."""
    table, key, columns = ALTERED[what]
    before = content(operator)
    row = next(row for row in operator.tables.rows(table) if row.key.startswith(key))
    await operator.tables.write(
        table, [Upsert(Row(row.partition, row.key, {**row.columns, **columns}))]
    )
    altered = content(operator)

    dry = await operator.run("rebuild", "--dry-run", "--json")
    assert (dry.code, content(operator)) == (1, altered)
    assert row.key in dry.all("key")
    ran = await operator.run("rebuild", "--json")
    again = await operator.run("rebuild")

    assert ran.code == 0
    assert again.err == "the store is as its claims and its journal say\n"
    assert content(operator) == before


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (SESSIONS, "CH-0042|1032427936|!"),
        (SESSIONS, "CH-0042|1032427936|start|"),
        (SESSIONS, "CH-0043|7|start|"),
        (SESSIONS, "!end|2026-11-02T10:41:43"),
        (SESSIONS, "!open|CH-0043"),
        (TAGS, "session|2026-11-02T09:11:32"),
    ],
)
async def test_what_was_deleted_by_hand_is_restored(
    operator: Operator, table: str, key: str
) -> None:
    """Claims from the journal, the rest from the claims."""
    before = content(operator)
    row = next(row for row in operator.tables.rows(table) if row.key.startswith(key))
    await operator.tables.write(table, [Delete(row.partition, row.key)])

    await operator.run("rebuild")

    assert content(operator) == before


@pytest.mark.parametrize(
    "key",
    [
        "!end|2026-12-24T00:00:00.000000Z|CH-0042|1032427936|stop|x",
        "!open|CH-0042|1032427936",
        "!open|CH-9|1",
    ],
)
async def test_what_was_added_by_hand_is_deleted(operator: Operator, key: str) -> None:
    """Rows that find a session which is not there so."""
    before = content(operator)
    bucket = next(r.partition for r in operator.tables.rows(SESSIONS) if r.key[:7] == "CH-0042")
    await operator.tables.write(SESSIONS, [Upsert(Row(bucket, key, {"schema": 1}))])

    dry = await operator.run("rebuild", "--dry-run", "--json")
    await operator.run("rebuild")

    assert (dry.all("key"), dry.all("what")) == ([key], ["superfluous"])
    assert content(operator) == before


async def test_a_lost_session_comes_back_from_the_journal(operator: Operator) -> None:
    """All rows of all sessions gone: the journal tells them again."""
    before = content(operator)
    for row in operator.tables.rows(SESSIONS):
        await operator.tables.write(SESSIONS, [Delete(row.partition, row.key)])

    await operator.run("rebuild", "--from", "2026-11-01", "--charger", "CH-0042")
    only = {row.key.split("|")[0] for row in operator.tables.rows(SESSIONS)}
    await operator.run("rebuild")

    assert only == {"!end", "CH-0042"}
    assert content(operator) == before


async def test_without_the_journal_a_claim_stands(operator: Operator) -> None:
    """Days that retention took cannot be asked: the claims count, and the summary follows them."""
    for row in operator.tables.rows(EVENTS):
        await operator.tables.write(EVENTS, [Delete(row.partition, row.key)])
    rows = operator.tables.rows(SESSIONS)
    claim = next(r for r in rows if r.key.startswith("CH-0042|1032427936|stop"))
    changed = {**claim.columns, "energy_wh": 7.0}
    await operator.tables.write(SESSIONS, [Upsert(Row(claim.partition, claim.key, changed))])

    await operator.run("rebuild")

    listed = await operator.run("sessions", "list", "--charger", "CH-0042", "--json")
    assert listed.all("energy_wh") == [7.0]


async def test_an_unreadable_claim_that_the_journal_lacks_is_told(operator: Operator) -> None:
    """Nothing is guessed: exit 1, and the session is left as it is."""
    for row in operator.tables.rows(EVENTS):
        await operator.tables.write(EVENTS, [Delete(row.partition, row.key)])
    claim = next(r for r in operator.tables.rows(SESSIONS) if "|stop|" in r.key and r.key[0] != "!")
    broken = Row(claim.partition, claim.key, {**claim.columns, "source": "?"})
    await operator.tables.write(SESSIONS, [Upsert(broken)])
    before = content(operator)

    ran = await operator.run("rebuild", "--json")

    assert (ran.code, ran.all("what")) == (1, ["unreadable"])
    assert content(operator) == before


async def test_an_erased_person_does_not_come_back(operator: Operator) -> None:
    """Claims that were erased are right as they are."""
    await operator.run("privacy", "erase", "TAG123", "--yes")
    before = content(operator)

    ran = await operator.run("rebuild")

    assert ran.err == "the store is as its claims and its journal say\n"
    assert content(operator) == before


async def test_who_was_not_erased_stays(operator: Operator) -> None:
    """Of a session that two tags are named in, one of them erased, the other stays in its rows."""
    of_it = {"chargerId": "CH-0060", "transactionId": "9"}
    await operator.ingest(payloads.start_v2(**of_it, authorizedIdTag="FRIEND1"))
    await operator.ingest(payloads.full_v2(**of_it, authorizedIdTag="STRANGER"))
    await operator.run("privacy", "erase", "STRANGER", "--yes")
    before = content(operator)
    assert any("FRIEND1" in row.columns.values() for row in before[SESSIONS])

    ran = await operator.run("rebuild")

    assert ran.err == "the store is as its claims and its journal say\n"
    assert content(operator) == before


async def test_sessions_alone_need_no_journal(operator: Operator) -> None:
    """With --sessions-only the journal is not read."""
    await operator.ingest(payloads.start_v2(chargerId="CH-0050"))

    with counted() as requests:
        await operator.run("rebuild", "--sessions-only", "--dry-run")

    assert [name for name in requests.by_purpose if name.startswith(EVENTS)] == []
