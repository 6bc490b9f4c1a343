"""Push messages for proofs: as many as are wanted, each one telling itself from all others."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

type Name = tuple[str, str, datetime]
"""What tells an event from another here: type, charger and instant."""


def states(prefix: str, count: int, *, chargers: int = 8) -> list[bytes]:
    """Make current ChargerState messages, a second apart each on its charger."""
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    return [
        json.dumps(
            {
                "chargerId": f"{prefix}-{number % chargers:02}",
                "socketId": 1,
                "receivedTimestamp": _text(first + timedelta(seconds=number, milliseconds=250)),
                "siteId": "1",
                "externalSiteId": "",
                "deviceTimeStamp": _text(first + timedelta(seconds=number)),
                "status": ("Available", "Preparing", "Charging", "Finishing")[number % 4],
                "errorCode": "NoError",
                "message": "",
            }
        ).encode()
        for number in range(count)
    ]


def sessions(prefix: str, count: int, *, chargers: int = 8) -> list[bytes]:
    """Make a start and a full message for each of `count` sessions of a kilowatt-hour."""
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=8)
    bodies = []
    for number in range(count):
        start = first + timedelta(seconds=10 * number)
        end = start + timedelta(minutes=30)
        common = {
            "chargerId": f"{prefix}-{number % chargers:02}",
            "socketId": 1,
            "siteId": "1",
            "externalSiteId": "",
            "transactionId": str(900_000 + number),
            "authorizedIdTag": f"04{number:010X}80",
        }
        told = {
            "receivedTimestamp": _text(start + timedelta(seconds=1)),
            "deviceTimeStamp": _text(start),
            "action": "transaction_start",
            "meterRead": 1000 * number,
        }
        full = {
            "receivedTimestamp": _text(end + timedelta(seconds=1)),
            "deviceTimeStampStart": _text(start),
            "deviceTimeStampEnd": _text(end),
            "meterReadStart": 1000 * number,
            "meterReadEnd": 1000 * number + 1000,
            "consumptionWh": 1000,
            "action": "transaction_stop",
        }
        bodies += [json.dumps(common | told).encode(), json.dumps(common | full).encode()]
    return bodies


def start(charger: str, tag: str, transaction: str) -> bytes:
    """Make the start of a session, a quarter of an hour ago, that has not ended."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=15)
    return json.dumps(
        {
            "chargerId": charger,
            "socketId": 1,
            "siteId": "1",
            "externalSiteId": "",
            "transactionId": transaction,
            "authorizedIdTag": tag,
            "receivedTimestamp": _text(began + timedelta(seconds=1)),
            "deviceTimeStamp": _text(began),
            "action": "transaction_start",
            "meterRead": 1000,
        }
    ).encode()


def name_of(body: bytes) -> Name:
    """Name the event of a message that this module made."""
    fields = json.loads(body)
    if "consumptionWh" in fields:
        kind, instant = "FullChargingTransaction", fields["deviceTimeStampEnd"]
    else:
        kind = "ChargingTransaction" if "action" in fields else "ChargerState"
        instant = fields["deviceTimeStamp"]
    return kind, fields["chargerId"], datetime.fromisoformat(instant)


def tally(bodies: Iterable[bytes], rows: Sequence[dict[str, Any]]) -> tuple[int, int, int]:
    """Compare messages with the journal's rows: how many are missing, doubled, and unasked for."""
    wanted = {name_of(body) for body in bodies}
    found = Counter(
        (row["type"], row["charger"], datetime.fromisoformat(row["instant"])) for row in rows
    )
    missing = sum(name not in found for name in wanted)
    doubled = sum(times - 1 for times in found.values())
    return missing, doubled, sum(name not in wanted for name in found)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
