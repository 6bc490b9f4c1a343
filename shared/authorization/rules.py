"""The rules as one pure function: what is known of tag, group, charger and sessions, and now.

`RULES` are tried in their order, and the first that applies decides. `docs/authorization.md` holds
the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.authorization.taps import Cause, Decision
from shared.chargers.known import KnownCharger
from shared.identifiers import key_part
from shared.tags.groups import Group
from shared.tags.reading import OpenSession
from shared.tags.records import EVERYWHERE, Scope, Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator set for all taps.

    `longest_open` is how long a session counts as open at most. `chargers_are_judged` is false
    while no inventory was ever loaded: that a charger is not known then says nothing of it.
    """

    longest_open: timedelta = timedelta(hours=24)
    chargers_are_judged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when a tag is held to a charger.

    `group` is the tag's; None where it has none, or where there is none of that name.
    `group_sessions` is how many sessions its tags have open; None while nobody counted.
    """

    charger_id: str
    charger: KnownCharger
    tag: Tag | None
    group: Group | None = None
    open_sessions: tuple[OpenSession, ...] = ()
    group_sessions: int | None = None

    @property
    def scope(self) -> Scope:
        """The tag's own scope, else its group's."""
        if self.tag is not None and self.tag.scope:
            return self.tag.scope
        return self.group.scope if self.group is not None else EVERYWHERE


type _Applies = Callable[[Situation, Policy, datetime], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it applies, in words and in code, and what follows."""

    cause: Cause
    when: str
    applies: _Applies
    allows: bool = False


def still_open(session: OpenSession, policy: Policy, now: datetime) -> bool:
    """Whether a session counts as open: for less than the longest time that one is open."""
    return now - session.start < policy.longest_open


def _open(situation: Situation, policy: Policy, now: datetime) -> list[OpenSession]:
    return [each for each in situation.open_sessions if still_open(each, policy, now)]


def _is_stop(situation: Situation, policy: Policy, now: datetime) -> bool:
    here = key_part(situation.charger_id)
    return any(session.charger == here for session in _open(situation, policy, now))


def _charger_unknown(situation: Situation, policy: Policy, _now: datetime) -> bool:
    return policy.chargers_are_judged and not situation.charger.known


def _expired(situation: Situation, _policy: Policy, now: datetime) -> bool:
    until = situation.tag.valid_until if situation.tag else None
    return until is not None and now >= until


def _not_yet_valid(situation: Situation, _policy: Policy, now: datetime) -> bool:
    begin = situation.tag.valid_from if situation.tag else None
    return begin is not None and now < begin


def _group_unknown(situation: Situation, _policy: Policy, _now: datetime) -> bool:
    return situation.tag is not None and situation.tag.group is not None and not situation.group


def _group_expired(situation: Situation, _policy: Policy, now: datetime) -> bool:
    until = situation.group.valid_until if situation.group else None
    return until is not None and now >= until


def _within(situation: Situation) -> bool:
    scope = situation.scope
    return (
        not scope
        or situation.charger_id in scope.chargers
        or not set(scope.sites).isdisjoint(situation.charger.sites)
    )


def _site_unknown(situation: Situation, _policy: Policy, _now: datetime) -> bool:
    asked = bool(situation.scope.sites) and not situation.charger.sites
    return asked and not _within(situation)


def _tag_limit(situation: Situation, policy: Policy, now: datetime) -> bool:
    most = situation.tag.most_sessions if situation.tag else None
    return most is not None and len(_open(situation, policy, now)) >= most


def _group_limit(situation: Situation, _policy: Policy, _now: datetime) -> bool:
    most = situation.group.most_sessions if situation.group else None
    counted = situation.group_sessions
    return most is not None and counted is not None and counted >= most


RULES: tuple[Rule, ...] = (
    Rule(
        Cause.STOP,
        "the tag has a session open on this very charger: the tap is a stop, whatever else holds",
        _is_stop,
        allows=True,
    ),
    Rule(
        Cause.UNKNOWN_CHARGER,
        "an inventory was loaded, and neither it nor any event ever told of the charger",
        _charger_unknown,
    ),
    Rule(Cause.UNKNOWN_TAG, "no record of the tag", lambda known, *_: known.tag is None),
    Rule(
        Cause.BLOCKED,
        "the tag is blocked",
        lambda known, *_: known.tag is not None and known.tag.blocked,
    ),
    Rule(Cause.EXPIRED, "`valid_until` of the tag is reached", _expired),
    Rule(Cause.NOT_YET_VALID, "`valid_from` of the tag is not reached", _not_yet_valid),
    Rule(Cause.GROUP_UNKNOWN, "the tag names a group, and there is no such group", _group_unknown),
    Rule(
        Cause.GROUP_BLOCKED,
        "the tag's group is blocked",
        lambda known, *_: known.group is not None and known.group.blocked,
    ),
    Rule(Cause.GROUP_EXPIRED, "`valid_until` of the tag's group is reached", _group_expired),
    Rule(
        Cause.SITE_UNKNOWN,
        "the scope names sites and not this charger, and nothing told the charger's site",
        _site_unknown,
    ),
    Rule(
        Cause.OUT_OF_SCOPE,
        "the scope (the tag's, else its group's) names neither the charger nor its site",
        lambda known, *_: not _within(known),
    ),
    Rule(
        Cause.TAG_LIMIT,
        "the tag has as many sessions open as it may have (`most_sessions`)",
        _tag_limit,
    ),
    Rule(
        Cause.GROUP_LIMIT,
        "the tags of its group together have as many sessions open as they may have",
        _group_limit,
    ),
    Rule(
        Cause.KNOWN_TAG,
        "nothing above applies",
        lambda *_: True,
        allows=True,
    ),
)
"""The decision table. The last rule always applies."""

ON_REMEMBERED_FACTS = frozenset(
    (
        Cause.UNKNOWN_CHARGER,
        Cause.GROUP_UNKNOWN,
        Cause.GROUP_BLOCKED,
        Cause.GROUP_EXPIRED,
        Cause.SITE_UNKNOWN,
        Cause.OUT_OF_SCOPE,
        Cause.GROUP_LIMIT,
    )
)
"""Denials that rest on what is remembered of charger and group; those of the tag's own row never
do. Before one is given, the facts are read again."""

OF_THE_TAG = frozenset(
    (
        Cause.UNKNOWN_TAG,
        Cause.BLOCKED,
        Cause.EXPIRED,
        Cause.NOT_YET_VALID,
        Cause.GROUP_UNKNOWN,
        Cause.GROUP_BLOCKED,
        Cause.GROUP_EXPIRED,
    )
)
"""Denials that hold at every charger: what a worker remembers of them outlasts a snapshot."""

OF_SESSIONS = frozenset((Cause.TAG_LIMIT, Cause.GROUP_LIMIT))
"""Denials that rest on open sessions alone: the tag itself may charge here."""


def decide(situation: Situation, policy: Policy, now: datetime) -> Decision:
    """Decide a tap: the first rule that applies. Bounds are exact to the microsecond."""
    rule = next(rule for rule in RULES if rule.applies(situation, policy, now))
    return Decision(
        allowed=rule.allows,
        cause=rule.cause,
        tag_kind=situation.tag.kind if situation.tag else None,
    )


def must_count_group(situation: Situation, decision: Decision) -> bool:
    """Whether the decision waits for a count of the group's sessions: an allowance with a limit."""
    limited = situation.group is not None and situation.group.most_sessions is not None
    return decision.cause is Cause.KNOWN_TAG and limited and situation.group_sessions is None
