"""The load: the events of the ingestion benchmark, in each generation of the Push API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from benchmarks.ingest import load

type Fields = dict[str, Any]

_AN_OFFSET = timezone(timedelta(hours=2))


def current(batches: int) -> list[bytes]:
    """Batches of 100 events in the current generation, without blanks, as .NET writes JSON."""
    return [_written(event) for event in _events(batches)]


def older(batches: int) -> list[bytes]:
    """The same events in the two older generations, in turn."""
    generations: tuple[Callable[[Fields], Fields], ...] = (_as_of_april_2025, _as_of_2022)
    return [
        _written(generations[number % 2](event)) for number, event in enumerate(_events(batches))
    ]


def _events(batches: int) -> list[Fields]:
    return [json.loads(body) for batch in load.batches(batches) for body in batch]


def _written(event: Fields) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _as_of_april_2025(event: Fields) -> Fields:
    """Other names for the times; a start has its id as text, a full message as both."""
    full = "consumptionWh" in event
    old = _without(event, "siteId", "receivedTimestamp")
    old["eventReceivedTimestamp" if full else "timeStamp"] = event["receivedTimestamp"]
    if full:
        old["transactionId"] = int(event["transactionId"])
        old["evseTransactionId"] = event["transactionId"]
    elif "action" in event:
        old["evseTransactionId"] = old.pop("transactionId")
    return old


def _as_of_2022(event: Fields) -> Fields:
    """Ids are numbers; one time for each event, with an offset where a session starts or ends."""
    if "measurements" in event:
        # The documentation of 2022 has no meter values.
        return _as_of_april_2025(event)
    old = _without(event, "siteId", "receivedTimestamp")
    if "transactionId" in old:
        old["transactionId"] = int(old["transactionId"])
    if "consumptionWh" in old:
        del old["action"]
        for name in ("Start", "End"):
            instant = datetime.fromisoformat(old.pop(f"deviceTimeStamp{name}"))
            old[f"timeStamp{name}"] = instant.astimezone(_AN_OFFSET).isoformat()
    else:
        old["timeStamp"] = old.pop("deviceTimeStamp")
    if "errorCode" in old:
        old["errorCode"] = "No Error"
    return old


def _without(event: Fields, *names: str) -> Fields:
    return {name: value for name, value in event.items() if name not in names}
