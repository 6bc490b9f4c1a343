"""What the books hold: finished and ongoing sessions, chargers, tags, push configurations.

Field names and types are those of the OpenAPI description "Entity Management API" 2.0.1. Times
are kept as the text that was given (up to seven fractional digits, any offset): eMabler sends
them so, and a reader must cope. Energy is in Wh where the name says Wh, else kWh.
"""

from datetime import UTC, datetime

import msgspec

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def instant(text: str) -> datetime:
    """Read an ISO 8601 time as UTC; without an offset it is UTC. The seventh digit is dropped.

    The years 1 and 9999 have hours that exist with an offset only: they are the nearest instant.

    Raises:
        ValueError: the text is no time.
    """
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return EARLIEST if moment.year == 1 else LATEST


TIME_FIELDS = frozenset(
    {
        "timestamp_start",
        "timestamp_end",
        "operation_timestamp",
        "start_time",
        "created_at",
        "updated_at",
        "last_seen",
        "last_updated",
    }
)


class Record(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A record of the books. Unknown fields are refused, so that a typing error shows."""


class FinishedSession(Record):
    """An item of `POST /v2/transactions`: one finished charging session.

    `id` is eMabler's own number; `evse_transaction_id` is the charger's transaction id.
    """

    id: int
    charger_id: str
    socket_id: int
    timestamp_start: str
    timestamp_end: str
    evse_transaction_id: str
    authorized_tag_id: str = ""
    full_consumption_wh: int = 0
    full_consumption_k_wh: float | None = None
    transaction_length_minutes: float | None = None
    charger_name: str = ""
    socket_name: str = ""
    authorized_user_id: int = 0
    user_name: str = ""
    site_id: int = 0
    site_name: str = ""
    driver_site_id: int | None = None
    driver_site_name: str = ""
    unit_power_cost: float | None = None
    currency: str = "EUR"
    vat_percent: float | None = None
    tariff_id: str = ""
    tariff_version: int | None = None
    energy_price_incl_vat: float | None = None
    energy_price_excl_vat: float | None = None
    charging_time_price_incl_vat: float | None = None
    charging_time_price_excl_vat: float | None = None
    parking_time_price_incl_vat: float | None = None
    parking_time_price_excl_vat: float | None = None
    flat_fee_incl_vat: float | None = None
    flat_fee_excl_vat: float | None = None
    total_margin_amount: float | None = None
    reduction_amount: float | None = None
    total_cost_incl_vat: float | None = None
    total_cost_excl_vat: float | None = None
    total_vat_amount: float | None = None
    operation_timestamp: str | None = None
    origin: str = "OCPP"
    sanity_flags: list[str] = []
    vehicle_id: str = ""

    def __post_init__(self) -> None:
        """Derive what follows from the rest; refuse times that are none."""
        start, end = instant(self.timestamp_start), instant(self.timestamp_end)
        if self.full_consumption_k_wh is None:
            self.full_consumption_k_wh = self.full_consumption_wh / 1000
        if self.transaction_length_minutes is None:
            self.transaction_length_minutes = (end - start).total_seconds() / 60


class OngoingSession(Record):
    """An item of `GET /v2/ongoing-transactions`. Its `transaction_id` is text.

    The external ids are filters only: the documented item does not carry them.
    """

    charger_id: str
    socket_id: int
    transaction_id: str
    start_time: str
    start_meter_wh: int = 0
    authorized_id_tag: str = ""
    charger_name: str = ""
    socket_name: str = ""
    authorized_user_id: int | None = None
    site_id: int | None = None
    site_name: str = ""
    created_at: str = ""
    updated_at: str = ""
    external_driver_id: str = ""
    external_user_id: str = ""

    def __post_init__(self) -> None:
        """Take the start for the times of the record itself; refuse a time that is none."""
        instant(self.start_time)
        self.created_at = self.created_at or self.start_time
        self.updated_at = self.updated_at or self.created_at


class Socket(Record):
    """One socket of a charger as `GET /v2/chargers` shows it."""

    id: int
    name: str = ""
    status: str = "Available"
    last_updated: str | None = None


class Charger(Record):
    """An item of `GET /v2/chargers`. `last_seen` can be `0001-01-01T00:00:00Z`: never."""

    id: int
    charger_id: str
    name: str = ""
    state: str = "Online"
    site_id: int = 0
    site_name: str = ""
    model: str = ""
    manufacturer: str = ""
    firmware: str = ""
    serial: str = ""
    last_seen: str | None = None
    active_connection: bool | None = None
    push_integration_enabled: bool | None = None
    sockets: list[Socket] = []


class Tag(Record):
    """An item of `GET /v2/tags`."""

    id: int
    id_tag: str
    expiring_date: str = "2099-12-31T00:00:00Z"
    start_date: str | None = None
    last_updated: str | None = None
    token_name: str = ""
    invoicable: bool | None = None
    driver_id: int = 0
    driver_external_id: str = ""


class PushEndpoint(Record):
    """Where a push configuration sends to. The words of `endpoint_type` are not documented."""

    id: int
    endpoint_type: str
    name: str = ""
    enabled: bool = True


class PushMessage(Record):
    """A message type at an endpoint. The words of `message_type` are not documented."""

    id: int
    endpoint_id: int
    message_type: str
    enabled: bool = True


class PushConfiguration(Record):
    """An item of `GET /v2/push-integrations/configurations` [its fields are our reading].

    Its endpoints and messages are lists of their own on the wire, not fields of the item.
    """

    id: int
    name: str = ""
    enabled: bool = True
    endpoints: list[PushEndpoint] = []
    messages: list[PushMessage] = []
