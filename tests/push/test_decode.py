"""Messages of all generations are read, and what cannot be read is told whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RejectedMessageError
from shared.push.decode import decode
from shared.push.events import (
    ChargerBoot,
    ChargerState,
    Generation,
    Measurements,
    TransactionStart,
    TransactionStop,
    type_name,
)
from tests import payloads
from tests.payloads import ABSENT

EXPECTED: dict[str, tuple[type, Generation, str]] = {
    "state_v2": (ChargerState, Generation.V2, "ChargerState"),
    "state_v2_2025": (ChargerState, Generation.V2_2025_04, "ChargerState"),
    "state_v1": (ChargerState, Generation.V1, "ChargerState"),
    "boot_v2": (ChargerBoot, Generation.V2, "ChargerBoot"),
    "boot_v1": (ChargerBoot, Generation.V1, "ChargerBoot"),
    "start_v2": (TransactionStart, Generation.V2, "ChargingTransaction"),
    "start_v2_2025": (TransactionStart, Generation.V2_2025_04, "ChargingTransaction"),
    "start_v1": (TransactionStart, Generation.V1, "ChargingTransaction"),
    "stop_v1": (TransactionStop, Generation.V1, "ChargingTransaction"),
    "full_v2": (TransactionStop, Generation.V2, "FullChargingTransaction"),
    "full_v2_2025": (TransactionStop, Generation.V2_2025_04, "FullChargingTransaction"),
    "full_v1": (TransactionStop, Generation.V1, "FullChargingTransaction"),
    "measurements": (Measurements, Generation.V2_2025_04, "Measurements"),
}


@pytest.mark.parametrize("shape", payloads.ALL_SHAPES)
def test_each_documented_shape_is_told_by_its_fields(shape: str) -> None:
    """Every type of every generation is recognised without a type property."""
    event = decode(payloads.ALL_SHAPES[shape]())

    assert (type(event), event.generation, type_name(event)) == EXPECTED[shape]
    assert event.charger == "CH-0042"


@pytest.mark.parametrize("shape", payloads.ALL_SHAPES)
def test_unknown_fields_and_statuses_are_no_fault(shape: str) -> None:
    """A field that nobody documented, of any type, and a status of tomorrow are read over."""
    event = decode(payloads.ALL_SHAPES[shape](newField={"of": ["tomorrow"]}))

    assert type(event) is EXPECTED[shape][0]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-02T09:11:32Z", datetime(2026, 11, 2, 9, 11, 32, tzinfo=UTC)),
        ("2026-11-02T09:11:32.4Z", datetime(2026, 11, 2, 9, 11, 32, 400000, tzinfo=UTC)),
        ("2026-11-02T09:11:32.3991208Z", datetime(2026, 11, 2, 9, 11, 32, 399120, tzinfo=UTC)),
        ("2026-11-02T09:11:32.399120999Z", datetime(2026, 11, 2, 9, 11, 32, 399120, tzinfo=UTC)),
        ("2026-11-02T11:11:32+02:00", datetime(2026, 11, 2, 9, 11, 32, tzinfo=UTC)),
        ("2026-11-02T04:41:32-04:30", datetime(2026, 11, 2, 9, 11, 32, tzinfo=UTC)),
        ("2026-11-02T09:11:32", datetime(2026, 11, 2, 9, 11, 32, tzinfo=UTC)),
    ],
)
def test_times_have_any_offset_and_are_cut_to_microseconds(text: str, instant: datetime) -> None:
    """0 to 9 fractional digits are cut, not rounded; every offset becomes UTC."""
    assert decode(payloads.state_v2(deviceTimeStamp=text)).instant == instant


@pytest.mark.parametrize("digits", range(10))
def test_every_number_of_fractional_digits_is_read(digits: int) -> None:
    """None to nine of them; those beyond the sixth are cut."""
    fraction = "987654321"[:digits]
    event = decode(
        payloads.state_v2(deviceTimeStamp=f"2026-11-02T09:11:32.{fraction}Z".replace(".Z", "Z"))
    )

    microsecond = int(fraction[:6].ljust(6, "0"))
    assert event.instant == datetime(2026, 11, 2, 9, 11, 32, microsecond, tzinfo=UTC)


RECEIVED = datetime(2026, 11, 2, 9, 11, 3, 784943, tzinfo=UTC)


@pytest.mark.parametrize(
    ("device", "flag"),
    [
        (ABSENT, "device_time_missing"),
        (None, "device_time_missing"),
        ("", "device_time_missing"),
        ("yesterday", "time_unreadable"),
        (17, "time_unreadable"),
        ("1970-01-01T00:00:00Z", "device_time_implausible"),
        ("2014-12-31T23:59:59.999999Z", "device_time_implausible"),
        ("2026-11-03T09:11:03.784944Z", "device_time_implausible"),
        ("2025-11-02T09:11:03.784942Z", "device_time_implausible"),
        ("0001-01-01T00:00:00Z", "device_time_implausible"),
        ("0001-01-01T00:00:00+05:00", "time_unreadable"),
    ],
)
def test_a_device_time_that_cannot_be_gives_way_to_the_reception(device: Any, flag: str) -> None:
    """Missing, unreadable and implausible device times are flagged; the received time stands in."""
    event = decode(payloads.state_v2(deviceTimeStamp=device))

    assert event.instant == RECEIVED
    assert flag in event.flags


@pytest.mark.parametrize("device", ["2026-11-03T09:11:03.784943Z", "2025-11-02T09:11:03.784943Z"])
def test_the_limits_of_plausibility_are_plausible(device: str) -> None:
    """Exactly a day after and exactly 365 days before the reception still count."""
    event = decode(payloads.state_v2(deviceTimeStamp=device))

    assert event.instant != RECEIVED
    assert event.flags == ()


@pytest.mark.parametrize("device", ["2015-01-01T00:00:00Z", "2015-01-01T02:00:00+02:00"])
def test_2015_itself_is_plausible(device: str) -> None:
    """The limit belongs to what can be, where no time of reception says otherwise."""
    event = decode(payloads.full_v1(timeStampEnd=device, timeStampStart=device))

    assert isinstance(event, TransactionStop)
    assert event.instant == event.start == datetime(2015, 1, 1, tzinfo=UTC)
    assert event.flags == ()


@pytest.mark.parametrize("received", ["9999-12-31T23:00:00Z", "0002-01-01T00:00:00Z"])
def test_a_reception_at_the_end_of_the_calendar_is_read(received: str) -> None:
    """No time of reception, however far, makes the message unreadable."""
    event = decode(payloads.state_v2(receivedTimestamp=received))

    assert event.instant == event.received
    assert event.flags == ("device_time_implausible",)


@pytest.mark.parametrize("nothing", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "", None, " "])
def test_a_reception_that_was_never_set_is_none(nothing: str | None) -> None:
    """The first instant of year 1 is what the platform writes for no time: the device's stands."""
    event = decode(payloads.state_v2(receivedTimestamp=nothing))

    assert event.received is None
    assert event.instant == datetime(2026, 11, 2, 9, 11, 3, 680905, tzinfo=UTC)
    assert event.flags == ()


