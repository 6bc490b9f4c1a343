"""The example messages: every documented kind, one story, moved to today without a scratch."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from local.emabler.books import SHELF_TYPES
from local.emabler.examples import FOLDER, GENERATIONS, NOON, load

TYPES = {
    "ChargerState",
    "ChargerBoot",
    "ChargingTransaction",
    "FullChargingTransaction",
    "Measurements",
}


def test_every_type_is_there_in_every_generation() -> None:
    """Five types in three generations, with starts and stops of v1, and each file is expected."""
    morning = load(NOON)
    events = morning.expected.events

    assert sorted(event.file for event in events) == sorted(morning.messages)
    for generation in GENERATIONS:
        of_it = [event for event in events if event.file.startswith(f"{generation}/")]
        assert {event.type for event in of_it} == TYPES
        assert all(generation in event.generations for event in of_it)
    actions = {json.loads(body).get("action") for body in morning.messages.values()}
    assert actions >= {"transaction_start", "transaction_stop"}


def test_at_its_own_noon_the_story_is_told_as_written() -> None:
    """Loaded for its own noon, a message is the very bytes of its file."""
    body = (FOLDER / "v2" / "charger_boot.json").read_bytes()
    assert load(NOON).messages["v2/charger_boot"] == body


@pytest.mark.parametrize("days", [1, 200, 400])
def test_moving_keeps_the_form_of_times(days: int) -> None:
    """Moved, every time lies as far later, with its digits and its offset as they were."""
    time = re.compile(r'"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d)([.\d]*)(Z|[+-]\d\d:\d\d)"')
    before, after = load(NOON), load(NOON + timedelta(days=days, milliseconds=700))

    for name, body in before.messages.items():
        was, now = time.findall(body.decode()), time.findall(after.messages[name].decode())
        assert len(was) == len(now) > 0
        for (seconds, *form), (moved, *form_now) in zip(was, now, strict=True):
            assert form == form_now
            step = datetime.fromisoformat(moved) - datetime.fromisoformat(seconds)
            assert step == timedelta(days=days)


def test_nothing_happens_after_now() -> None:
    """Loaded for now, the whole story lies in the hours before."""
    now = datetime.now(UTC)
    instants = [datetime.fromisoformat(event.instant) for event in load(now).expected.events]

    assert max(instants) < now
    assert min(instants) > now - timedelta(hours=8)


def test_the_books_are_in_the_shape_of_the_wire() -> None:
    """The server takes every shelf of the story."""
    assert load(NOON).books.keys() == SHELF_TYPES.keys()


def test_push_and_rest_tell_of_one_session_more_than_push() -> None:
    """The story has a session that only REST knows, and one that has not ended."""
    sessions = load(NOON).expected.sessions

    assert [s.transaction for s in sessions if s.sources == ("rest",)] == ["1187345518"]
    assert [s.transaction for s in sessions if s.state == "open"] == ["1187347003"]
