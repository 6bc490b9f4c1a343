"""The local ingestion endpoint: what it takes, what it refuses, what it writes down."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.app_insights.process import INSTRUMENTATION_KEY, AppInsights


@pytest.fixture
async def insights(tmp_path: Path) -> AsyncIterator[AppInsights]:
    """A running endpoint."""
    async with await AppInsights.start(tmp_path) as insights:
        yield insights


def envelope(**changes: Any) -> dict[str, Any]:
    return {
        "name": "AppTraces",
        "time": datetime.now(UTC).isoformat(),
        "iKey": INSTRUMENTATION_KEY,
        "tags": {"ai.operation.id": "0af7651916cd43dd8448eb211c80319c"},
        "data": {"baseType": "MessageData", "baseData": {"ver": 2, "message": "häl lo"}},
    } | changes


async def send(
    insights: AppInsights, body: bytes, path: str = "/v2.1/track", **headers: str
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(
            f"http://127.0.0.1:{insights.port}{path}", content=body, headers=headers
        )


async def test_items_are_written_down_as_they_came(insights: AppInsights) -> None:
    """A gzipped array and JSON lines are taken alike: each item is one line, as it was sent."""
    first, second, third = (envelope(sequence=number) for number in range(3))
    packed = gzip.compress(json.dumps([first, second]).encode())

    array = await send(insights, packed, **{"content-encoding": "gzip"})
    lines = await send(insights, json.dumps(third).encode() + b"\n")

    assert (array.status_code, lines.status_code) == (200, 200)
    assert array.json() == {"itemsReceived": 2, "itemsAccepted": 2, "errors": []}
    captured = insights.envelopes()
    assert all(each.pop("_received").endswith("Z") for each in captured)
    assert captured == [first, second, third]
    assert insights.envelopes("RequestData") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"iKey": "11111111-0000-0000-0000-000000000001"},
        {"time": (datetime.now(UTC) - timedelta(days=3)).isoformat()},
        {"time": "yesterday"},
        {"data": {"baseType": "MessageData"}},
        {"name": ""},
    ],
)
async def test_a_bad_item_is_refused_and_the_others_taken(
    insights: AppInsights, changes: dict[str, Any]
) -> None:
    """An item of another component, too old, or not whole is named by its index; the answer 206."""
    good = envelope()

    mixed = await send(insights, json.dumps([good, envelope(**changes)]).encode())
    bad = await send(insights, json.dumps([envelope(**changes)]).encode())

    assert (mixed.status_code, bad.status_code) == (206, 400)
    assert mixed.json()["itemsAccepted"] == 1
    assert [(each["index"], each["statusCode"]) for each in mixed.json()["errors"]] == [(1, 400)]
    assert len(insights.envelopes()) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]\n[", gzip.compress(b"[]", mtime=0)[:9]])
async def test_a_body_without_items_is_refused(insights: AppInsights, body: bytes) -> None:
    """What is no JSON, or no gzip, is answered 400 and leaves nothing behind."""
    headers = {"content-encoding": "gzip"} if body[:1] == b"\x1f" else {}

    assert (await send(insights, body, **headers)).status_code == 400
    assert insights.envelopes() == []


async def test_seven_digits_of_a_second_are_read(insights: AppInsights) -> None:
    """The SDK for .NET writes instants with seven digits."""
    time = datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat() + ".1234567Z"

    assert (await send(insights, json.dumps([envelope(time=time)]).encode())).status_code == 200


@pytest.mark.parametrize("path", ["/v2.1/track", "//v2.1/track", "/v2/track"])
async def test_the_paths_of_all_sdks_are_taken(insights: AppInsights, path: str) -> None:
    """.NET asks /v2/track; Python puts a slash too many where the endpoint ends with one."""
    body = json.dumps([envelope()]).encode()

    assert (await send(insights, body, path)).status_code == 200


async def test_trouble_is_answered_as_often_as_asked(insights: AppInsights) -> None:
    """A test lets the endpoint fail, or refuse one item for now, and be well again."""
    body = json.dumps([envelope(sequence=1), envelope(sequence=2)]).encode()

    await insights.put_trouble(503, times=1)
    assert (await send(insights, body)).status_code == 503
    assert insights.envelopes() == []
    await insights.put_trouble(206, times=1)
    partial = await send(insights, body)
    assert [each["statusCode"] for each in partial.json()["errors"]] == [500]
    assert [each["sequence"] for each in insights.envelopes()] == [2]
    assert (await send(insights, body)).status_code == 200


async def test_without_a_token_nothing_is_taken_where_one_is_needed(tmp_path: Path) -> None:
    """As a component with its local authentication off: no bearer token, no ingestion."""
    body = json.dumps([envelope()]).encode()
    async with await AppInsights.start(tmp_path, token_needed=True) as insights:
        assert (await send(insights, body)).status_code == 401
        assert (await send(insights, body, authorization="Basic eA==")).status_code == 401
        assert (await send(insights, body, authorization="Bearer x.y.z")).status_code == 200
        assert len(insights.envelopes()) == 1


async def test_it_stops_and_keeps_what_it_captured(insights: AppInsights) -> None:
    """After the stop the process is gone and the file is there."""
    await send(insights, json.dumps([envelope()]).encode())
    await insights.stop()
    await insights.stop()

    assert not insights.running
    assert len(insights.envelopes()) == 1
