"""The webhook: one URL that answers eMabler's check, its taps and its push events."""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.authorization.authorize import Authorization
from shared.errors import QueueUnavailableError, StoreUnavailableError
from shared.messaging.queue import PushQueue
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.tables import ALL_TABLES
from shared.tags.records import Tag
from shared.telemetry import WideEvent
from shared.webhook import MAX_EVENT_BYTES, Answer, Webhook
from tests import payloads
from tests.authorization.taps import NOW, Store, Tapper

MOMENT = timedelta(microseconds=1)
CURRENT, PREVIOUS = "current " * 5, "previous " * 5
LONGEST = "x" * 255


class FakeQueue:
    """Keeps what it is sent, or is away."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, str | None]] = []
        self.away = False

    async def send(self, body: bytes, *, content_type: str | None = None) -> None:
        if self.away:
            raise QueueUnavailableError("queue push-events: TimeoutError")
        self.sent.append((body, content_type))


class Caller:
    """A webhook on a store with a few tags, and eMabler in front of it."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.queue = FakeQueue()
        self.accepted: Sequence[str] = (CURRENT, PREVIOUS)
        self.tapper = Tapper(Store(self.tables))
        self.authorization: Authorization | None = self.tapper.authorization
        self.given_queue: PushQueue | None = self.queue
        self.wide = WideEvent("push_webhook")

    async def knows(self, *tags: Tag) -> None:
        await self.tapper.store.knows(*tags)

    async def call(
        self,
        body: bytes,
        *,
        method: str = "POST",
        authorization: str = CURRENT,
        content_type: str | None = "application/json",
    ) -> Answer:
        webhook = Webhook(
            accepted=self.accepted, authorization=self.authorization, queue=self.given_queue
        )
        self.wide = WideEvent("push_webhook")
        answer = await webhook.answer(
            method=method,
            authorization=authorization,
            body=body,
            content_type=content_type,
            wide=self.wide,
        )
        assert self.wide.fields["status"] == answer.status
        return answer

    async def tap(self, tag: object = "04A22B7F", charger: object = "CH-0042") -> dict[str, Any]:
        answer = await self.call(json.dumps({"charger_id": charger, "rfid_tag_id": tag}).encode())
        assert (answer.status, answer.worked) == (200, True)
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def noted(self, *names: str) -> tuple[Any, ...]:
        return tuple(self.wide.fields.get(name) for name in names)


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("GET", b"x"), ("HEAD", b""), ("POST", b"")]
)
async def test_a_check_of_the_endpoint_is_answered_to_anybody(
    caller: Caller, method: str, body: bytes
) -> None:
    """GET and an empty POST answer 200 without authorization, also where nothing is configured."""
    caller.accepted, caller.authorization, caller.given_queue = (), None, None

    assert await caller.call(body, method=method, authorization="") == Answer(200)
    assert caller.queue.sent == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "FROB"])
@pytest.mark.parametrize("body", [b"", payloads.state_v2()])
async def test_other_methods_are_refused(caller: Caller, method: str, body: bytes) -> None:
    """405 with the methods that there are, whoever calls; nothing is done."""
    assert await caller.call(body, method=method) == Answer(
        405, headers={"Allow": "GET, HEAD, POST"}
    )
    assert caller.noted("outcome", "error_code") == ("refused", "method_not_allowed")
    assert caller.queue.sent == []


@pytest.mark.parametrize("authorization", ["", CURRENT])
async def test_without_a_configured_value_nobody_may_call(
    caller: Caller, authorization: str
) -> None:
    """An operator who set no value has no open endpoint: 503, so that eMabler tries again."""
    caller.accepted = ()

    assert await caller.call(payloads.state_v2(), authorization=authorization) == Answer(503)
    assert caller.noted("outcome", "error_code") == ("disabled", "webhook_not_configured")
    assert caller.queue.sent == []


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "x", CURRENT[:-1], CURRENT + " ", CURRENT.upper(), f"Bearer {CURRENT}"),
        *(f"{CURRENT},{PREVIOUS}", "é" * 40, "\udce9" * 40, "\x00"),
    ],
)
async def test_a_wrong_value_is_turned_away(caller: Caller, wrong: str) -> None:
    """Any other value gets 401 and an empty body, a tap and an event alike; nothing is done."""
    for body in (payloads.state_v2(), b'{"charger_id": "CH", "rfid_tag_id": "T"}'):
        with counted() as requests:
            assert await caller.call(body, authorization=wrong) == Answer(401, b"")
        assert requests.total == 0

    assert caller.noted("outcome", "error_code") == ("refused", "not_authorized")
    assert caller.queue.sent == []


