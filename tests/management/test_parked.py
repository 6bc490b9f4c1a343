"""The commands about parked messages: counted and asked before, told after."""

from __future__ import annotations

import io

import pytest

from shared.errors import QueueUnavailableError
from shared.parked.records import trace_of
from shared.storage.tables import PARKED
from tests.management.operator import Operator
from tests.parked.support import FakeQueue


class Typed(io.StringIO):
    """A terminal at which somebody typed this."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def queue(operator: Operator) -> FakeQueue:
    queue = FakeQueue()
    operator.parts["queue"] = queue
    return queue


async def test_a_replay_is_counted_and_done(operator: Operator, queue: FakeQueue) -> None:
    """With --yes it is done at once; the name goes into the trace; again there is nothing."""
    ran = await operator.run("parked", "replay", "--yes", "--as", "ann", "--json")
    again = await operator.run("parked", "replay", "--yes")

    assert (ran.code, ran.all("outcome")) == (0, ["replayed", "replayed"])
    assert ran.err == "2 messages replayed\n"
    assert len(queue.sent) == 2
    assert (again.code, again.err) == (0, "0 messages would be replayed\n")
    assert [trace_of(row)[0]["by"] for row in operator.tables.rows(PARKED)] == ["ann", "ann"]


async def test_a_dry_run_touches_nothing(operator: Operator, queue: FakeQueue) -> None:
    """How many, by reason; nothing is sent or written."""
    before = operator.tables.rows(PARKED)

    replay = await operator.run("parked", "replay", "--dry-run")
    discard = await operator.run(
        *("parked", "discard", "--dry-run", "--because", "x", "--reason", "not_json")
    )

    assert replay.err == "2 messages would be replayed (bad_field 1, not_json 1)\n"
    assert discard.err == "1 message would be discarded (not_json 1)\n"
    assert operator.tables.rows(PARKED) == before
    assert queue.sent == []


async def test_who_cannot_be_asked_has_to_say_yes(operator: Operator, queue: FakeQueue) -> None:
    """Without a terminal and without --yes nothing happens: exit 2."""
    ran = await operator.run("parked", "replay")

    assert (ran.code, queue.sent) == (2, [])
    assert ran.err.startswith("error: not_confirmed: 2 messages would be replayed")


@pytest.mark.parametrize(("typed", "code", "sent"), [("2\n", 0, 2), ("1\n", 2, 0), ("y\n", 2, 0)])
async def test_the_number_is_typed(
    monkeypatch: pytest.MonkeyPatch,
    operator: Operator,
    queue: FakeQueue,
    typed: str,
    code: int,
    sent: int,
) -> None:
    """At a terminal the number that was told is typed, or nothing is done."""
    monkeypatch.setattr("sys.stdin", Typed(typed))

    ran = await operator.run("parked", "replay")

    assert (ran.code, len(queue.sent)) == (code, sent)
    assert "Type 2 to go on:" in ran.err


async def test_filters_and_limits_choose(operator: Operator, queue: FakeQueue) -> None:
    """By what a message looks like, by its digest, and no more than so many."""
    digest = operator.tables.rows(PARKED)[0].key
    one = await operator.run("parked", "replay", "--yes", "--charger", "CH-0042")
    other = await operator.run("parked", "replay", "--yes", "--again", "--digest", digest[:8])
    none = await operator.run("parked", "replay", "--yes", "--from", "2030-01-01", "--again")
    limited = await operator.run("parked", "replay", "--yes", "--again", "--limit", "1")

    assert [ran.err for ran in (one, other, none, limited)] == [
        "1 message replayed\n",
        "1 message replayed\n",
        "0 messages would be replayed\n",
        "1 message replayed\n",
    ]
    assert len(queue.sent) == 3


async def test_a_queue_that_is_away_ends_the_command(operator: Operator, queue: FakeQueue) -> None:
    """What was not sent is sent by the next run."""
    queue.fails, queue.keeps = QueueUnavailableError("away"), False
    with pytest.raises(QueueUnavailableError):
        await operator.run("parked", "replay", "--yes")
    queue.fails, queue.keeps = None, True

    assert (await operator.run("parked", "replay", "--yes")).err == "2 messages replayed\n"


async def test_a_message_is_shown_with_its_history(operator: Operator) -> None:
    """All of it: why, bytes, who did what; by the beginning of its digest."""
    digest = operator.tables.rows(PARKED)[0].key
    await operator.run("parked", "discard", "--yes", "--because", "noise", "--as", "ann")

    told = (await operator.run("parked", "show", digest[:6], "--json")).rows
    people = await operator.run("parked", "show", digest[:6])
    missing = await operator.run("parked", "show", "000000")

    assert told[0]["discarded_because"] == "noise"
    assert told[0]["trace"][0]["what"] == "discarded"
    assert "discarded ann noise" in people.out
    assert (missing.code, missing.err.split(":")[1]) == (1, " not_found")


async def test_discarded_messages_are_not_replayed(operator: Operator, queue: FakeQueue) -> None:
    """Not even with --again: they come back only when the queue brings them again."""
    await operator.run("parked", "discard", "--yes", "--because", "noise", "--delete-body")

    ran = await operator.run("parked", "replay", "--yes", "--again")
    listed = await operator.run("parked", "list", "--json", "--state", "discarded")

    assert ran.err == "0 messages would be replayed\n"
    assert listed.all("body") == ["", ""]
    assert queue.sent == []
