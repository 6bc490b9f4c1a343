"""What a tap is on the wire (eMabler's RealTimeAuth), and how it is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.identifiers import MAX_ID_CHARACTERS

_TAP_FIELDS = frozenset(("charger_id", "rfid_tag_id"))


class Reason(StrEnum):
    """EMabler's four reasons for a denial."""

    UNKNOWN_CHARGER_ID = "UNKNOWN_CHARGER_ID"
    UNKNOWN_RFID_TAG_ID = "UNKNOWN_RFID_TAG_ID"
    EXPIRED_RFID_TAG_ID = "EXPIRED_RFID_TAG_ID"
    UNAUTHORIZED_RFID_TAG_ID = "UNAUTHORIZED_RFID_TAG_ID"


class Cause(StrEnum):
    """Why, finer than the reason on the wire: what the audit and the telemetry hold."""

    KNOWN_TAG = "known_tag"
    UNKNOWN_TAG = "unknown_tag"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    INVALID_TAP = "invalid_tap"
    STORE_UNAVAILABLE = "store_unavailable"


REASONS: dict[Cause, Reason] = {
    Cause.UNKNOWN_TAG: Reason.UNKNOWN_RFID_TAG_ID,
    Cause.BLOCKED: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.EXPIRED: Reason.EXPIRED_RFID_TAG_ID,
    Cause.NOT_YET_VALID: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.INVALID_TAP: Reason.UNAUTHORIZED_RFID_TAG_ID,
}
"""`UNKNOWN_RFID_TAG_ID` is for tags that we do not know and for nothing else: after it, eMabler may
still ask an OCPI partner."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A tag held to a charger."""

    charger: str
    tag: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether charging is allowed, and why."""

    allowed: bool
    cause: Cause
    tag_kind: str | None = None

    @property
    def reason(self) -> Reason | None:
        """EMabler's reason; None when allowed."""
        return None if self.allowed else REASONS[self.cause]


def tap_fields(body: bytes) -> dict[str, Any] | None:
    """The fields of a tap; None when the body is something else, such as a push event."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and not _TAP_FIELDS.isdisjoint(fields) else None


def read_tap(fields: dict[str, Any]) -> Tap | None:
    """A valid tap; None when a field is missing, blank, not text or too long."""
    charger, tag = fields.get("charger_id"), fields.get("rfid_tag_id")
    for value in (charger, tag):
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_ID_CHARACTERS:
            return None
    return Tap(str(charger), str(tag))


def answer_body(decision: Decision) -> bytes:
    """The JSON that eMabler expects: `charging_allowed`, and `reason` where it is not."""
    fields: dict[str, Any] = {"charging_allowed": decision.allowed}
    if decision.tag_kind is not None:
        fields["rfid_tag_type"] = decision.tag_kind
    if decision.reason is not None:
        fields["reason"] = str(decision.reason)
    return json.dumps(fields).encode()
