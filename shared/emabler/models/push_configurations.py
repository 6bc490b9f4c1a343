"""Push configurations as REST lists them: little of them is documented, so all of it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from shared.emabler.models.reading import Drift, Fields, Item


@dataclass(frozen=True, slots=True)
class PushConfiguration:
    """One configuration of the Push API."""

    id: str
    item: Item


@dataclass(frozen=True, slots=True)
class PushEndpoint:
    """Where a configuration sends to; the texts of `kind` are not documented."""

    id: str | None
    kind: str | None
    item: Item


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A type of message that a configuration sends; the texts of `kind` are not documented."""

    kind: str | None
    item: Item


def read_push_configuration(item: Item, drift: Drift | None = None) -> PushConfiguration | None:
    """Read one configuration; None when it has no id, so that its endpoints cannot be asked for."""
    fields = Fields("push_configuration", item, drift)
    number = fields.text("id")
    if number is None:
        fields.need("id")
        return None
    return PushConfiguration(number, item)


def read_push_endpoint(item: Item, drift: Drift | None = None) -> PushEndpoint:
    """Read one endpoint of a configuration."""
    fields = Fields("push_endpoint", item, drift)
    return PushEndpoint(fields.text("id"), fields.text("endpointType"), item)


def read_push_message(item: Item, drift: Drift | None = None) -> PushMessage:
    """Read one type of message of a configuration."""
    return PushMessage(Fields("push_message", item, drift).text("messageType"), item)
