"""The day as it is played: what is due up to an instant, in one agenda. Pure: no clock, no network.

Stories put facts on the agenda; eMabler receives them, books them, and posts messages; messages
fall due. A tap waits for its answer, and with it the story of its socket, while the others go on.
"""

import hashlib
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from local.emabler.fleet.booking import Changes
from local.emabler.fleet.conditions import Conditions
from local.emabler.fleet.facts import AnyFact
from local.emabler.fleet.faults import Rates
from local.emabler.fleet.network import (
    MOST_CHARGERS,
    REASONS,
    Generation,
    Network,
    make_network,
)
from local.emabler.fleet.posting import Delivery, Post
from local.emabler.fleet.story import Setting, Story, Tap, stories
from local.emabler.fleet.truth import Answered, Message, Told, Truth
from local.emabler.fleet.visits import DAY
from local.emabler.fleet.writing import type_of
from local.errors import LocalError

SETTLED: Final = timedelta(hours=48)
"""So long after the end everything that was late has fallen due."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a play: with the same plan and the same answers it is the same play.

    Attributes:
        seed: any number.
        chargers: how many.
        begins: the instant of the day's beginning, UTC.
        days: how many days; None goes on for ever.
        meter_minutes: between two meter values of a session.
        generation: that of all messages; None mixes them, one for each charger.
    """

    seed: int
    chargers: int
    begins: datetime
    days: int | None = 1
    meter_minutes: int = 5
    generation: Generation | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be played.

        Raises:
            LocalError: `usage_wrong`.
        """
        if not 1 <= self.chargers <= MOST_CHARGERS:
            raise LocalError(
                "usage_wrong",
                f"a fleet of {self.chargers} chargers cannot be made",
                f"choose from 1 to {MOST_CHARGERS}",
            )

    @property
    def ends(self) -> datetime | None:
        """When the play ends."""
        return None if self.days is None else self.begins + self.days * DAY


class Due(msgspec.Struct):
    """What fell due: taps to be answered, messages to be sent, changes of the books."""

    taps: list[Tap] = msgspec.field(default_factory=list)
    deliveries: list[Delivery] = msgspec.field(default_factory=list)
    changes: Changes = msgspec.field(default_factory=Changes)


class _Received(msgspec.Struct, frozen=True):
    fact: AnyFact


class _Told(msgspec.Struct, frozen=True):
    story: int
    fact: AnyFact


class _Tapped(msgspec.Struct, frozen=True):
    story: int
    tap: Tap


type _Item = _Told | _Tapped | _Received | Delivery


class Day:
    """One play.

    Attributes:
        network: chargers, sites, drivers, tags.
        truth, told: the ledgers; see `local.emabler.fleet.truth`.
    """

    def __init__(self, plan: Plan, rates: Rates, *, remember: bool = True) -> None:
        """Begin a play.

        Args:
            plan: what is played.
            rates: of faults; they may change while it is played.
            remember: keep the ledger of messages, which grows with each; a fleet that lives on
                does without.
        """
        self.plan = plan
        self.network: Network = make_network(plan.seed, plan.chargers, plan.generation)
        self.truth = Truth()
        self.told = Told()
        self._remember = remember
        self._conditions = Conditions(plan.seed, plan.begins, rates)
        self._post = Post(plan.seed, plan.ends, rates, self._conditions)
        self._agenda: list[tuple[datetime, str, int, _Item]] = []
        self._count = 0
        self._waiting: dict[str, int] = {}
        setting = Setting(
            plan.seed,
            plan.begins,
            plan.ends,
            timedelta(minutes=plan.meter_minutes),
            self.network.tags,
        )
        self._stories: list[Story] = [
            story
            for charger in self.network.chargers
            for story in stories(charger, setting, self._conditions, rates)
        ]
        for number in range(len(self._stories)):
            self._go_on(number, None)

    def due(self, until: datetime) -> Due:
        """Take what falls due up to an instant. Taps are to be answered by `answer`."""
        due = Due()
        while self._agenda and self._agenda[0][0] <= until:
            at, _, _, item = heapq.heappop(self._agenda)
            match item:
                case _Tapped():
                    self._waiting[item.tap.name] = item.story
                    due.taps.append(item.tap)
                case _Told():
                    fact = item.fact
                    self._put(
                        self._conditions.received(fact),
                        self._conditions.name(fact),
                        _Received(fact),
                    )
                    self._go_on(item.story, None)
                case _Received():
                    self._receive(item.fact, at, due)
                case Delivery():
                    due.deliveries.append(item)
                    self._note(item)
        return due

    def answer(self, answered: Answered) -> None:
        """Take a tap's answer: its story goes on from there."""
        if self._remember:
            self.truth.taps.append(answered)
        self._go_on(self._waiting.pop(answered.tap.name), answered.allowed)

    @property
    def over(self) -> bool:
        """Whether nothing is left to happen, not even a late message."""
        return not self._agenda and not self._waiting

    def _go_on(self, story: int, answer: bool | None) -> None:  # noqa: FBT001 - what a tap was answered
        try:
            happening = self._stories[story].send(answer)
        except StopIteration:
            return
        if isinstance(happening, Tap):
            self._put(happening.at, happening.name, _Tapped(story, happening))
        else:
            self._put(happening.at, self._conditions.name(happening), _Told(story, happening))

    def _put(self, at: datetime, name: str, item: _Item) -> None:
        # The count only keeps items of one instant and name from being compared themselves.
        self._count += 1
        heapq.heappush(self._agenda, (at, name, self._count, item))

    def _receive(self, fact: AnyFact, received: datetime, due: Due) -> None:
        clock = self._conditions.clock(fact.charger, fact.at)
        self.truth.learn(fact, clock, received)
        due.changes.learn(fact, self.truth, received)
        if not self._remember:
            self.truth.forget(fact)
        fault, deliveries = self._post.deliveries(fact, received)
        if self._remember:
            self.told.messages[self._conditions.name(fact)] = Message(type_of(fact), fault)
            if any(delivery.broken is None for delivery in deliveries):
                self.told.learn(fact, clock, received)
        for delivery in deliveries:
            self._put(delivery.due, delivery.name, delivery)

    def _note(self, delivery: Delivery) -> None:
        if not self._remember:
            return
        message = self.told.messages[delivery.name]
        message.sent += 1
        digest = hashlib.sha256(delivery.body).hexdigest()
        if delivery.broken is None:
            message.whole.add(digest)
        else:
            message.broken[digest] = delivery.broken


def play_out(day: Day, decide: Callable[[Tap], Answered]) -> list[Delivery]:
    """Play a day that ends to its end at once; give all messages in the order they were due.

    Args:
        day: the play, which has an end.
        decide: answers taps.
    """
    found: list[Delivery] = []
    end = (day.plan.ends or day.plan.begins) + SETTLED
    while not day.over:
        due = day.due(end)
        found += due.deliveries
        for tap in due.taps:
            day.answer(decide(tap))
    return sorted(found, key=lambda delivery: (delivery.due, delivery.name, delivery.body))


def decide_rightly(tap: Tap) -> Answered:
    """Answer a tap as a right customer does, for plays without one."""
    return local_answer(tap) or Answered(
        tap,
        allowed=tap.tag.standing not in REASONS,
        by="customer",
        reason=REASONS.get(tap.tag.standing),
    )


def local_answer(tap: Tap) -> Answered | None:
    """Give what is decided without asking: by the charger, or by eMabler's own registry."""
    if tap.asked:
        return None
    return Answered(tap, allowed=True, by="charger" if tap.offline else "registry")
