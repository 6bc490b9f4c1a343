"""Asking for finished sessions: each part of a span is a whole picture, or told to be a lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.instants import format_instant, parse_instant
from shared.reconciliation.asking import ask_by_rest_ids, ask_by_transactions, pictures
from shared.reconciliation.spans import Budget, Lie, Picture, Span
from tests.emabler.rest import Time, client

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = Span(NOW - timedelta(days=1), NOW)

type Spoil = Callable[[dict[str, Any], dict[str, Any]], Mapping[str, Any]]
"""Changes an answer, given the request's body and the answer as it should be."""


def item(number: int, end: datetime | str | None, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "chargerId": "CH-0042",
        "evseTransactionId": str(number),
        "timestampEnd": format_instant(end) if isinstance(end, datetime) else end,
    } | fields


class Finished:
    """eMabler's finished sessions behind their filters, in pages; `spoil` changes each answer."""

    def __init__(self, items: Iterable[dict[str, Any]], spoil: Spoil | None = None) -> None:
        self.items = list(items)
        self.asked: list[dict[str, Any]] = []
        self._spoil = spoil

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        self.asked.append(asked)
        found = [each for each in self.items if self._is_asked_for(each, asked)]
        first, limit = (asked["page"] - 1) * asked["limit"], asked["limit"]
        answer: Mapping[str, Any] = {
            "items": found[first : first + limit],
            "totalRecords": len(found),
            "hasNextPage": first + limit < len(found),
        }
        if self._spoil is not None:
            answer = {**answer, **self._spoil(asked, dict(answer))}
        return httpx.Response(200, json=answer)

    @staticmethod
    def _is_asked_for(each: dict[str, Any], asked: Mapping[str, Any]) -> bool:
        end = parse_instant(each["timestampEnd"] or "")
        since, until = (
            parse_instant(asked.get(name, "")) for name in ("stopTimeSearchBegin", "stopTime")
        )
        # What has no end is less than all that has one.
        end = datetime.min.replace(tzinfo=UTC) if end is None else end
        return (
            (since is None or since <= end)
            and (until is None or end <= until)
            and each["evseTransactionId"]
            in asked.get("evseTransactionIds", [each["evseTransactionId"]])
            and each["id"] in asked.get("transactionIds", [each["id"]])
        )


async def ask(
    books: Finished, span: Span = DAY, *, page_size: int = 10, tries: int = 3, **budget: Any
) -> list[Picture | Lie]:
    time = Time()
    async with client(books, time=time, page_size=page_size) as rest:
        limits = Budget(rest.counts, elapsed=lambda: time.seconds, **budget)
        return [each async for each in pictures(rest, span, tries=tries, budget=limits)]


async def test_what_fits_on_a_page_is_one_request() -> None:
    """The span is asked for with a second more at both ends; the answer is the picture."""
    books = Finished(item(n, NOW - timedelta(hours=n)) for n in range(1, 9))

    (found,) = await ask(books)

    assert isinstance(found, Picture)
    assert (found.span, found.pages, found.unidentified) == (DAY, 1, 0)
    assert [session.rest_id for session in found.items] == [str(n) for n in range(1, 9)]
    (asked,) = books.asked
    assert (asked["stopTimeSearchBegin"], asked["stopTime"], asked["page"], asked["limit"]) == (
        "2026-11-01T11:59:59.000000Z",
        "2026-11-02T12:00:01.000000Z",
        1,
        10,
    )


async def test_ids_are_asked_for_in_batches() -> None:
    """Transactions and REST ids: each batch is one whole picture that names what it is about."""
    books = Finished(item(n, NOW) for n in range(25))
    async with client(books, page_size=10) as rest:
        by_transactions = [
            each async for each in ask_by_transactions(rest, map(str, range(20, 30)))
        ]
        by_rest_ids = [each async for each in ask_by_rest_ids(rest, ["3", "none", "4"])]

    (found,) = by_transactions
    assert isinstance(found, Picture)
    assert found.ids == set(map(str, range(20, 30)))
    assert {session.transaction for session in found.items} == set(map(str, range(20, 25)))
    (found,) = by_rest_ids
    assert isinstance(found, Picture)
    assert {session.rest_id for session in found.items} == found.ids == {"3", "4"}
