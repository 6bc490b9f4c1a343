"""Consumer groups by Kafka's classic protocol: join, sync, heartbeat, leave, and offsets.

A group is *empty*, *joining* (waiting for all members to join anew), *syncing* (waiting for the
leader's assignment) or *stable*. Whoever comes, leaves or falls silent makes the others join anew.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from uuid import uuid4

from local.kafka.wire import Code


class State(Enum):
    """How far a group has come."""

    EMPTY = "empty"
    JOINING = "joining"
    SYNCING = "syncing"
    STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Joined:
    """What a member is answered: in the leader's answer are all members' subscriptions."""

    code: int
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    member: str = ""
    members: Sequence[tuple[str, bytes]] = ()


@dataclass(slots=True)
class _Member:
    id: str
    protocols: dict[str, bytes]
    session_seconds: float
    rebalance_seconds: float
    joining: asyncio.Future[Joined] | None = None
    syncing: asyncio.Future[tuple[int, bytes]] | None = None
    expiry: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a member asks for: by protocol (a way of assigning) the topics, opaque to the broker."""

    protocols: Mapping[str, bytes]
    session_seconds: float
    rebalance_seconds: float


@dataclass(slots=True)
class Group:
    """One group. `offsets` are the committed ones, by topic and partition."""

    offsets: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    state: State = State.EMPTY
    generation: int = 0
    _members: dict[str, _Member] = field(default_factory=dict)
    _leader: str = ""
    _assignments: dict[str, bytes] = field(default_factory=dict)
    _deadline: asyncio.TimerHandle | None = None

    async def join(self, member: str, client: str, asked: Subscription) -> Joined:
        """Wait until all members have joined; give the new generation."""
        if member and member not in self._members:
            return Joined(Code.UNKNOWN_MEMBER, member=member)
        if not self._common(asked.protocols):
            return Joined(Code.INCONSISTENT_PROTOCOL, member=member)
        name = member or f"{client}-{uuid4()}"
        found = self._members.get(name) or _Member(name, {}, 0, 0)
        found.protocols = dict(asked.protocols)
        found.session_seconds = asked.session_seconds
        found.rebalance_seconds = asked.rebalance_seconds
        self._members[name] = found
        _silence(found)
        waiting: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        found.joining = waiting
        self._rebalance()
        return await waiting

    async def sync(
        self, member: str, generation: int, assignments: Sequence[tuple[str, bytes]]
    ) -> tuple[int, bytes]:
        """Wait for the leader's assignment; give the member's share of it."""
        code = self._standing(member, generation)
        if code != Code.NONE:
            return code, b""
        found = self._members[member]
        if self.state is State.SYNCING and member == self._leader:
            self._assignments = dict(assignments)
            self.state = State.STABLE
            for each in self._members.values():
                self._expect(each)
                if each.syncing is not None and not each.syncing.done():
                    each.syncing.set_result((Code.NONE, self._assignments.get(each.id, b"")))
        if self.state is State.STABLE:
            return Code.NONE, self._assignments.get(member, b"")
        found.syncing = asyncio.get_running_loop().create_future()
        return await found.syncing

    def heartbeat(self, member: str, generation: int) -> int:
        """Note that a member lives; the code tells it when to join anew."""
        code = self._standing(member, generation)
        if member in self._members:
            self._expect(self._members[member])
        return code

    def leave(self, member: str) -> int:
        """Let a member go; the others share what it had."""
        if member not in self._members:
            return Code.UNKNOWN_MEMBER
        self._remove(member)
        return Code.NONE

    def commit(
        self, member: str, generation: int, offsets: Mapping[tuple[str, int], tuple[int, str]]
    ) -> int:
        """Keep offsets, told by a member of the present generation."""
        if generation >= 0 or self.state is not State.EMPTY:
            code = self._standing(member, generation)
            if code != Code.NONE:
                return code
            self._expect(self._members[member])
        self.offsets.update(offsets)
        return Code.NONE

    def close(self) -> None:
        """Forget the members; what they wait for is told that they are not known."""
        for name in list(self._members):
            self._forget(name)
        self._cancel_deadline()
        self.state = State.EMPTY

    def _standing(self, member: str, generation: int) -> int:
        if member not in self._members:
            return Code.UNKNOWN_MEMBER
        if generation != self.generation:
            return Code.ILLEGAL_GENERATION
        return Code.REBALANCING if self.state is State.JOINING else Code.NONE

    def _common(self, protocols: Mapping[str, bytes]) -> set[str]:
        common = set(protocols)
        for each in self._members.values():
            common &= set(each.protocols)
        return common

    def _rebalance(self) -> None:
        if self.state is not State.JOINING:
            self.state = State.JOINING
            for each in self._members.values():
                if each.syncing is not None and not each.syncing.done():
                    each.syncing.set_result((Code.REBALANCING, b""))
            longest = max(each.rebalance_seconds for each in self._members.values())
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(longest, self._go_on_without_the_late)
        if all(each.joining is not None for each in self._members.values()):
            self._complete()

    def _go_on_without_the_late(self) -> None:
        for each in [each for each in self._members.values() if each.joining is None]:
            self._forget(each.id)
        if self._members:
            self._complete()
        else:
            self.state = State.EMPTY

    def _complete(self) -> None:
        self._cancel_deadline()
        self.generation += 1
        self.state = State.SYNCING
        self._assignments = {}
        members = list(self._members.values())
        if self._leader not in self._members:
            self._leader = members[0].id
        common = self._common(members[0].protocols)
        protocol = next(name for name in members[0].protocols if name in common)
        everyone = [(each.id, each.protocols[protocol]) for each in members]
        for each in members:
            waiting, each.joining, each.syncing = each.joining, None, None
            self._expect(each)
            if waiting is not None and not waiting.done():
                known = everyone if each.id == self._leader else ()
                told = (self.generation, protocol, self._leader, each.id, known)
                waiting.set_result(Joined(Code.NONE, *told))

    def _expect(self, member: _Member) -> None:
        """Remove a member that is not heard of for its session's time."""
        _silence(member)
        if member.joining is None:
            loop = asyncio.get_running_loop()
            member.expiry = loop.call_later(member.session_seconds, self._remove, member.id)

    def _remove(self, member: str) -> None:
        self._forget(member)
        if self._members:
            self._rebalance()
        else:
            self._cancel_deadline()
            self.state = State.EMPTY

    def _forget(self, member: str) -> None:
        gone = self._members.pop(member)
        _silence(gone)
        if gone.joining is not None and not gone.joining.done():
            gone.joining.set_result(Joined(Code.UNKNOWN_MEMBER, member=member))
        if gone.syncing is not None and not gone.syncing.done():
            gone.syncing.set_result((Code.UNKNOWN_MEMBER, b""))

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _silence(member: _Member) -> None:
    if member.expiry is not None:
        member.expiry.cancel()
        member.expiry = None
