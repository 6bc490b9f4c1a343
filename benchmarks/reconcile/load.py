"""The books of the benchmark: an even day of finished sessions, as many as are asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

BEGINS = datetime(2026, 9, 1, tzinfo=UTC)
SECONDS_BETWEEN = 4
"""21,600 sessions a day: 50,000 chargers at a quiet time, or 7,000 busy ones."""

_CHARGERS, _TAGS = 5_000, 20_000


def until(count: int) -> datetime:
    """After the end of the last of so many sessions."""
    return BEGINS + timedelta(seconds=SECONDS_BETWEEN * (count + 1))


def write_books(path: Path, count: int) -> None:
    """Write the simulator's books with so many finished sessions, prices included."""
    path.write_text(json.dumps({"sessions": [_session(number) for number in range(count)]}))


def _session(number: int) -> dict[str, object]:
    end = BEGINS + timedelta(seconds=SECONDS_BETWEEN * number, microseconds=number * 7 % 1_000_000)
    start = end - timedelta(minutes=20 + number % 240)
    energy = 1_000 + number * 37 % 60_000
    return {
        "id": 1_000_000 + number,
        "chargerId": f"CH-{number % _CHARGERS:05}",
        "socketId": 1 + number % 2,
        "timestampStart": start.isoformat(),
        "timestampEnd": end.isoformat(),
        "evseTransactionId": str(500_000 + number),
        "authorizedTagId": f"04{number * 7919 % _TAGS:012X}",
        "fullConsumptionWh": energy,
        "chargerName": f"Charger {number % _CHARGERS}",
        "socketName": "Left",
        "authorizedUserId": number % _TAGS,
        "siteId": number % 500,
        "siteName": f"Site {number % 500}",
        "unitPowerCost": 0.42,
        "vatPercent": 25.5,
        "tariffId": "T-1",
        "tariffVersion": 3,
        "energyPriceInclVat": round(energy * 0.00042, 2),
        "energyPriceExclVat": round(energy * 0.00042 / 1.255, 2),
        "totalCostInclVat": round(energy * 0.00042, 2),
        "totalCostExclVat": round(energy * 0.00042 / 1.255, 2),
        "sanityFlags": [],
    }
