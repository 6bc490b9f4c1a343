"""Two messages that say the same have one digest; two that do not, do not."""

from __future__ import annotations

from typing import Any

import pytest

from shared.push.decode import decode
from shared.push.digest import digest_of
from tests import payloads
from tests.payloads import ABSENT


def digest(body: bytes) -> str:
    return digest_of(decode(body))


NO_SITE: dict[str, Any] = {"siteId": ABSENT, "externalSiteId": ABSENT}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (payloads.state_v2(**NO_SITE), payloads.state_v2_2025()),
        (
            payloads.boot_v2(**NO_SITE, receivedTimestamp="2026-11-02T09:11:03.23181Z"),
            payloads.boot_v1(),
        ),
        (payloads.start_v2(**NO_SITE), payloads.start_v2_2025()),
        (payloads.full_v2(**NO_SITE), payloads.full_v2_2025()),
        (payloads.full_v2(**NO_SITE), payloads.full_v1()),
        (payloads.state_v2_2025(), payloads.state_v1()),
    ],
    ids=["state", "boot", "start", "full 2025", "full v1", "state v1"],
)
def test_the_generations_of_one_event_have_one_digest(one: bytes, other: bytes) -> None:
    """An event is itself in whatever generation it was written."""
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    "same",
    [
        {"receivedTimestamp": "2026-11-02T23:00:00Z"},
        {"newField": 7},
        {"errorCode": "No Error"},
        {"status": "available"},
        {"socketId": "1"},
        {"deviceTimeStamp": "2026-11-02T10:11:03.6809059+01:00"},
        {"siteId": 77},
    ],
)
def test_what_does_not_count_changes_no_digest(same: dict[str, Any]) -> None:
    """Reception, unknown fields, spelling of statuses, numbers and offsets are no content."""
    assert digest(payloads.state_v2(**same)) == digest(payloads.state_v2())


@pytest.mark.parametrize(
    "other",
    [
        {"chargerId": "ch-0042"},
        {"socketId": 2},
        {"deviceTimeStamp": "2026-11-02T09:11:03.680906Z"},
        {"status": "Charging"},
        {"errorCode": "GroundFailure"},
        {"errorCode": None},
        {"message": "all is wel1"},
        {"siteId": "78"},
        {"externalSiteId": ABSENT},
    ],
)
def test_what_counts_changes_the_digest(other: dict[str, Any]) -> None:
    """Each known field is content; so is its absence."""
    assert digest(payloads.state_v2(**other)) != digest(payloads.state_v2())


@pytest.mark.parametrize(
    "other",
    [
        {"transactionId": "1"},
        {"authorizedIdTag": "TAG124"},
        {"meterReadStart": 1001},
        {"meterReadEnd": 13301},
        {"consumptionWh": 12301},
        {"consumptionWh": ABSENT},
        {"deviceTimeStampStart": "2026-11-02T09:11:32.5Z"},
        {"deviceTimeStampEnd": "2026-11-02T10:41:43.7Z"},
        {"evseTransactionId": "1032427937"},
    ],
)
def test_each_field_of_a_full_message_counts(other: dict[str, Any]) -> None:
    """A stop that was sent again with other content is another event."""
    assert digest(payloads.full_v2(**other)) != digest(payloads.full_v2())


def test_tags_count_as_they_are_compared() -> None:
    """Case and separators of a tag are no content."""
    assert digest(payloads.full_v2(authorizedIdTag="tag-1:23")) == digest(payloads.full_v2())


def test_the_reception_counts_where_it_stands_in() -> None:
    """Without a device time the received time is the event's own, in the digest too."""
    one = payloads.state_v2(deviceTimeStamp=ABSENT)
    later = payloads.state_v2(
        deviceTimeStamp=ABSENT, receivedTimestamp="2026-11-02T09:11:04.7849436Z"
    )

    assert digest(one) != digest(later)


def test_a_start_and_a_stop_are_never_one() -> None:
    """Two messages that differ in their action only are two events."""
    assert digest(payloads.start_v1()) != digest(
        payloads.stop_v1(timeStamp="2026-11-02T09:11:32.399Z", meterRead=1000)
    )
