"""Messages that no retry can help, among good ones, through the real runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from shared.instants import parse_instant
from shared.storage.bodies import read_body
from shared.storage.tables import PARKED
from tests import payloads
from tests.end_to_end.app import QUEUE, App, running_app

MIB = 1024 * 1024

POISON: dict[bytes, str] = {
    b"this is no JSON": "not_json",
    b"": "not_json",
    payloads.state_v2(status="x").replace(b'"x"', b"NaN"): "not_json",
    b"\xff\xfe\xfa\xfb\xfc": "not_text",
    payloads.state_v2(status="\ud800"): "not_text",
    b"[" * 40 + b"]" * 40: "unknown_shape",
    payloads.state_v2(
        other=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
    ): "too_deep",
    payloads.state_v2(other="x" * MIB): "too_large",
    Random(7).randbytes(2 * MIB): "too_large",
    b'{"chargerId": "CH-1", "hello": "world"}': "unknown_shape",
    b"[1, 2]": "unknown_shape",
    payloads.start_v2(socketId="left"): "bad_field",
    payloads.state_v2(chargerId="x" * 256): "bad_field",
    payloads.full_v2(consumptionWh="much"): "bad_field",
    payloads.state_v2(receivedTimestamp="2016-03-14T06:00:00Z"): "older_than_retention",
}
"""Message → the reason for which it is parked: each that a message can have by itself."""


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    async with running_app(tmp_path_factory.mktemp("poison"), most_bytes=8 * MIB) as app:
        yield app


async def test_poison_is_parked_at_once_and_its_batch_is_stored(app: App) -> None:
    """Each reason, with the bytes, the properties and delivery 1; all good ones are in the journal.

    No batch is given back, and nothing is a dead letter: poison fails nobody else.
    """
    good = [payloads.state_v2(chargerId=f"WELL-{n}") for n in range(60)]
    small = [body for body in POISON if len(body) < MIB]
    mixed = [*good, *small]
    Random(7).shuffle(mixed)

    await app.send(mixed)
    for large in POISON.keys() - set(small):
        await app.send([large, payloads.state_v2(chargerId=f"WELL-{len(large)}")])
    await app.drained()

    rows = await app.rows(PARKED)
    parked = [(row, await read_body(app.blobs, row.columns)) for row in rows]
    assert {body: row.columns["reason"] for row, body in parked} == POISON
    assert [row.columns["delivery_count"] for row, _ in parked] == [1] * len(POISON)
    for row, body in parked:
        assert row.columns["bytes"] == len(body)
        assert parse_instant(str(row.columns["enqueued"])) is not None
        assert row.columns["detail"]
    assert await app.events("WELL") == len(good) + 2
    totals = (await app.broker.counts(QUEUE)).totals
    assert (totals.completed, totals.abandoned) == (len(mixed) + 4, 0)
    assert (totals.expired_locks, totals.dead_lettered) == (0, 0)


def test_every_reason_of_a_message_by_itself_is_played() -> None:
    """All documented reasons but `unexpected`, which is a mistake of ours and not the message's."""
    documented = {"not_json", "not_text", "too_deep", "too_large", "unknown_shape"}

    assert set(POISON.values()) == documented | {"bad_field", "older_than_retention"}
