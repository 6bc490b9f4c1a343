"""Opens consumers for Kafka triggers, with aiokafka in the place of the extension's librdkafka."""

import logging
import ssl
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from local.functions_host.functions import KafkaTrigger
from local.functions_host.host_json import KafkaOptions

# The host says what happens to a connection in its own words, once.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())
logging.getLogger("aiokafka").propagate = False

_PROTOCOLS = {
    "notset": "PLAINTEXT",
    "plaintext": "PLAINTEXT",
    "ssl": "SSL",
    "saslplaintext": "SASL_PLAINTEXT",
    "saslssl": "SASL_SSL",
}
_MECHANISMS = {
    "notset": "PLAIN",
    "plain": "PLAIN",
    "scramsha256": "SCRAM-SHA-256",
    "scramsha512": "SCRAM-SHA-512",
}
_BEATS_A_SESSION = 3


def open_consumer(trigger: KafkaTrigger, options: KafkaOptions) -> AIOKafkaConsumer:
    """A member of the trigger's group that commits what it is told to; it is not started."""
    session = round(options.session_timeout * 1000)
    return AIOKafkaConsumer(
        trigger.topic,
        bootstrap_servers=trigger.brokers.split(","),
        group_id=trigger.group,
        enable_auto_commit=False,
        auto_offset_reset="latest" if options.from_latest else "earliest",
        session_timeout_ms=session,
        heartbeat_interval_ms=session // _BEATS_A_SESSION,
        max_poll_interval_ms=round(options.max_poll_interval * 1000),
        **_security(trigger),
    )


def what_to_do(error: Exception, trigger: KafkaTrigger) -> str:
    """One sentence for people on brokers that are away or refuse; no setting's value."""
    match error:
        case UnsupportedSaslMechanismError():
            return f"the brokers do not know the authentication mode {trigger.mode}."
        case TopicAuthorizationFailedError() | GroupAuthorizationFailedError():
            return "the user may not read the topic, or not in this group. Allow it in Kafka."
        case KafkaConnectionError() | KafkaTimeoutError():
            # aiokafka does not say which: it tries one broker after the other.
            sasl = trigger.protocol.startswith("sasl")
            refused = ", or refuse the user name or the password" if sasl else ""
            return (
                f"its brokers ({trigger.brokers_as_written}) cannot be reached{refused}. Start"
                " them, or correct the settings."
            )
    return f"receiving failed with {type(error).__name__}."


def _security(trigger: KafkaTrigger) -> dict[str, Any]:
    protocol = _PROTOCOLS[trigger.protocol]
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context()
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = _MECHANISMS[trigger.mode]
        options["sasl_plain_username"] = trigger.username
        options["sasl_plain_password"] = trigger.password
    return options
