"""What is sent: a charger, a tag and messages that nobody can take for a customer's. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.instants import day_of

ENERGY_WH = 1000
TRANSACTION = "1"
_MARK = re.compile(r"\d{8}T\d{6}-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Marked:
    """One run's charger, tag and messages: all of them follow from its mark."""

    mark: str
    at: datetime

    @property
    def charger(self) -> str:
        """The charger's id."""
        return f"smoke-{self.mark}"

    @property
    def tag(self) -> str:
        """The tag's id."""
        return f"SMOKE{hashlib.sha256(self.mark.encode()).hexdigest()[:10].upper()}"

    @property
    def days(self) -> list[str]:
        """The days under which its rows can lie, as `yyyymmdd`."""
        times = (self._start, self._end, self.at, self.at + timedelta(hours=1))
        return sorted({day_of(each) for each in times})

    @property
    def _start(self) -> datetime:
        return self.at - timedelta(minutes=10)

    @property
    def _end(self) -> datetime:
        return self.at - timedelta(minutes=5)

    def session(self) -> list[bytes]:
        """The start and the end of a session of a kilowatt-hour, as eMabler's Push API tells it."""
        common = {
            "transactionId": TRANSACTION,
            "authorizedIdTag": self.tag,
        }
        start = {
            "deviceTimeStamp": _text(self._start),
            "action": "transaction_start",
            "meterRead": 0,
        }
        full = {
            "deviceTimeStampStart": _text(self._start),
            "deviceTimeStampEnd": _text(self._end),
            "meterReadStart": 0,
            "meterReadEnd": ENERGY_WH,
            "consumptionWh": ENERGY_WH,
            "action": "transaction_stop",
        }
        return [self._message(common | start), self._message(common | full)]

    def state(self) -> bytes:
        """A state of the charger."""
        return self._message(
            {
                "deviceTimeStamp": _text(self._end),
                "status": "Available",
                "errorCode": "NoError",
                "message": "",
            }
        )

    def tap(self) -> bytes:
        """A tap of the tag at the charger."""
        return json.dumps({"charger_id": self.charger, "rfid_tag_id": self.tag}).encode()

    def _message(self, fields: dict[str, Any]) -> bytes:
        own = {
            "chargerId": self.charger,
            "socketId": 1,
            "siteId": "0",
            "externalSiteId": "",
            "receivedTimestamp": _text(self.at),
        }
        return json.dumps(own | fields).encode()


def new_mark(now: datetime, chance: str) -> str:
    """A mark of this second; `chance` is four hexadecimal digits that tell two of them apart."""
    return f"{now:%Y%m%dT%H%M%S}-{chance}"


def marked(mark: str) -> Marked:
    """The run that a mark names.

    Raises:
        ValueError: It is no mark.
    """
    if not _MARK.fullmatch(mark):
        message = f"{mark!r} is no mark. Example: 20261126T140500-1a2b"
        raise ValueError(message)
    at = datetime.strptime(mark.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return Marked(mark, at)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.0000000Z"