@pytest.mark.parametrize("absent", [None, "", "  "])
def test_an_empty_field_gives_way_to_its_older_name(absent: str | None) -> None:
    """A field that is there and empty hides no other that tells the same."""
    event = decode(
        payloads.state_v2(receivedTimestamp=absent, timeStamp="2026-11-02T09:11:03.7849436Z")
    )

    assert event.received == RECEIVED


def test_an_implausible_start_is_left_out_and_the_end_stands() -> None:
    """Each of a full message's two times is judged for itself."""
    event = decode(payloads.full_v2(deviceTimeStampStart="1970-01-01T00:00:00Z"))

    assert isinstance(event, TransactionStop)
    assert event.start is None
    assert event.instant == datetime(2026, 11, 2, 10, 41, 43, 633143, tzinfo=UTC)
    assert event.flags == ("start_time_implausible",)


def test_a_message_without_any_time_is_undated() -> None:
    """A v1 full message whose end cannot be has nothing that stands in."""
    event = decode(payloads.full_v1(timeStampEnd="1970-01-01T00:00:00Z"))

    assert event.instant is None


@pytest.mark.parametrize(
    ("given_id", "evse", "transaction", "other"),
    [
        (7, ABSENT, "7", None),
        ("007", ABSENT, "007", None),
        (7.0, ABSENT, "7", None),
        (7, "7", "7", None),
        (8, "7", "7", "8"),
        (ABSENT, "7", "7", None),
        (None, "", None, None),
        ("  ", ABSENT, None, None),
        (-1, ABSENT, "-1", None),
        ("00", ABSENT, "00", None),
        (0, "7", "7", None),
        ("7", "-1", "7", None),
        (0, "-1", "-1", None),
    ],
)
def test_transaction_ids_are_text_and_the_evse_one_counts(
    given_id: Any, evse: Any, transaction: str | None, other: str | None
) -> None:
    """Numbers and texts are one; where the two differ, evseTransactionId counts."""
    event = decode(payloads.full_v2(transactionId=given_id, evseTransactionId=evse))

    assert isinstance(event, TransactionStop)
    assert (event.transaction, event.other_transaction) == (transaction, other)


