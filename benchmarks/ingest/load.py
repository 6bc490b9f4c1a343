"""The load: batches of 100 events from 200 chargers, and the rows that each batch leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row
from shared.storage.tables import ALL_TABLES

CHARGERS = 200
BATCH = 100
METER_VALUES, STATES, STARTS, STOPS = 70, 20, 5, 5
BUCKETS = 4
SAMPLES: tuple[dict[str, str], ...] = (
    {"value": "10.1", "typeOfMeasurement": "Current.Import", "phase": "L1", "unit": "A"},
    {"value": "236", "typeOfMeasurement": "Voltage", "phase": "L1-N", "unit": "V"},
)
TAG_HASH_KEY = "benchmark-tag-hash-key-of-40-characters."


def batches(count: int) -> list[list[bytes]]:
    """Batches of 70 meter values, 20 states, 5 starts and 5 stops, of the last hours.

    A stop ends a session that a batch before began; the first batches' stops end sessions whose
    start was never sent.
    """
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=count * BATCH)
    return [_batch(number, now + timedelta(seconds=number * BATCH)) for number in range(count)]


def _batch(number: int, now: datetime) -> list[bytes]:
    def charger(n: int) -> dict[str, Any]:
        return {
            "chargerId": f"CH-{(number * BATCH + n) % CHARGERS:04d}",
            "socketId": 1,
            "receivedTimestamp": _text(now + timedelta(seconds=n, milliseconds=350)),
            "siteId": "77",
        }

    def session(n: int) -> dict[str, Any]:
        return {"chargerId": f"CH-{n % CHARGERS:04d}", "transactionId": str(5_000_000 + n)}

    events: list[dict[str, Any]] = []
    for n in range(METER_VALUES):
        at = _text(now + timedelta(seconds=n))
        events.append(
            charger(n)
            | {
                "transactionId": str(4_000_000 + n),
                "measurements": [{"deviceTimeStamp": at} | sample for sample in SAMPLES],
            }
        )
    for n in range(METER_VALUES, METER_VALUES + STATES):
        at = _text(now + timedelta(seconds=n))
        events.append(
            charger(n)
            | {"deviceTimeStamp": at, "status": "Charging", "errorCode": "NoError", "message": ""}
        )
    for n in range(STARTS):
        tag = {"authorizedIdTag": f"TAG{(number * STARTS + n) % 500:05d}"}
        at = _text(now + timedelta(seconds=90 + n))
        begun = number * STARTS + n
        events.append(
            charger(begun)
            | session(begun)
            | tag
            | {"deviceTimeStamp": at, "action": "transaction_start", "meterRead": 1000}
        )
    for n in range(STOPS):
        ended = (number - 10) * STARTS + n
        tag = {"authorizedIdTag": f"TAG{ended % 500:05d}"}
        end = now + timedelta(seconds=95 + n)
        events.append(
            charger(ended)
            | session(ended)
            | tag
            | {
                "deviceTimeStampStart": _text(end - timedelta(seconds=10 * BATCH)),
                "deviceTimeStampEnd": _text(end),
                "meterReadStart": 1000,
                "meterReadEnd": 13300,
                "consumptionWh": 12300,
                "action": "transaction_stop",
            }
        )
    return [json.dumps(event).encode() for event in events]


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f") + "7Z"


async def rows_of(sent: list[list[bytes]]) -> list[list[bytes]]:
    """For each batch as many messages as it has events, holding the rows that it leaves.

    Found by ingesting into memory: what was inserted or changed by the batch.
    """
    tables = MemoryTables(*ALL_TABLES)
    sessions = SessionWriter(tables, buckets=BUCKETS, tag_hash_key=TAG_HASH_KEY.encode())
    ingestion = Ingestion(
        tables,
        MemoryBlobs(*ALL_CONTAINERS),
        buckets=BUCKETS,
        sessions=sessions,
        clock=lambda: datetime.now(UTC),
    )
    left: list[list[bytes]] = []
    before: dict[tuple[str, str, str], str | None] = {}
    for batch in sent:
        await ingestion.ingest([IncomingMessage(body=body) for body in batch])
        after = {(t, row.partition, row.key): row for t in ALL_TABLES for row in tables.rows(t)}
        changed = [(name[0], row) for name, row in after.items() if before.get(name) != row.etag]
        before = {name: row.etag for name, row in after.items()}
        left.append([_message(changed[n :: len(batch)]) for n in range(len(batch))])
    return left


def _message(rows: list[tuple[str, Row]]) -> bytes:
    return json.dumps([[table, dict(_entity(row))] for table, row in rows]).encode()


def _entity(row: Row) -> Iterator[tuple[str, Any]]:
    yield "PartitionKey", row.partition
    yield "RowKey", row.key
    yield from row.columns.items()
