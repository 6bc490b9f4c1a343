"""`smoke` before it sends anything; the run itself is in tests/end_to_end/test_operating.py."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from management.smoke.marked import Marked, marked, new_mark
from management.smoke.sender import sender_connection
from management.smoke.traces import Traces
from shared.errors import OtherStoreError
from shared.storage.rows import Insert, Row, Value
from shared.storage.tables import ALL_TABLES, EVENTS, STORE
from tests.management.operator import SECRET, Operator

AT_MIDNIGHT = datetime(2026, 11, 3, 0, 2, 7, tzinfo=UTC)


def test_a_mark_tells_all_of_its_run() -> None:
    """Charger, tag, days and messages follow from it, whenever they are made again."""
    run = marked(new_mark(AT_MIDNIGHT, "1a2b"))

    assert run == Marked("20261103T000207-1a2b", AT_MIDNIGHT)
    assert run.days == ["20261102", "20261103"]
    assert run.session() == marked(run.mark).session()
    assert run.tag != marked("20261103T000207-1a2c").tag
    with pytest.raises(ValueError, match="is no mark"):
        marked("20261103T000207")


async def test_all_that_a_run_leaves_is_found_and_nothing_else() -> None:
    """Its events on both sides of midnight, session, charger, tag; another run's rows stay."""
    operator = Operator()
    mine, other = marked("20261103T000207-1a2b"), marked("20261103T000207-ffff")
    await operator.ingest(*other.session(), other.state())
    before = {table: operator.tables.rows(table) for table in ALL_TABLES}
    await operator.ingest(*mine.session(), mine.state())
    traces = Traces(operator.tables, mine, buckets=4, hash_keys=[SECRET.encode()])
    assert len(await traces.events()) == 3

    deleted = await traces.take_out()

    assert deleted.keys() == {"events", "sessions", "chargers", "tags"}
    assert {table: operator.tables.rows(table) for table in ALL_TABLES} == before
    assert await traces.all() == {}


async def test_an_address_that_is_not_known_is_wrong_usage(operator: Operator) -> None:
    """Nothing is sent, nothing is written."""
    before = {table: operator.tables.rows(table) for table in ALL_TABLES}

    ran = await operator.run("smoke")

    assert (ran.code, ran.err.split(":")[1]) == (2, " url_missing")
    assert "--env azd" in ran.err
    assert {table: operator.tables.rows(table) for table in ALL_TABLES} == before


async def test_another_s_store_is_not_touched(operator: Operator) -> None:
    """The stamp is looked at before anything is sent."""
    stamp: dict[str, Value] = {"schema": 1, "environment": "production", "buckets": 4}
    await operator.tables.write(STORE, [Insert(Row("stamp", "stamp", stamp))])
    events = operator.tables.rows(EVENTS)
    operator.settings |= {
        "PUSH_QUEUE_NAME": "push-events",
        "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k",
    }

    with pytest.raises(OtherStoreError):
        await operator.run("smoke", "--url", "http://127.0.0.1:9/", "--json")

    assert operator.tables.rows(EVENTS) == events


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [(0, "Endpoint=sb://1;EntityPath=q\n", "Endpoint=sb://1;EntityPath=q"), (1, "", "")],
)
def test_it_sends_with_emabler_s_own_key_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str, expected: str
) -> None:
    """The vault's secret; without it, or the right to read it, or a vault, the caller's rights."""
    asked: list[list[str]] = []

    def run_tool(words: list[str]) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, code, said, "Forbidden")

    monkeypatch.setattr("management.smoke.sender.run_tool", run_tool)

    assert sender_connection({"AZURE_KEY_VAULT_NAME": "kv-1"}) == expected
    assert sender_connection({}) == ""
    assert len(asked) == 1
    assert {"kv-1", "emabler-service-bus"} <= set(asked[0])