@pytest.mark.parametrize(
    ("value", "number"),
    [(12300, 12300.0), ("12300", 12300.0), (" 12300.5 ", 12300.5), (None, None)],
)
def test_numbers_may_be_written_as_text(value: Any, number: float | None) -> None:
    """Energy and meters are read from numbers and from texts that are numbers."""
    event = decode(payloads.full_v2(consumptionWh=value))

    assert isinstance(event, TransactionStop)
    assert event.energy_wh == number


@pytest.mark.parametrize(
    ("value", "socket"), [(2, 2), ("2", 2), (2.0, 2), ("2.0", 2), (" 2 ", 2), (0, 0), ("0", 0)]
)
def test_a_socket_is_a_number_or_its_text(value: Any, socket: int) -> None:
    """Whole numbers however they are written; 0 is the main controller."""
    event = decode(payloads.state_v2(socketId=value))

    assert isinstance(event, ChargerState)
    assert event.socket == socket


@pytest.mark.parametrize(
    "value", [ABSENT, None, "", -1, "-1", 1.5, 2**31, True, [1], "1_0", "\u0661"]
)
def test_what_is_no_socket_is_a_fault(value: Any) -> None:
    """No number, a negative, broken or huge one, and what only Python takes for a number."""
    with pytest.raises(RejectedMessageError, match="socketId: expected a whole number from 0 on"):
        decode(payloads.state_v2(socketId=value))


@pytest.mark.parametrize(
    "value", ["much", "1_000", "nan", "inf", "1e999", "\u0661", True, {}, 10**400]
)
def test_what_is_no_number_is_a_fault(value: Any) -> None:
    """Energy is a finite number that everybody reads as one."""
    with pytest.raises(RejectedMessageError, match="consumptionWh: expected a number"):
        decode(payloads.full_v2(consumptionWh=value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("n/a", "n/a"),
        (True, "true"),
        ({"b": 1, "a": [None]}, '{"a": [null], "b": 1}'),
        ("OCMF|" + "x" * 9000, "OCMF|" + "x" * 9000),
        (None, None),
        (" ", None),
    ],
)
def test_any_sample_value_is_read(value: Any, text: str | None) -> None:
    """What is no number is kept as text, of any length (a signed value is long), and flagged."""
    event = decode(payloads.measurements(measurements=[{"value": value}]))

    assert isinstance(event, Measurements)
    assert event.samples[0].value == text
    assert "value_not_a_number" in event.flags


def test_a_sample_that_is_no_number_is_kept_and_flagged() -> None:
    """Meter values are text in eMabler's contract; one that is no number is no fault."""
    event = decode(
        payloads.measurements(measurements=[{"value": "n/a", "typeOfMeasurement": "Voltage"}])
    )

    assert isinstance(event, Measurements)
    assert event.samples[0].value == "n/a"
    assert "value_not_a_number" in event.flags


def test_samples_are_ordered_and_the_latest_gives_the_time() -> None:
    """Two orders of the same samples are one event, at the time of its latest sample."""
    first = {"deviceTimeStamp": "2026-11-02T09:50:00Z", "value": "1", "typeOfMeasurement": "V"}
    later = {"deviceTimeStamp": "2026-11-02T09:50:09Z", "value": "2", "typeOfMeasurement": "A"}

    one = decode(payloads.measurements(measurements=[first, later]))
    other = decode(payloads.measurements(measurements=[later, first]))

    assert one == other
    assert one.instant == datetime(2026, 11, 2, 9, 50, 9, tzinfo=UTC)


SAMPLES = st.fixed_dictionaries(
    {},
    optional={
        "deviceTimeStamp": st.sampled_from(
            ["2026-11-02T09:50:27Z", "2026-11-02T09:50:27.5Z", "0001-01-01T00:00:00Z", None, "?"]
        ),
        "value": st.sampled_from(["1", 1, "10", 9.5, "None", None, "n/a", "", True]),
        "typeOfMeasurement": st.sampled_from(["Voltage", "Power", None]),
        "phase": st.sampled_from(["L1", "L2", None, "  "]),
        "unit": st.sampled_from(["V", None]),
    },
)


