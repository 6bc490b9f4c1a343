"""A fleet on the command line of the small eMabler."""

import argparse
import os
from datetime import UTC, datetime, timedelta
from typing import Final

from local.emabler.fleet.faults import describe
from local.emabler.fleet.network import MOST_CHARGERS, Generation
from local.emabler.fleet.order import Customer, Fallback, Order, Transport
from local.emabler.fleet.visits import DAY

_HEAD_START: Final = timedelta(hours=3)
_AUTHORIZATION: Final = "LOCAL_EMABLER_AUTHORIZATION"
_SERVICE_BUS: Final = "LOCAL_EMABLER_SERVICE_BUS"
_KAFKA: Final = "LOCAL_EMABLER_KAFKA_PASSWORD"


def add_fleet_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a fleet to a parser whose help keeps its lines."""
    group = parser.add_argument_group(
        "a fleet",
        f"Secrets come from the environment: {_AUTHORIZATION} (the webhook's value), "
        f"{_SERVICE_BUS} (a connection string), {_KAFKA}.\n{describe()}",
    )
    group.add_argument("--fleet", type=int, metavar="N", help="play a fleet of N chargers")
    group.add_argument("--seed", type=int, default=1, help="another seed is another fleet")
    group.add_argument(
        "--days", type=int, help="play the last so many days; without it, live on from now"
    )
    group.add_argument(
        "--speed", type=speed, default=1.0, help="so many times faster, or max; needs --days"
    )
    group.add_argument("--faults", default="off", help="what goes wrong; see above")
    group.add_argument("--push", type=Transport, choices=Transport, default="service-bus")
    group.add_argument("--generation", type=Generation, choices=Generation, help="mixed by default")
    group.add_argument("--meter-minutes", type=int, default=5, help="between two meter values")
    group.add_argument("--webhook", default="", metavar="URL", help="takes taps, or all")
    group.add_argument("--queue", default="push-events", help="the queue of the events")
    group.add_argument("--brokers", default="", metavar="HOST:PORT,…", help="Kafka's")
    group.add_argument("--topic", default="emabler-push-events", help="the topic of the events")
    group.add_argument("--kafka-user", default="", help="for SASL with PLAIN, over plain text")
    group.add_argument("--tap-seconds", type=float, default=5.0, help="the time-out of a tap")
    group.add_argument("--fallback", type=Fallback, choices=Fallback, default="deny")


def chargers(text: str) -> int:
    """Read how many chargers a fleet has, so that a wrong number is told before anything starts.

    Raises:
        ArgumentTypeError: it is no number of chargers.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MOST_CHARGERS:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no number of chargers from 1 to {MOST_CHARGERS}"
        )
    return number


def speed(text: str) -> float | None:
    """Read a speed: a number above 0, or `max`.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if text == "max":
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number above 0 nor max")
    return number


def transport(text: str) -> Transport:
    """Read by what eMabler pushes.

    Raises:
        ArgumentTypeError: it is none of the ways.
    """
    try:
        return Transport(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(Transport)}") from None


def begin_of(days: int | None, pace: float | None, now: datetime) -> datetime:
    """When a play that starts now begins, for its end to be the very now of that moment.

    One that lives on begins some hours ago, so that it is awake when it is looked at. In whole
    seconds: then a seed's day is the same whenever it is played, but for the date.
    """
    now = now.replace(microsecond=0)
    if days is None:
        return now - _HEAD_START
    lasts = timedelta(seconds=0 if pace is None else days * DAY // timedelta(seconds=1) // pace)
    return now + lasts - days * DAY


def order_from(arguments: argparse.Namespace) -> Order:
    """Make the order that the options ask for."""
    return Order(
        seed=arguments.seed,
        chargers=arguments.fleet,
        begins=begin_of(arguments.days, arguments.speed, datetime.now(UTC)),
        days=arguments.days,
        meter_minutes=arguments.meter_minutes,
        generation=arguments.generation,
        speed=arguments.speed,
        faults=arguments.faults,
        customer=Customer(
            webhook=arguments.webhook,
            authorization=os.environ.get(_AUTHORIZATION, ""),
            transport=arguments.push,
            service_bus=os.environ.get(_SERVICE_BUS, ""),
            queue=arguments.queue,
            brokers=arguments.brokers,
            topic=arguments.topic,
            kafka_user=arguments.kafka_user,
            kafka_password=os.environ.get(_KAFKA, ""),
            tap_seconds=arguments.tap_seconds,
            fallback=arguments.fallback,
        ),
    )
