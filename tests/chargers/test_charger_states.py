"""What events tell of chargers: merged in any order, however often, into the same row."""

from __future__ import annotations

from functools import reduce
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.chargers.states import Telling, merge, tellings_of
from shared.push.decode import decode
from shared.push.digest import named
from shared.storage import limits
from shared.storage.rows import Row, Value
from tests import payloads
from tests.payloads import ABSENT

type Columns = dict[str, Value]


def told_of(key: str, body: bytes) -> Telling:
    (found,) = [telling for telling in tellings_of(named(decode(body))) if telling.key == key]
    return found


def socket(**changes: Any) -> Telling:
    return told_of("CH-0042|1", payloads.state_v2(**changes))


def boot(**changes: Any) -> Telling:
    return told_of("CH-0042|!", payloads.boot_v2(**changes))


def row_of(*tellings: Telling) -> Columns:
    columns: Columns | None = None
    for telling in tellings:
        columns = merge(columns, telling) or columns
    assert columns is not None
    return columns


TIMES = st.sampled_from(
    [
        "2026-11-02T09:11:03Z",
        "2026-11-02T09:11:04Z",
        "2026-11-02T09:30:00Z",
        "1970-01-01T00:00:00Z",
        ABSENT,
    ]
)
STATES = st.builds(
    payloads.state_v2,
    deviceTimeStamp=TIMES,
    receivedTimestamp=st.sampled_from(["2026-11-02T09:31:00Z", ABSENT]),
    status=st.sampled_from(["Available", "available", "Charging"]),
    errorCode=st.sampled_from(["NoError", "No Error", "GroundFailure", ABSENT]),
    message=st.sampled_from(["x", ABSENT]),
    siteId=st.sampled_from(["77", ABSENT]),
)
NAMES = ("serialNumber", "chargerModel", "manufacturer", "firmwareVersion", "siteId")
BOOTS = st.builds(
    payloads.boot_v2,
    receivedTimestamp=TIMES,
    imsi=st.sampled_from(["1", "2", ABSENT]),
    **{name: st.sampled_from(["a", "b", ABSENT]) for name in NAMES},
)
OF_SOCKET = STATES.map(lambda body: told_of("CH-0042|1", body))
OF_CHARGER = (STATES | BOOTS | st.builds(payloads.start_v2, deviceTimeStamp=TIMES)).map(
    lambda body: told_of("CH-0042|!", body)
)
TELLINGS = st.lists(OF_SOCKET, min_size=1, max_size=5) | st.lists(
    OF_CHARGER, min_size=1, max_size=5
)


@given(TELLINGS)
def test_telling_twice_changes_nothing(tellings: list[Telling]) -> None:
    """What a row already holds is nothing newer: merging is idempotent."""
    row = row_of(*tellings)

    for telling in tellings:
        assert merge(row, telling) is None


@given(TELLINGS, st.data())
def test_the_order_of_tellings_changes_nothing(
    tellings: list[Telling], data: st.DataObject
) -> None:
    """Merging is commutative and associative: the row is a function of the set of tellings."""
    shuffled = data.draw(st.permutations(tellings))
    repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(tellings), max_size=3))]

    assert row_of(*repeated) == row_of(*tellings)


@given(TELLINGS)
def test_what_is_stored_and_read_goes_on_as_before(tellings: list[Telling]) -> None:
    """A row from the store is worth what the tellings were worth that made it."""
    assume(len(tellings) > 1)
    stored = row_of(*tellings[:1])
    limits.check_row(Row("0", tellings[0].key, stored))

    assert reduce(lambda row, each: merge(row, each) or row, tellings[1:], stored) == row_of(
        *tellings
    )