@given(st.lists(SAMPLES, max_size=7), st.randoms())
def test_any_order_of_samples_is_one_event(samples: list[dict[str, Any]], random: Any) -> None:
    """Whatever is absent or no number in some of them, the samples have one order."""
    shuffled = list(samples)
    random.shuffle(shuffled)

    one, other = (decode(payloads.measurements(measurements=each)) for each in (samples, shuffled))
    assert isinstance(one, Measurements)
    assert isinstance(other, Measurements)
    assert one.samples == other.samples
    assert one.instant == other.instant
    times = [each.device_time for each in one.samples if each.device_time]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: json.dumps(text.decode()).encode(),
        lambda text: b"\n " + text + b" \n",
    ],
    ids=["utf-8 BOM", "utf-16 BOM", "utf-16", "JSON in a string", "blanks"],
)
def test_a_message_is_read_however_it_is_wrapped(wrap: Any) -> None:
    """Byte-order marks, UTF-16 and JSON inside a JSON string make no other event."""
    plain = payloads.start_v2()

    assert decode(wrap(plain)) == decode(plain)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"not json", "not_json"),
        (b'{"chargerId": NaN, "status": "x"}', "not_json"),
        (b'{"meterRead": 1e999}', "not_json"),
        (b'{"meterRead": -Infinity}', "not_json"),
        (b'{"chargerId": "\\ud800", "status": "x"}', "not_text"),
        (b'{"chargerId": "\xff", "status": "x"}', "not_text"),
        (b"[" * 33 + b"]" * 33, "unknown_shape"),
        (b'{"status":' + b"[" * 33 + b"]" * 33 + b"}", "too_deep"),
        (b'{"status":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too_deep"),
        (b"[]", "unknown_shape"),
        (b"7", "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b'{"charger_id": "a", "rfid_tag_id": "b"}', "unknown_shape"),
        (json.dumps(json.dumps(json.dumps({}))).encode(), "unknown_shape"),
        (b'{"status": "' + b"x" * 1024 * 1024 + b'"}', "too_large"),
    ],
)
def test_what_cannot_be_read_has_a_stable_reason(body: bytes, code: str) -> None:
    """Each way of not being a message has its own code and says what was expected and found."""
    with pytest.raises(RejectedMessageError) as rejection:
        decode(body)

    assert rejection.value.code == code
    assert all(fault.expected and fault.found for fault in rejection.value.faults)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"not json", "expecting value: line 1 column 1 (char 0)"),
        (b'{"status": "x"} y', "extra data: line 1 column 17 (char 16)"),
        (b'{"chargerId": NaN}', "NaN is no JSON number"),
    ],
)
def test_why_a_text_is_no_json_is_said_in_a_sentence(body: bytes, why: str) -> None:
    """Where the text stops being JSON stands behind what was found, and does not replace it."""
    with pytest.raises(RejectedMessageError) as rejection:
        decode(body)

    assert str(rejection.value).endswith(f": expected JSON, found text that is none ({why})")


def test_all_faults_of_a_message_are_told_at_once() -> None:
    """A rejection names every field that cannot be, not the first one only."""
    with pytest.raises(RejectedMessageError) as rejection:
        decode(
            payloads.full_v2(
                chargerId=ABSENT, socketId="left", consumptionWh="much", meterReadEnd=[1]
            )
        )

    assert rejection.value.code == "bad_field"
    assert {fault.field for fault in rejection.value.faults} == {
        "chargerId",
        "socketId",
        "consumptionWh",
        "meterReadEnd",
    }


def test_faults_within_samples_are_told_with_those_around_them() -> None:
    """Each is named by its place in the message."""
    with pytest.raises(RejectedMessageError) as rejection:
        decode(
            payloads.measurements(
                socketId=None, measurements=[{"value": "1"}, 7, {"phase": [], "unit": {}}]
            )
        )

    assert [fault.field for fault in rejection.value.faults] == [
        "measurements[1]",
        "measurements[2].phase",
        "measurements[2].unit",
        "socketId",
    ]


def test_a_message_of_broken_samples_is_told_by_the_first_hundred() -> None:
    """A body full of faults cannot keep the worker busy telling them."""
    with pytest.raises(RejectedMessageError) as rejection:
        decode(payloads.measurements(measurements=[7] * 300_000, chargerId=None))

    fields = [fault.field for fault in rejection.value.faults]
    assert fields == [*(f"measurements[{index}]" for index in range(100)), "chargerId"]


def test_an_identifier_of_255_characters_is_the_longest() -> None:
    """Lengths count code points; one more is a fault that names both numbers."""
    assert decode(payloads.state_v2(chargerId="🚗" * 255)).charger == "🚗" * 255
    with pytest.raises(RejectedMessageError, match=r"chargerId: expected at most 255 .* 256"):
        decode(payloads.state_v2(chargerId="🚗" * 256))


