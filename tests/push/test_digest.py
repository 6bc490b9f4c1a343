"""Two messages that say the same have one digest; two that do not, do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.push.decode import decode
from shared.push.digest import digest_fields, digest_of
from shared.push.events import Sample
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


CONTENT = {
    payloads.boot_v2: (
        "receivedTimestamp siteId externalSiteId serialNumber chargerModel manufacturer "
        "firmwareVersion iccid imsi meterSerialNumber meterType"
    ),
    payloads.start_v2: (
        "chargerId socketId socketName siteId externalSiteId deviceTimeStamp transactionId "
        "authorizedIdTag meterRead"
    ),
    payloads.stop_v1: "chargerId socketId timeStamp transactionId authorizedIdTag meterRead",
    payloads.measurements: "chargerId socketId transactionId measurements",
}


@pytest.mark.parametrize(
    ("shape", "field"),
    [(shape, field) for shape, fields in CONTENT.items() for field in fields.split()],
)
def test_each_field_of_each_type_counts(shape: Callable[..., bytes], field: str) -> None:
    """Another value and none at all are other events."""
    value = {
        "socketId": 2,
        "meterRead": 7,
        "receivedTimestamp": "2026-11-02T09:11:04Z",
        "deviceTimeStamp": "2026-11-02T09:11:33Z",
        "timeStamp": "2026-11-02T09:11:33Z",
        "measurements": [],
    }.get(field, "7")
    values = [value] if field in {"chargerId", "socketId", "measurements"} else [value, None]

    digests = {digest(shape(**{field: each})) for each in values}
    assert len(digests | {digest(shape())}) == 1 + len(values)


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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (payloads.state_v2(), "b3a1a40a8298602658b3c8ee4a625be8"),
        (payloads.boot_v1(), "2d20fffc879062b50b0a628eccbba520"),
        (payloads.start_v2_2025(), "7d129e0904fc660312fad63f9d804f22"),
        (payloads.stop_v1(), "6eaf254fc7ea6165cc8a0bf9c517a73a"),
        (
            payloads.full_v2(consumptionWh="1e22", meterReadEnd=0.1),
            "b935cb2e7876b5d4773e2e49fb79e071",
        ),
        (payloads.measurements(), "f0ae8fd2f07f3d0aeee8e160c75962cb"),
        (
            payloads.state_v2(
                message="\u00e4\u20ac\U0001f697",
                deviceTimeStamp="2015-01-01T00:00:00Z",
                receivedTimestamp=ABSENT,
            ),
            "0c10291385f642a291f687607995538f",
        ),
        (
            payloads.measurements(
                measurements=[{"value": "n/a", "deviceTimeStamp": "0001-01-01T00:00:00Z"}]
            ),
            "994dc1c628d1616b249534bc7e9ed8ae",
        ),
    ],
)
def test_digests_never_change(body: bytes, expected: str) -> None:
    """What was stored by an earlier release, process or Python is recognised by this one.

    A change here makes every event that comes again a second one.
    """
    assert digest(body) == expected


def test_the_digest_is_that_of_the_documented_bytes() -> None:
    """Whoever knows MessagePack and BLAKE2b can find a digest without this program."""
    instant = datetime(2026, 11, 2, 9, 11, 32, 399_120, UTC)
    since_1970 = (399_120_000 << 34 | int(instant.timestamp())).to_bytes(8)
    array = b"\x96" + b"\xa1T" + b"\xa2\xc3\xa9" + b"\x05" + b"\xcb\x3f\xf8" + bytes(6)
    array += b"\xc0" + b"\xd7\xff" + since_1970

    expected = blake2b(array, digest_size=16).hexdigest()
    assert digest_fields(["T", "\u00e9", 5, 1.5, None, instant, None, None]) == expected


SAME: dict[str, Any] = {"phase": "L1", "unit": "V"}


@pytest.mark.parametrize(
    "others",
    [
        ({"value": "1"}, {"value": "1.5"}, {"value": "one"}, {"value": None}, {"value": "None"}),
        ({"phase": None}, {"phase": "L2"}, {"phase": "V", "unit": "L1"}),
        ({"deviceTimeStamp": "2026-11-02T09:50:27Z"}, {"deviceTimeStamp": None}),
        ({"typeOfMeasurement": "Voltage"}, {"typeOfMeasurement": "voltage"}, {}),
    ],
)
def test_each_field_of_a_sample_counts(others: tuple[dict[str, Any], ...]) -> None:
    """Time, type, phase, unit and value, present or absent, tell samples apart."""
    bodies = [payloads.measurements(measurements=[SAME | each]) for each in others]

    assert len({digest(body) for body in bodies}) == len(others)


def test_a_sample_is_in_one_message_or_in_two() -> None:
    """The number of samples counts, and which of them belong together."""
    volts, amperes = {"value": "236", "unit": "V"}, {"value": "236", "unit": "A"}
    lists = [[], [volts], [volts, volts], [volts, amperes], [{"value": "236"}, volts]]

    assert len({digest(payloads.measurements(measurements=each)) for each in lists}) == len(lists)


def test_where_no_transaction_is_meant_the_other_id_counts() -> None:
    """An id of 0 beside a real one is what the platform writes for none: it is no content."""
    plain = payloads.full_v2()

    for nothing in (0, "0", -1, "", None):
        both = payloads.full_v2(transactionId=nothing, evseTransactionId="1032427936")
        assert digest(both) == digest(plain)


FIELD = (
    st.none()
    | st.text(st.characters(codec="utf-8"), max_size=3)
    | st.integers(0, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, 1.0, datetime(2026, 11, 2, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)])
    | st.lists(st.builds(Sample, st.none(), st.text(max_size=1), st.none(), st.none(), st.none()))
)


def content(fields: list[object]) -> list[tuple[str, object]]:
    """The fields as far as they count: 1 and 1.0 are two, absent ones at the end are none."""
    kept = list(fields)
    while kept and kept[-1] is None:
        kept.pop()
    return [(type(each).__name__, repr(each)) for each in kept]


@given(st.lists(FIELD, max_size=4), st.lists(FIELD, max_size=4))
def test_two_digests_are_equal_only_when_the_fields_are(
    one: list[object], other: list[object]
) -> None:
    """No content of a field can pass for the end of it, or for one of another kind."""
    same = content(one) == content(other)

    assert (digest_fields(["T", *one]) == digest_fields(["T", *other])) == same
    assert digest_fields(["T", *one]) == digest_fields(["T", *one, None])
