"""What a fleet is told to do: the plan, the pace, the faults, and where its customer is."""

from datetime import datetime
from enum import StrEnum

import msgspec

from local.emabler.fleet.day import Plan
from local.emabler.fleet.faults import Rates
from local.emabler.fleet.network import Generation
from local.errors import LocalError


class Transport(StrEnum):
    """How push messages go out. Taps are calls of the webhook in each case."""

    SERVICE_BUS = "service-bus"
    WEBHOOK = "webhook"
    KAFKA = "kafka"


class Fallback(StrEnum):
    """What eMabler decides when its customer does not answer a tap in time."""

    ALLOW = "allow"
    DENY = "deny"


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the customer is, and how eMabler is configured to call it.

    Attributes:
        webhook: the address that takes taps, and events where they go by webhook.
        authorization: the value of the Authorization header.
        service_bus: a connection string, where events go by Service Bus.
        queue: the queue of the events.
        brokers: host and port, parted by commas, where events go by Kafka.
        topic: the topic of the events.
        kafka_user: the name for the brokers, empty where they ask for none.
        kafka_password: the password.
        tap_seconds: the time-out of a tap.
        fallback: what is decided when it runs out or the answer is none.
    """

    webhook: str
    authorization: str = ""
    transport: Transport = Transport.SERVICE_BUS
    service_bus: str = ""
    queue: str = ""
    brokers: str = ""
    topic: str = ""
    kafka_user: str = ""
    kafka_password: str = ""
    tap_seconds: float = 5.0
    fallback: Fallback = Fallback.DENY


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as `PUT /_fleet` takes it.

    Attributes:
        begins: the instant at which the first day begins.
        days: None goes on for ever, at the speed of real time.
        speed: so many times faster than real time; None as fast as it goes.
        faults: see `local.emabler.fleet.faults`.
    """

    seed: int = 1
    chargers: int = 24
    begins: datetime
    days: int | None = 1
    meter_minutes: int = 5
    generation: Generation | None = None
    speed: float | None = 1.0
    faults: str = "default"
    customer: Customer

    @property
    def plan(self) -> Plan:
        """The plan to play.

        Raises:
            LocalError: `usage_wrong`, it cannot be played.
        """
        if self.begins.tzinfo is None:
            raise LocalError(
                "usage_wrong", "the beginning has no offset", "write it with Z or an offset"
            )
        if self.days is None and self.speed != 1:
            raise LocalError(
                "usage_wrong",
                "a fleet that goes on for ever cannot run ahead of the clock",
                "leave the speed at 1, or say how many days",
            )
        if self.speed is not None and self.speed <= 0:
            raise LocalError("usage_wrong", f"the speed is {self.speed:g}", "choose one above 0")
        return Plan(
            seed=self.seed,
            chargers=self.chargers,
            begins=self.begins,
            days=self.days,
            meter_minutes=self.meter_minutes,
            generation=self.generation,
        )

    @property
    def rates(self) -> Rates:
        """The rates of faults.

        Raises:
            LocalError: `usage_wrong`.
        """
        return Rates.read(self.faults)
