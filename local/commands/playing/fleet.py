"""A fleet over a running stack: ordered from eMabler's server, watched, and asked for its truth."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import msgspec

from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.sender import WEBHOOK
from local.emabler.fleet.booking import push_configuration
from local.emabler.fleet.command_line import begin_of
from local.emabler.fleet.expected import Expected
from local.emabler.fleet.network import Standing, Tag
from local.emabler.fleet.order import Customer, Order, Transport
from local.errors import LocalError
from local.stack import EVERYDAY, LocalAzure, Part

_BETWEEN_SECONDS: Final = 0.25
_A_MONTH: Final = timedelta(days=30)
NO_TIMER: Final = dict.fromkeys(("RECONCILE_SCHEDULE", "RETENTION_SCHEDULE"), "0 0 0 1 1 *")
"""For a stack on which a day is played in seconds, and reconciled at its end: a timer that goes by
the clock on the wall could prove hours of it before eMabler lists what ended in them."""


class Progress(msgspec.Struct, frozen=True):
    """How far a fleet has come, as `GET /_fleet` tells it."""

    stage: str
    error: str
    begins: datetime
    ends: datetime | None
    at: datetime
    messages: int
    begun: int
    ended: int
    asked: int
    denied: int


async def configure_push(azure: LocalAzure) -> None:
    """Give eMabler a push configuration where it has none, so that the doctor finds one.

    A sender of one's own pushes as it likes; the small eMabler pushes for a fleet alone.
    """
    shelf = f"{azure.emabler.books_url}/push_configurations"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        if not (await client.get(shelf)).json():
            made = msgspec.json.encode([push_configuration("AzureServiceBus")])
            (await client.put(shelf, content=made)).raise_for_status()


class FleetOnStack:
    """The fleet of a stack's eMabler; its customer is the stack's app."""

    def __init__(self, azure: LocalAzure) -> None:
        self._azure = azure

    async def prepare(
        self,
        *,
        seed: int,
        chargers: int,
        faults: str,
        days: int | None = 1,
        speed: float | None = 1.0,
        transport: Transport = Transport.SERVICE_BUS,
        meter_minutes: int = 5,
    ) -> list[Tag]:
        """Order a fleet; give the tags that its customer is asked about.

        Raises:
            LocalError: `usage_wrong`, the order cannot be carried out.
        """
        order = Order(
            seed=seed,
            chargers=chargers,
            begins=begin_of(days, speed, datetime.now(UTC)),
            days=days,
            meter_minutes=meter_minutes,
            speed=speed,
            faults=faults,
            customer=customer_of(self._azure, transport),
        )
        answer = await self._ask("PUT", "", msgspec.json.encode(order))
        return msgspec.convert(answer.json()["tags"], list[Tag])

    async def begin(self) -> None:
        """Let it play."""
        await self._ask("POST", "/begin")

    async def progress(self) -> AsyncIterator[Progress]:
        """Tell how far it has come, some times a second, until it is over.

        Raises:
            LocalError: `command_failed`, it stopped playing.
        """
        while True:
            answer = await self._ask("GET", "")
            now = msgspec.json.decode(answer.content, type=Progress)
            yield now
            if now.stage == "over":
                return
            if now.stage not in {"prepared", "playing", "calm"}:
                raise LocalError(
                    "command_failed",
                    f"the fleet is {now.stage}: {now.error or 'nobody said why'}",
                    f"read eMabler's log in {self._azure.logs}",
                )
            await asyncio.sleep(_BETWEEN_SECONDS)

    async def expected(self) -> Expected:
        """Give what a right store holds of what was told."""
        return msgspec.json.decode((await self._ask("GET", "/expected")).content, type=Expected)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.request(
                method, f"{self._azure.emabler.fleet_url}{path}", content=body
            )
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise LocalError(
                "usage_wrong", answer.json()["detail"], "see `python -m local.emabler --help`"
            )
        return answer.raise_for_status()


def customer_of(azure: LocalAzure, transport: Transport) -> Customer:
    """A stack's app as eMabler is configured to meet it."""
    settings = azure.settings
    return Customer(
        webhook=f"{azure.host.url}{WEBHOOK}",
        authorization=settings["WEBHOOK_AUTHORIZATION"],
        transport=transport,
        service_bus=settings["ServiceBusConnection"],
        queue=settings["PUSH_QUEUE_NAME"],
        brokers=settings.get("KAFKA_BROKER_LIST", ""),
        topic=settings.get("KAFKA_TOPIC", ""),
        kafka_user=settings.get("KAFKA_USERNAME", ""),
        kafka_password=settings.get("KAFKA_PASSWORD", ""),
    )


def parts_for(transport: Transport) -> tuple[Part, ...]:
    """The parts of a stack whose fleet pushes this way."""
    return (*EVERYDAY, Part.KAFKA) if transport is Transport.KAFKA else EVERYDAY


def write_fleet_tags(path: Path, tags: list[Tag], now: datetime) -> Path:
    """Write the operator's list for `manage.py tags import`; unknown tags are not in it."""
    until, after = _text(now - _A_MONTH), _text(now + _A_MONTH)
    return write_tags(
        path,
        [
            CsvTag(
                tag.id,
                blocked="yes" if tag.standing is Standing.BLOCKED else "",
                valid_from=after if tag.standing is Standing.NOT_YET_VALID else "",
                valid_until=until if tag.standing is Standing.EXPIRED else "",
                type="TAG",
            )
            for tag in tags
            if tag.standing is not Standing.UNKNOWN
        ],
    )


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
