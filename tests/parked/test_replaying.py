"""Replays and discards: nothing is sent twice unasked, nothing is lost, everything is traced."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import MessageTooLargeError, QueueUnavailableError
from shared.ingestion.messages import IncomingMessage
from shared.parked.reading import ParkedFilter
from shared.parked.records import (
    ParkedState,
    Parking,
    parked_row_of,
    properties_of,
    state_of,
    trace_of,
    traced,
)
from shared.parked.replaying import FIRST_ENQUEUED, Outcome, discard, replay
from shared.storage.bodies import MAX_ROW_BODY_BYTES
from shared.storage.containers import BODIES
from shared.storage.rows import Row
from shared.storage.tables import EVENTS, PARKED, SESSIONS
from tests import payloads
from tests.parked.support import ENQUEUED, HAND, NOW, Store, new_release

POISON = payloads.start_v2(socketId="left")


async def test_poison_comes_back_once_with_the_release_that_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parked, replayed twice and ingested each time: the journal and the session hold it once."""
    store = Store()
    assert await store.take(POISON) == {"bad_field": 1}
    new_release(monkeypatch)

    for again in (False, True):
        assert await store.replay_all(again=again) == [Outcome.REPLAYED]
        assert await store.take_sent() == {}

    assert len(store.tables.rows(EVENTS)) == 1
    assert len([r for r in store.tables.rows(SESSIONS) if "|start|" in r.key]) == 1
    row = store.row()
    assert state_of(row) is ParkedState.REPLAYED
    assert (row.columns["replays"], row.columns["replayed_by"]) == (2, "ann")
    assert [entry["what"] for entry in trace_of(row)] == ["replayed", "replayed"]


async def test_what_was_replayed_is_not_sent_again_unasked() -> None:
    """A second replay chooses nothing, one with `again` does."""
    store = Store()
    await store.take(POISON)

    assert await store.replay_all() == [Outcome.REPLAYED]
    assert await store.replay_all() == []
    assert await store.replay_all(again=True) == [Outcome.REPLAYED]


async def test_a_message_goes_as_it_came() -> None:
    """The same bytes, the same properties, and beside them when it was enqueued first."""
    store = Store()
    body, properties = bytes(range(256)), {"messageType": "x", "n": 7, "deep": {"a": 1}}
    await store.take(body, properties=properties)

    await store.replay_all()

    (sent,) = store.queue.sent
    assert sent.body == body
    assert sent.properties == {
        "messageType": "x",
        "n": 7,
        "deep": '{"a": 1}',
        FIRST_ENQUEUED: "2026-11-02T10:00:00.000000Z",
    }


async def test_what_is_parked_again_says_so() -> None:
    """The release reads it no better: back to parked, counted, with the trace, first time kept."""
    store = Store()
    await store.take(POISON)
    for _ in range(2):
        await store.replay_all()
        assert await store.take_sent() == {"bad_field": 1}

    row = store.row()
    assert state_of(row) is ParkedState.PARKED
    assert (row.columns["times_parked"], row.columns["replays"]) == (3, 2)
    assert row.columns["enqueued"] == "2026-11-02T10:00:00.000000Z"
    assert [entry["what"] for entry in trace_of(row)] == ["replayed", "parked again"] * 2
    assert properties_of(row)[FIRST_ENQUEUED] == "2026-11-02T10:00:00.000000Z"


async def test_a_repeat_of_what_is_parked_changes_nothing() -> None:
    """The batch that was parked comes again: the row stays as it was."""
    store = Store()
    await store.take(POISON)
    before = store.row()

    await store.take(POISON, delivery_count=2)

    assert store.row() == before


