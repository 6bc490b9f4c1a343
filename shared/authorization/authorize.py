"""A tap answered within its budget: what is known read, the rules asked, the policy at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from shared.authorization.audit import Audit, Entry
from shared.authorization.facts import Fact, Facts
from shared.authorization.rules import (
    ON_REMEMBERED_FACTS,
    Policy,
    Situation,
    decide,
    must_count_group,
    still_open,
)
from shared.authorization.taps import Cause, Decision, Source, Tap, read_tap, told_charger
from shared.authorization.unknown_tags import MANY_UNKNOWN_TAGS, Guessing
from shared.chargers.known import KnownCharger
from shared.errors import EmablerFunctionsError, StoreUnavailableError
from shared.instants import Clock
from shared.storage.rows import Tables
from shared.storage.together import all_done
from shared.tags.groups import Group, read_members
from shared.tags.reading import KnownTag, read_tag
from shared.tags.spellings import hashes_of
from shared.telemetry import LOGGER


class Fallback(StrEnum):
    """What answers a tap when the store does not."""

    DEFER = "defer"
    DENY = "deny"
    LAST_KNOWN = "last-known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator set for taps. Times in seconds where they are plain numbers."""

    hash_keys: Sequence[bytes]
    buckets: int
    spellings: Sequence[str] = ()
    longest_open: timedelta = timedelta(hours=24)
    budget: float = 1.5
    facts_last: float = 30.0
    fallback: Fallback = Fallback.DEFER