def test_a_state_is_told_of_its_socket() -> None:
    """The socket's row has the state with its instant, the charger's that it was seen."""
    event = decode(payloads.state_v2(socketId=0))
    tellings = {telling.key: telling for telling in tellings_of(named(event))}

    assert tellings.keys() == {"CH-0042|!", "CH-0042|0"}
    assert row_of(tellings["CH-0042|0"]) == {
        "schema": 1,
        "charger": "CH-0042",
        "socket": 0,
        "state_status": "Available",
        "state_error_code": "NoError",
        "state_message": "all is well",
        "state_site": "77",
        "state_instant": "2026-11-02T09:11:03.680905Z",
        "state_digest": tellings["CH-0042|0"].rank[1],
    }
    assert row_of(tellings["CH-0042|!"]) == {
        "schema": 1,
        "charger": "CH-0042",
        "last_seen": "2026-11-02T09:00:00.000000Z",
    }


def test_a_later_state_leaves_nothing_of_the_earlier_one() -> None:
    """What the later state does not tell is not known any more."""
    later = socket(
        deviceTimeStamp="2026-11-02T10:00:00Z", errorCode=ABSENT, message=ABSENT, siteId=ABSENT
    )

    row = row_of(socket(), later)

    assert row == row_of(later)
    assert "state_message" not in row


def test_an_erased_state_stays_erased_when_it_is_told_again() -> None:
    """Of the same event the message stays as the erasure left it; a later event is told whole."""
    erased = row_of(socket(message="card 04A2B1C3 refused")) | {"erased": True}
    erased["state_message"] = "(erased)"
    later = socket(deviceTimeStamp="2026-11-02T10:00:00Z", message="all is well")

    assert merge(erased, socket(message="card 04A2B1C3 refused")) is None
    assert (merge(erased, later) or {})["state_message"] == "all is well"


def test_states_of_one_instant_are_decided_by_content() -> None:
    """Two states of one instant have a winner that does not depend on who came first."""
    one, other = socket(status="Charging"), socket(status="Faulted")

    assert row_of(one, other) == row_of(other, one)


def test_a_boot_keeps_what_a_state_told_and_the_other_way_round() -> None:
    """The aspects of a row do not touch each other."""
    seen = told_of("CH-0042|!", payloads.state_v2(deviceTimeStamp="2026-11-02T09:46:00Z"))

    row = row_of(boot(), seen)

    assert row["boot_model"] == "Wallbox 22"
    assert row["boot_instant"] == "2026-11-02T09:11:03.737391Z"
    assert row["last_seen"] == "2026-11-02T09:45:00.000000Z"


def test_an_event_of_the_same_quarter_of_an_hour_tells_nothing_new() -> None:
    """Last seen moves in steps of 15 minutes: a busy charger costs few writes."""
    first = told_of("CH-0042|!", payloads.state_v2(deviceTimeStamp="2026-11-02T09:15:00Z"))
    last = told_of("CH-0042|!", payloads.state_v2(deviceTimeStamp="2026-11-02T09:29:59.999999Z"))
    next_one = told_of("CH-0042|!", payloads.state_v2(deviceTimeStamp="2026-11-02T09:30:00Z"))

    row = row_of(first)
    assert merge(row, last) is None
    assert (merge(row, next_one) or {})["last_seen"] == "2026-11-02T09:30:00.000000Z"


def test_an_event_without_a_time_was_seen_at_no_time() -> None:
    """A full message of v1 whose end cannot be tells that there is a charger, and no more."""
    undated = told_of("CH-0042|!", payloads.full_v1(timeStampEnd="1970-01-01T00:00:00Z"))

    assert row_of(undated) == {"schema": 1, "charger": "CH-0042"}
    assert merge(row_of(boot()), undated) is None


def test_a_hostile_id_makes_a_key() -> None:
    """A charger's id is escaped in the key and whole in its column."""
    (whole, of_socket) = tellings_of(named(decode(payloads.state_v2(chargerId="CH/\\#?|~%"))))

    assert whole.key == "CH=2F=5C=23=3F=7C=7E=25|!"
    assert of_socket.key == "CH=2F=5C=23=3F=7C=7E=25|1"
    assert row_of(of_socket)["charger"] == "CH/\\#?|~%"