async def test_ingestion_that_is_faster_than_the_trace_is_not_written_over() -> None:
    """Parked again before the replay is written down: it stays parked, with both in the trace."""
    store = Store()
    await store.take(POISON)
    send = store.queue.send

    async def send_and_ingest(body: bytes, **more: object) -> None:
        await send(body, **more)  # type: ignore[arg-type] # as they came
        await store.take_sent()

    store.queue.send = send_and_ingest  # type: ignore[method-assign] # for this test
    await store.replay_all()

    row = store.row()
    assert state_of(row) is ParkedState.PARKED
    assert (row.columns["times_parked"], row.columns["replays"]) == (2, 1)
    assert [entry["what"] for entry in trace_of(row)] == ["parked again", "replayed"]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_queue_that_does_not_answer_is_asked_again(kept: bool) -> None:  # noqa: FBT001 - a parameter
    """Whether or not the queue has it, the row does not say replayed, and the next run sends."""
    store = Store()
    await store.take(POISON)
    store.queue.fails, store.queue.keeps = QueueUnavailableError("away"), kept

    with pytest.raises(QueueUnavailableError):
        await store.replay_all()
    assert state_of(store.row()) is ParkedState.SENDING
    store.queue.fails, store.queue.keeps = None, True

    assert await store.replay_all() == [Outcome.REPLAYED]
    assert len(store.queue.sent) == 1 + kept


async def test_a_message_too_large_for_the_queue_stays_parked() -> None:
    """It can come by another way; the trace says why it was not sent."""
    store = Store()
    await store.take(b"x" * (MAX_ROW_BODY_BYTES + 1))
    store.queue.fails = MessageTooLargeError("too large")

    assert await store.replay_all() == [Outcome.TOO_LARGE]

    assert state_of(store.row()) is ParkedState.PARKED
    assert [entry["what"] for entry in trace_of(store.row())] == ["replay failed"]


async def test_two_operators_do_not_send_one_message_twice() -> None:
    """Who read the row before the other marked it is told that it changed."""
    store = Store()
    await store.take(POISON)
    (seen,) = await store.parked()
    await store.replay_all()

    assert await replay(store.tables, store.queue, seen, HAND) is Outcome.CHANGED
    assert len(store.queue.sent) == 1


@pytest.mark.parametrize(("days", "parked"), [(400, {}), (401, {"older_than_retention": 1})])
async def test_a_replay_makes_no_message_younger(days: int, parked: dict[str, int]) -> None:
    """A body that tells no time of reception is as old as its first time in the queue."""
    store = Store()
    message = IncomingMessage(
        body=payloads.full_v1(), enqueued=NOW, first_enqueued=NOW - timedelta(days=days)
    )

    assert (await store.ingestion.ingest([message])).parked == parked


async def test_the_journal_tells_the_first_time() -> None:
    """A replayed event's `enqueued` is when it was enqueued first."""
    store = Store()
    await store.ingestion.ingest(
        [IncomingMessage(body=payloads.state_v2(), enqueued=NOW, first_enqueued=ENQUEUED)]
    )

    (row,) = store.tables.rows(EVENTS)
    assert row.columns["enqueued"] == "2026-11-02T10:00:00.000000Z"


@pytest.mark.parametrize("size", [10, MAX_ROW_BODY_BYTES + 1])
@pytest.mark.parametrize("delete_body", [True, False])
async def test_a_discard_leaves_a_trace(size: int, delete_body: bool) -> None:  # noqa: FBT001 - a parameter
    """Who, when and why stay; the bytes go, from row and blob, where that was asked for."""
    store = Store()
    body = b"x" * size
    await store.take(body)
    (message,) = await store.parked()

    done = await discard(
        store.tables, store.blobs, message, HAND, because="a test", delete_body=delete_body
    )

    (after,) = await store.parked()
    columns = after.row.columns
    assert done is Outcome.DISCARDED
    assert (columns["discarded_by"], columns["discarded_because"]) == ("ann", "a test")
    assert trace_of(after.row) == [
        {
            "at": "2026-11-03T12:00:00.000000Z",
            "what": "discarded",
            "by": "ann",
            "note": "a test",
        }
    ]
    assert after.body == (None if delete_body else body)
    names = [name async for name in store.blobs.names(BODIES)]
    assert len(names) == (size > MAX_ROW_BODY_BYTES and not delete_body)