class LastKnown(Protocol):
    """Tags that may charge while the store is away, and what this worker read of them since."""

    def note(
        self,
        hashes: Sequence[str],
        charger: str,
        decision: Decision,
        read: datetime,
        until: datetime | None = None,
    ) -> None:
        """Take note of a decision that was read live at an instant, and of when it ends."""
        ...

    def decide(self, hashes: Sequence[str], charger: str, now: datetime) -> Decision | None:
        """Decide from what is known; None where that is nothing or too old."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of a tap, for the answer, the telemetry and the audit."""

    charger: str
    decision: Decision
    milliseconds: float
    charger_judged: bool | None = None
    error: Exception | None = None
    findings: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A live decision, what it was made from, and whether chargers were judged."""

    situation: Situation
    policy: Policy
    decision: Decision

    @property
    def until(self) -> datetime | None:
        """When the decision ends by itself, where that is known: a tag becomes valid."""
        tag = self.situation.tag
        return tag.valid_from if tag and self.decision.cause is Cause.NOT_YET_VALID else None


class Authorization:
    """Answers taps from the store, within the budget, and notes each of them in the audit."""

    def __init__(
        self,
        tables: Tables,
        terms: Terms,
        *,
        clock: Clock,
        audit: Audit | None = None,
        last_known: LastKnown | None = None,
    ) -> None:
        self._tables = tables
        self._terms = terms
        self._clock = clock
        self._facts = Facts(tables, buckets=terms.buckets, lasting=terms.facts_last)
        self._last_known = last_known
        self._guessing = Guessing()
        self.audit = audit

    async def authorize(self, fields: Mapping[str, Any], *, began: float | None = None) -> Answered:
        """Decide the tap that these fields are, whatever the store does.

        Args:
            fields: The tap's body.
            began: When the request began, by the event loop's clock: the budget counts from there.
        """
        loop = asyncio.get_running_loop()
        began = loop.time() if began is None else began
        tap = read_tap(fields)
        hashes: Sequence[str] = ()
        judged: Judged | None = None
        error: Exception | None = None
        if tap is None:
            decision = Decision(allowed=False, cause=Cause.INVALID_TAP)
        else:
            hashes = hashes_of(tap.tag, self._terms.hash_keys, self._terms.spellings)
            try:
                judged = await self._judge_in_time(tap, hashes, began)
                decision = judged.decision
            except Exception as failure:  # noqa: BLE001 - a driver gets an answer, never a 500
                error = failure
                decision = self._fall_back(hashes, tap.charger, failure)
        answered = Answered(
            charger=told_charger(fields),
            decision=decision,
            milliseconds=(loop.time() - began) * 1000,
            charger_judged=judged.policy.chargers_are_judged if judged else None,
            error=error,
        )
        return self._note(answered, tap.tag if tap else "", hashes[0] if hashes else "")

    async def _judge_in_time(self, tap: Tap, hashes: Sequence[str], began: float) -> Judged:
        read = self._clock()
        try:
            # The SDK's own time-outs and retries add up to more; a driver waits seconds.
            async with asyncio.timeout_at(began + self._terms.budget):
                judged = await self.judge(tap, hashes)
        except TimeoutError as error:
            raise StoreUnavailableError(
                "the store did not answer within the budget", code=str(Cause.BUDGET_USED_UP)
            ) from error
        if self._last_known is not None:
            self._last_known.note(hashes, tap.charger, judged.decision, read, judged.until)
        return judged

    async def judge(self, tap: Tap, hashes: Sequence[str], *, fresh: bool = False) -> Judged:
        """Decide a tap from the store, with no budget of its own.

        Args:
            tap: The tap.
            hashes: What its tag may lie under, see `read_tag`.
            fresh: Read all facts, remember none.

        Raises:
            StoreUnavailableError: Something cannot be read now.
        """
        since = self._clock() - self._terms.longest_open
        known, charger = await asyncio.gather(
            read_tag(self._tables, hashes, since),
            self._facts.chargers.get(tap.charger, again=fresh),
        )
        group = await self._group(known, again=fresh)
        judged = await self._decide(tap, known, charger, group)
        remembered = not charger.fresh or (group is not None and not group.fresh)
        if judged.decision.cause in ON_REMEMBERED_FACTS and remembered:
            charger, group = await asyncio.gather(
                self._facts.chargers.get(tap.charger, again=True), self._group(known, again=True)
            )
            judged = await self._decide(tap, known, charger, group)
        return judged

    async def _group(self, known: KnownTag, *, again: bool) -> Fact[Group | None] | None:
        if known.tag is None or known.tag.group is None:
            return None
        return await self._facts.groups.get(known.tag.group, again=again)

    async def _decide(
        self,
        tap: Tap,
        known: KnownTag,
        charger: Fact[KnownCharger],
        group: Fact[Group | None] | None,
    ) -> Judged:
        policy = Policy(
            longest_open=self._terms.longest_open,
            chargers_are_judged=await self._facts.may_be_judged(charger.value),
        )
        situation = Situation(
            charger_id=tap.charger,
            charger=charger.value,
            tag=known.tag,
            group=group.value if group else None,
            open_sessions=known.open_sessions,
        )
        decision = decide(situation, policy, self._clock())
        if must_count_group(situation, decision):
            counted = await self._count(situation.group, policy) if situation.group else 0
            situation = replace(situation, group_sessions=counted)
            decision = decide(situation, policy, self._clock())
        return Judged(situation, policy, decision)

    async def _count(self, group: Group, policy: Policy) -> int:
        """Count the open sessions of a group's tags, asking each of them."""
        members = await read_members(self._tables, group.name)
        found = await all_done(self._sessions_of(each, group, policy) for each in members)
        # While tags are moved to a new key, one tag may be a member twice: its sessions count once.
        return len(set().union(*found))

    async def _sessions_of(self, hashed: str, group: Group, policy: Policy) -> set[str]:
        now = self._clock()
        since = now - policy.longest_open
        known = await read_tag(self._tables, [hashed], since)
        if known.tag is None or known.tag.group != group.name:
            return set()
        others = hashes_of(known.tag.tag, self._terms.hash_keys, self._terms.spellings)
        if others != [hashed]:
            known = await read_tag(self._tables, list(dict.fromkeys([hashed, *others])), since)
        return {each.session for each in known.open_sessions if still_open(each, policy, now)}

    def _fall_back(self, hashes: Sequence[str], charger: str, error: Exception) -> Decision:
        """What the operator's policy answers in place of the store."""
        cause = Cause.STORE_UNAVAILABLE
        if isinstance(error, StoreUnavailableError) and error.code == Cause.BUDGET_USED_UP:
            cause = Cause.BUDGET_USED_UP
        elif not isinstance(error, EmablerFunctionsError):
            cause = Cause.UNEXPECTED
        if self._terms.fallback is Fallback.DENY:
            return Decision(allowed=False, cause=cause, source=Source.POLICY)
        if self._terms.fallback is Fallback.LAST_KNOWN and self._last_known is not None:
            decision = self._last_known.decide(hashes, charger, self._clock())
            if decision is not None:
                return decision
        return Decision(allowed=None, cause=cause, source=Source.POLICY)

    def _note(self, answered: Answered, tag: str, hashed: str) -> Answered:
        entry = Entry(
            at=self._clock(),
            charger=answered.charger,
            tag=tag,
            hashed=hashed,
            decision=answered.decision,
            milliseconds=answered.milliseconds,
            charger_judged=answered.charger_judged,
            error_code=getattr(answered.error, "code", None),
        )
        if self.audit is not None:
            self.audit.note(entry)
        if entry.decision.cause is Cause.UNKNOWN_TAG and self._guessing.tries_many(entry):
            LOGGER.warning("%s: charger %s", MANY_UNKNOWN_TAGS, ascii(entry.charger))
            return replace(answered, findings={MANY_UNKNOWN_TAGS: 1})
        return answered