async def test_the_previous_value_is_accepted_while_it_is_set(caller: Caller) -> None:
    """While eMabler is being given the new value, both may call."""
    for value in (CURRENT, PREVIOUS):
        assert await caller.call(payloads.state_v2(), authorization=value) == Answer(
            200, worked=True
        )

    assert len(caller.queue.sent) == 2


@pytest.mark.parametrize("value", [CURRENT, PREVIOUS, "neither", ""])
async def test_each_configured_value_is_compared_whatever_comes(
    caller: Caller, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One comparison in constant time for each configured value, hit or miss."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)

    await caller.call(payloads.state_v2(), authorization=value)

    assert compared == [(value.encode(), CURRENT.encode()), (value.encode(), PREVIOUS.encode())]


@pytest.mark.parametrize("spelled", ["04A22B7F", "04:a2:2b:7f", " 04-A2-2B-7F "])
async def test_a_known_tag_may_charge(caller: Caller, spelled: str) -> None:
    """A known tag is allowed however the reader spells it, its row and sessions in one request."""
    await caller.knows(Tag(tag="04 a2 2b 7f"))

    with counted() as requests:
        assert await caller.tap(spelled) == {"charging_allowed": True}

    assert caller.noted("outcome", "decision", "cause", "reason") == (
        "ok",
        "allowed",
        "known_tag",
        None,
    )
    assert requests.by_purpose == {"tags_range": 1, "chargers_range": 1, "store_get": 1}


@pytest.mark.parametrize(
    ("tag", "reason", "cause"),
    [
        (Tag(tag="OTHER"), "UNKNOWN_RFID_TAG_ID", "unknown_tag"),
        (Tag(tag="04A22B7F", blocked=True), "UNAUTHORIZED_RFID_TAG_ID", "blocked"),
        (Tag(tag="04A22B7F", valid_until=NOW), "EXPIRED_RFID_TAG_ID", "expired"),
        (Tag(tag="04A22B7F", valid_until=NOW + MOMENT), None, "known_tag"),
        (Tag(tag="04A22B7F", valid_from=NOW), None, "known_tag"),
        (Tag(tag="04A22B7F", valid_from=NOW + MOMENT), "UNAUTHORIZED_RFID_TAG_ID", "not_yet_valid"),
        (
            Tag(tag="04A22B7F", blocked=True, valid_until=NOW),
            "UNAUTHORIZED_RFID_TAG_ID",
            "blocked",
        ),
    ],
    ids=[
        "unknown",
        "blocked",
        "at its end",
        "before its end",
        "at its start",
        "before its start",
        "blocked and expired",
    ],
)
async def test_each_denial_has_its_reason_and_its_cause(
    caller: Caller, tag: Tag, reason: str | None, cause: str
) -> None:
    """The wire has one of eMabler's reasons, the telemetry the finer cause; bounds are exact."""
    await caller.knows(tag)

    answer = await caller.tap()

    assert answer == {"charging_allowed": reason is None} | ({"reason": reason} if reason else {})
    decision = "denied" if reason else "allowed"
    assert caller.noted("decision", "cause", "reason") == (decision, cause, reason)


async def test_an_answer_tells_the_kind_of_the_tag(caller: Caller) -> None:
    """Where the operator gave a tag its kind, eMabler is told it, allowed or not."""
    await caller.knows(Tag(tag="A", kind="VIN"), Tag(tag="B", kind="TAG", blocked=True))

    assert await caller.tap("A") == {"charging_allowed": True, "rfid_tag_type": "VIN"}
    assert (await caller.tap("B"))["rfid_tag_type"] == "TAG"


@pytest.mark.parametrize("bad", [None, "", "  ", 7, 7.5, True, [], ["A"], {}, "x" * 256])
async def test_an_invalid_tap_is_denied(caller: Caller, bad: object) -> None:
    """A field that is no text of 1 to 255 characters denies the tap and asks nothing."""
    for fields in ({"charger": bad}, {"tag": bad}, {"charger": bad, "tag": bad}):
        with counted() as requests:
            answer = await caller.tap(**fields)
        assert answer == {"charging_allowed": False, "reason": "UNAUTHORIZED_RFID_TAG_ID"}
        assert caller.noted("decision", "cause") == ("denied", "invalid_tap")
        assert requests.total == 0
    assert caller.queue.sent == []


@pytest.mark.parametrize("body", [b'{"charger_id": "CH"}', b'{"rfid_tag_id": "T", "x": 1}'])
async def test_a_tap_without_one_of_its_fields_is_denied(caller: Caller, body: bytes) -> None:
    """Half a tap is a tap: it is denied, never taken for an event."""
    answer = await caller.call(body)

    assert json.loads(answer.body)["charging_allowed"] is False
    assert caller.noted("cause") == ("invalid_tap",)
    assert caller.queue.sent == []


async def test_the_longest_ids_are_valid(caller: Caller) -> None:
    """255 characters are an id; eMabler may add fields that nobody documented."""
    await caller.knows(Tag(tag=LONGEST))
    body = json.dumps({"charger_id": LONGEST, "rfid_tag_id": LONGEST, "new": [1]}).encode()

    answer = await caller.call(b"\xef\xbb\xbf" + body)

    assert json.loads(answer.body) == {"charging_allowed": True}


async def test_a_tap_is_deferred_while_the_store_is_away(caller: Caller) -> None:
    """503 hands the decision to eMabler's own fallback, and the line says why."""

    async def away(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("table tags: no answer", code="store_away")

    caller.tables.pause = away

    answer = await caller.call(b'{"charger_id": "CH", "rfid_tag_id": "T"}')

    assert answer == Answer(503)
    assert caller.noted("outcome", "decision", "cause", "error_code") == (
        "failed",
        "deferred",
        "store_unavailable",
        "store_away",
    )


async def test_a_missing_table_defers_as_well(caller: Caller) -> None:
    """A store that was not made yet denies nobody."""
    caller.authorization = Tapper(Store(MemoryTables("chargers"))).authorization

    assert await caller.call(b'{"charger_id": "CH", "rfid_tag_id": "T"}') == Answer(503)
    assert caller.noted("error_code") == ("table_missing",)


@pytest.mark.parametrize(
    "body",
    [
        payloads.state_v2(),
        payloads.full_v2().replace(b" ", b"\n"),
        b"\xef\xbb\xbf" + payloads.state_v2(),
        b" ",
        b"not json",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'"' + payloads.state_v2().replace(b'"', b'\\"') + b'"',
        b"[]",
        b"null",
        b"1" * 10_000,
        b"NaN",
    ],
    ids=range(12),
)
async def test_an_event_is_queued_as_the_bytes_it_was(caller: Caller, body: bytes) -> None:
    """What is no tap goes onto the queue untouched; ingestion decides what it is."""
    answer = await caller.call(body, content_type="application/json; charset=utf-8")

    assert answer == Answer(200, worked=True)
    assert caller.queue.sent == [(body, "application/json; charset=utf-8")]
    assert caller.noted("outcome", "transport", "received", "queued_bytes") == (
        "ok",
        "webhook",
        1,
        len(body),
    )


async def test_an_event_is_not_acknowledged_while_the_queue_is_away(caller: Caller) -> None:
    """503 makes eMabler send it again: nothing is acknowledged that is not safe."""
    caller.queue.away = True

    assert await caller.call(payloads.state_v2()) == Answer(503)
    assert caller.noted("outcome", "error_code", "queued_bytes") == (
        "failed",
        "queue_unavailable",
        None,
    )


async def test_an_event_has_at_most_192_kib(caller: Caller) -> None:
    """What a message of the Standard tier may not hold is refused: 413, and the limit passes."""
    assert MAX_EVENT_BYTES == 192 * 1024
    assert await caller.call(b"x" * MAX_EVENT_BYTES) == Answer(200, worked=True)
    assert await caller.call(b"x" * (MAX_EVENT_BYTES + 1)) == Answer(413)
    assert caller.noted("outcome", "error_code") == ("refused", "event_too_large")
    assert len(caller.queue.sent) == 1


async def test_wrong_settings_answer_503(caller: Caller) -> None:
    """What its settings do not allow, the webhook says when it is called."""
    caller.authorization = caller.given_queue = None

    assert await caller.call(payloads.state_v2()) == Answer(503)
    assert caller.noted("outcome", "error_code") == ("disabled", "setting_wrong")
    assert await caller.call(b'{"charger_id": "CH", "rfid_tag_id": "T"}') == Answer(503)
    assert caller.noted("outcome", "decision") == ("disabled", "deferred")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
TAPS = st.fixed_dictionaries({}, optional={"charger_id": JSON, "rfid_tag_id": JSON, "x": JSON})


@given(st.binary() | (JSON | TAPS).map(json.dumps).map(str.encode), st.text(max_size=40))
async def test_no_body_raises(body: bytes, authorization: str) -> None:
    """Whatever is sent, by whomever, gets an answer, and what is not acknowledged is nowhere."""
    caller = Caller()

    turned_away = await caller.call(body, authorization=authorization)
    taken = await caller.call(body)

    assert turned_away.status in (200, 401)
    assert taken.status == 200
    assert len(caller.queue.sent) == (bool(body) and not taken.body)