def test_duplicate_keys_are_flagged_and_the_last_counts() -> None:
    """A message that names a field twice is read, and says so."""
    event = decode(b'{"status": "A",' + payloads.state_v2()[1:])

    assert isinstance(event, ChargerState)
    assert event.status == "Available"
    assert event.flags == ("duplicate_keys",)


def test_a_declared_type_decides_only_where_the_shape_does_not() -> None:
    """A type property that contradicts the shape is flagged, and the shape counts."""
    contradicted = decode(payloads.state_v2(), "FullChargingTransaction")
    agreed = decode(payloads.state_v2(), "charger_state")
    also_agreed = decode(payloads.state_v2(), "charger-state")
    bare_boot = b'{"chargerId": "CH", "receivedTimestamp": "2026-11-02T09:11:03Z"}'

    assert isinstance(contradicted, ChargerState)
    assert contradicted.flags == ("type_contradicts_shape",)
    assert agreed.flags == also_agreed.flags == ()
    assert isinstance(decode(bare_boot, "ChargerBoot"), ChargerBoot)
    with pytest.raises(RejectedMessageError):
        decode(bare_boot)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"measurements": None}, ChargerState),
        ({"meterRead": None, "consumptionWh": None}, ChargerState),
        ({"action": "reboot"}, ChargerState),
        ({"action": None, "serialNumber": None}, ChargerState),
        ({"status": None, "serialNumber": "7"}, ChargerBoot),
    ],
)
def test_a_field_that_is_null_shows_no_shape(changes: dict[str, Any], kind: type) -> None:
    """A sender that writes all the fields it knows, most of them null, is understood."""
    assert type(decode(payloads.state_v2(**changes))) is kind


def test_a_boot_that_tells_nothing_is_a_boot() -> None:
    """Where all that would show a shape is null, the names show it."""
    nothing: dict[str, Any] = {"serialNumber": None, "chargerModel": None, "manufacturer": None}
    left_out = ("firmwareVersion", "iccid", "imsi", "meterSerialNumber", "meterType")

    event = decode(payloads.boot_v2(**nothing, **dict.fromkeys(left_out, ABSENT)))

    assert isinstance(event, ChargerBoot)


@pytest.mark.parametrize("name", ["deviceTimeStampStart", "timeStampStart"])
def test_a_start_time_alone_shows_a_full_message(name: str) -> None:
    """A stop that tells when its session began is no plain stop, whatever else it lacks."""
    event = decode(payloads.stop_v1(**{name: "2026-11-02T09:11:32.4Z", "meterRead": ABSENT}))

    assert isinstance(event, TransactionStop)
    assert event.full
    assert event.start == datetime(2026, 11, 2, 9, 11, 32, 400000, tzinfo=UTC)


@pytest.mark.parametrize("action", ["transaction_start", "TRANSACTION_START", "TransactionStart"])
def test_an_action_is_read_in_any_case(action: str) -> None:
    """Names differ in case and underscores between eMabler's interfaces."""
    assert isinstance(decode(payloads.start_v2(action=action)), TransactionStart)


def test_an_unknown_action_is_a_fault() -> None:
    """Neither start nor stop: nobody can say what the meter's reading means."""
    with pytest.raises(RejectedMessageError, match="action: expected transaction_start or"):
        decode(payloads.start_v2(action="transaction_paused"))


def test_an_unknown_status_is_kept() -> None:
    """A status of tomorrow is a status."""
    event = decode(payloads.state_v2(status="Levitating", errorCode="E-77"))

    assert isinstance(event, ChargerState)
    assert (event.status, event.error_code) == ("Levitating", "E-77")


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_rejection(body: bytes) -> None:
    """Whatever comes is an event or a rejection, never another error."""
    try:
        decode(body)
    except RejectedMessageError:
        return


@given(
    st.sampled_from(sorted(payloads.ALL_SHAPES)),
    st.dictionaries(
        st.sampled_from(
            [
                "chargerId",
                "socketId",
                "deviceTimeStamp",
                "receivedTimestamp",
                "transactionId",
                "meterRead",
                "status",
                "measurements",
                "action",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["value", "deviceTimeStamp"]), inner, max_size=2)
            ),
            max_leaves=4,
        ),
        max_size=4,
    ),
)
def test_no_value_of_a_known_field_raises_anything_but_a_rejection(
    shape: str, changes: dict[str, Any]
) -> None:
    """Any JSON value in any field is read or rejected with its faults."""
    try:
        decode(payloads.ALL_SHAPES[shape](**changes))
    except RejectedMessageError as rejection:
        assert rejection.faults  # noqa: PT017 - a rejection is one of two right outcomes