async def test_a_discarded_message_that_comes_again_is_parked_with_its_bytes() -> None:
    """Nothing that the queue hands over is lost, also where its like was thrown away."""
    store = Store()
    await store.take(POISON)
    (message,) = await store.parked()
    await discard(store.tables, store.blobs, message, HAND, because="x", delete_body=True)

    await store.take(POISON)

    (again,) = await store.parked(states=[ParkedState.PARKED])
    assert again.body == POISON
    assert again.row.columns["times_parked"] == 2


async def test_a_large_body_that_comes_again_during_a_discard_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Delivered again just before its blob goes: it is parked, and its bytes are there."""
    store = Store()
    body = b"x" * (MAX_ROW_BODY_BYTES + 1)
    await store.take(body)
    (message,) = await store.parked()
    delete = store.blobs.delete

    async def comes_again(container: str, name: str, etag: str | None = None) -> bool:
        await store.take(body)
        return await delete(container, name, etag)

    monkeypatch.setattr(store.blobs, "delete", comes_again)
    await discard(store.tables, store.blobs, message, HAND, because="x", delete_body=True)

    (again,) = await store.parked(states=[ParkedState.PARKED])
    assert again.body == body


async def test_a_trace_is_bounded() -> None:
    """However often a message comes and goes, its row fits; first and latest entries stay."""
    store = Store()
    await store.take(POISON)
    for _ in range(50):
        await store.replay_all()
        await store.take_sent()

    trace = trace_of(store.row())
    assert len(trace) == 60
    assert store.row().columns["replays"] == 50
    assert trace[-1]["what"] == "parked again"


def test_a_trace_fits_its_column_whatever_is_written_in_it() -> None:
    """Reasons in letters beyond ASCII take six characters each: the oldest but one go first."""
    row = Row("p", "k", {})
    for number in range(60):
        note = f"{number} " + "ж" * 190
        text = traced(row, "2026-11-02T10:00:00Z", "discarded", "Zoë", note)
        row = Row("p", "k", {"trace": text})
        assert len(text) <= 30_000

    trace = trace_of(row)
    assert len(trace) > 20
    assert [entry["note"].split()[0] for entry in (trace[0], trace[-1])] == ["0", "59"]


def test_a_declared_type_of_any_length_is_parked() -> None:
    """A property that outgrows a column takes no batch with it."""
    parking = Parking(body=b"x", reason="bad_field", detail="", declared_type="t" * 40_000)

    assert parked_row_of(parking, NOW).columns["declared_type"] == "t" * 255


async def test_filters_choose_by_what_can_be_read() -> None:
    """Reason, type, charger and time, together."""
    store = Store()
    await store.take(POISON, b"nonsense", payloads.state_v2(chargerId="B", socketId="x"))

    assert [m.body for m in await store.parked(type="ChargingTransaction")] == [POISON]
    assert len(await store.parked(charger="B")) == 1
    assert len(await store.parked(reason="bad_field")) == 2
    assert await store.parked(reason="bad_field", charger="C") == []
    assert len(await store.parked(start=NOW)) == 3
    assert await store.parked(end=NOW) == []
    digest = store.tables.rows(PARKED)[0].key
    assert [m.row.key for m in await store.parked(digests=[digest[:6]])] == [digest]
    assert ParkedFilter(states=[ParkedState.PARKED]).holds(store.tables.rows(PARKED)[0])


async def test_properties_beyond_the_limit_are_left_out_whole() -> None:
    """What is kept of many properties is still JSON."""
    store = Store()
    await store.take(POISON, properties={f"p{n}": "x" * 1000 for n in range(100)})

    kept = properties_of(store.row())
    assert 20 < len(kept) < 30
    assert set(kept.values()) == {"x" * 1000}
