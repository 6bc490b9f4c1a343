"""The settings of push events by Kafka: none of them is set, or all that belong together are.

Their names are those of the properties of Azure Functions' Kafka trigger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.setting_values import key, one_of
from shared.settings_checked import Setting

KAFKA = "kafka"

_SWITCHES = (
    "KAFKA_BROKER_LIST",
    "KAFKA_TOPIC",
    "KAFKA_CONSUMER_GROUP",
    "KAFKA_USERNAME",
    "KAFKA_PASSWORD",
)


def is_wanted(values: Mapping[str, Any]) -> bool:
    """Whether any of what has no default is set: then Kafka is wanted, and the rest needed."""
    return any(values[name] for name in _SWITCHES)


def proves_itself(values: Mapping[str, Any]) -> bool:
    """Whether the brokers are to be given a user name and a password."""
    return is_wanted(values) and str(values["KAFKA_PROTOCOL"]).startswith("Sasl")


def _brokers(value: str) -> str:
    """Hosts with their ports, parted by commas.

    Raises:
        ValueError: It is no such list.
    """
    if not re.fullmatch(r"[\w.\-]+:\d{1,5}(?:,[\w.\-]+:\d{1,5})*", value):
        raise ValueError("is no list, parted by commas, of host:port")
    return value


def _name(value: str) -> str:
    """A name as Kafka takes one.

    Raises:
        ValueError: It is none.
    """
    # A per cent sign would be a reference to another setting.
    if not re.fullmatch(r"[\w.\-$]{1,249}", value):
        raise ValueError("is no name of letters, digits, dots, dashes and underscores")
    return value


KAFKA_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "KAFKA_BROKER_LIST",
        "The brokers that eMabler's push events are taken from, parted by commas. Without any of "
        "the Kafka settings that have no default there is no function `push_kafka`.",
        "broker-1.example:9093,broker-2.example:9093",
        _brokers,
        (KAFKA,),
        where=is_wanted,
    ),
    Setting(
        "KAFKA_TOPIC",
        "The topic of eMabler's push events.",
        "emabler-push-events",
        _name,
        (KAFKA,),
        where=is_wanted,
    ),
    Setting(
        "KAFKA_CONSUMER_GROUP",
        "The consumer group under which the offsets are kept: one of this app alone. Another name "
        "begins with the oldest message that Kafka still has.",
        "emabler-functions",
        _name,
        (KAFKA,),
        where=is_wanted,
    ),
    Setting(
        "KAFKA_PROTOCOL",
        "How the brokers are reached: `SaslSsl` or `Ssl`; `SaslPlaintext` or `Plaintext` where "
        "nobody else is on the network.",
        "SaslSsl",
        one_of("SaslSsl", "Ssl", "SaslPlaintext", "Plaintext"),
        (KAFKA,),
        default="SaslSsl",
    ),
    Setting(
        "KAFKA_AUTHENTICATION_MODE",
        "How the app proves itself where the protocol begins with Sasl: `Plain`, `ScramSha256` or "
        "`ScramSha512`.",
        "Plain",
        one_of("Plain", "ScramSha256", "ScramSha512"),
        (KAFKA,),
        default="Plain",
    ),
    Setting(
        "KAFKA_USERNAME",
        "The user name, where the protocol begins with Sasl.",
        "emabler-functions",
        key,
        (KAFKA,),
        where=proves_itself,
    ),
    Setting(
        "KAFKA_PASSWORD",
        "The password, where the protocol begins with Sasl.",
        "(the password)",
        key,
        (KAFKA,),
        where=proves_itself,
        secret=True,
    ),
)
