"""What a tap is on the wire (eMabler's RealTimeAuth), and how it is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
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

    STOP = "stop"
    KNOWN_TAG = "known_tag"
    UNKNOWN_CHARGER = "unknown_charger"
    UNKNOWN_TAG = "unknown_tag"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    GROUP_UNKNOWN = "group_unknown"
    GROUP_BLOCKED = "group_blocked"
    GROUP_EXPIRED = "group_expired"
    SITE_UNKNOWN = "site_unknown"
    OUT_OF_SCOPE = "out_of_scope"
    TAG_LIMIT = "tag_limit"
    GROUP_LIMIT = "group_limit"
    INVALID_TAP = "invalid_tap"
    STORE_UNAVAILABLE = "store_unavailable"
    BUDGET_USED_UP = "budget_used_up"
    UNEXPECTED = "unexpected"
    LAST_KNOWN_TAG = "last_known_tag"
    NOT_LAST_KNOWN = "not_last_known"


REASONS: Mapping[Cause, Reason] = {
    Cause.UNKNOWN_CHARGER: Reason.UNKNOWN_CHARGER_ID,
    Cause.UNKNOWN_TAG: Reason.UNKNOWN_RFID_TAG_ID,
    Cause.BLOCKED: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.EXPIRED: Reason.EXPIRED_RFID_TAG_ID,
    Cause.NOT_YET_VALID: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.GROUP_UNKNOWN: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.GROUP_BLOCKED: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.GROUP_EXPIRED: Reason.EXPIRED_RFID_TAG_ID,
    Cause.SITE_UNKNOWN: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.OUT_OF_SCOPE: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.TAG_LIMIT: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.GROUP_LIMIT: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.INVALID_TAP: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.STORE_UNAVAILABLE: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.BUDGET_USED_UP: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.UNEXPECTED: Reason.UNAUTHORIZED_RFID_TAG_ID,
    Cause.NOT_LAST_KNOWN: Reason.UNAUTHORIZED_RFID_TAG_ID,
}
"""`UNKNOWN_RFID_TAG_ID` is for tags that we do not know and for nothing else: after it, eMabler may
still ask an OCPI partner."""


class Source(StrEnum):
    """Where a decision comes from."""

    LIVE = "live"
    LAST_KNOWN = "last_known"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Tap:
    """A tag held to a charger."""

    charger: str
    tag: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether charging is allowed, and why. `allowed` None defers to eMabler's own fallback."""

    allowed: bool | None
    cause: Cause
    tag_kind: str | None = None
    source: Source = Source.LIVE

    @property
    def word(self) -> str:
        """`allowed`, `denied` or `deferred`."""
        return {True: "allowed", False: "denied", None: "deferred"}[self.allowed]

    @property
    def reason(self) -> Reason | None:
        """EMabler's reason; None where nothing is denied."""
        return REASONS[self.cause] if self.allowed is False else None


def tap_fields(body: bytes) -> dict[str, Any] | None:
    """The fields of a tap; None when the body is something else, such as a push event."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and not _TAP_FIELDS.isdisjoint(fields) else None


def read_tap(fields: Mapping[str, Any]) -> Tap | None:
    """A valid tap; None when a field is missing, blank, not text or too long."""
    charger, tag = fields.get("charger_id"), fields.get("rfid_tag_id")
    if not (_is_id(charger) and _is_id(tag)):
        return None
    return Tap(str(charger), str(tag))


def _is_id(value: object) -> bool:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_ID_CHARACTERS:
        return False
    # Half of a surrogate pair is no text: no table and no answer could hold it.
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def told_charger(fields: Mapping[str, Any]) -> str:
    """The charger that a tap names, also an invalid one; empty where it names none."""
    charger = fields.get("charger_id")
    return charger if isinstance(charger, str) and _is_id(charger) else ""


def answer_body(decision: Decision) -> bytes:
    """The JSON that eMabler expects: `charging_allowed`, and `reason` where it is not."""
    fields: dict[str, Any] = {"charging_allowed": decision.allowed is True}
    if decision.tag_kind is not None:
        fields["rfid_tag_type"] = decision.tag_kind
    if decision.reason is not None:
        fields["reason"] = str(decision.reason)
    return json.dumps(fields).encode()
