"""Where push and eMabler differ on one session, and what eMabler says otherwise than before. Pure.

Each is a finding with both values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.emabler.models.reading import finite
from shared.identifiers import key_part
from shared.instants import format_instant, parse_instant
from shared.reconciliation.comparing import Told
from shared.reconciliation.findings import TAG, Finding, FindingClass
from shared.sessions.claims import Claim
from shared.storage.rows import Value

type HashTag = Callable[[str], str]
"""The keyed hash that stands for a tag in a finding."""

COST = "totalCostInclVat"

_NOTABLE = frozenset(
    ("conflict", "rests", *(f"push_{n}" for n in ("start", "end", "energy_wh", "tag", "socket")))
)
"""Columns of a REST row of which one at least is there where anything differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """By how much the stop and REST may differ before it is a finding.

    Energies agree within the larger of `energy_wh` and `energy_share` of what REST says.
    """

    energy_wh: float = 100.0
    energy_share: float = 0.01
    time: timedelta = timedelta(seconds=120)


def differences(
    told: Told, tolerances: Tolerances, as_of: datetime, hash_tag: HashTag
) -> Iterator[Finding]:
    """Where push and REST differ, by the row of the REST answer that counts."""
    columns = told.row.columns
    if _NOTABLE.isdisjoint(columns):
        return

    def finding(
        cls: FindingClass, store: Mapping[str, Value], emabler: Mapping[str, Value]
    ) -> Finding:
        return finding_on(told, cls, as_of, store, emabler)

    if "conflict" in columns:
        yield finding(FindingClass.CONFLICT, {"findings": columns["conflict"]}, {})
    if "rests" in columns:
        # Which of the items the push events are of, nobody can tell.
        yield finding(FindingClass.REST_ITEMS_CONFLICT, {}, {"items": columns["rests"]})
        return
    pushed, rest = columns.get("push_energy_wh"), columns.get("energy_wh")
    if _energies_differ(pushed, rest, tolerances):
        yield finding(
            FindingClass.ENERGY_DIFFERS, {"energy_wh": pushed or 0}, {"energy_wh": rest or 0}
        )
    times = _times(told, tolerances)
    if times:
        store = {name: one for name, (one, _) in times.items()}
        yield finding(FindingClass.TIME_DIFFERS, store, {n: two for n, (_, two) in times.items()})
    pushed, rest = columns.get("push_tag"), columns.get("tag")
    if pushed is not None and rest is not None:
        store = {TAG: hash_tag(str(pushed))}
        yield finding(FindingClass.TAG_DIFFERS, store, {TAG: hash_tag(str(rest))})
    pushed, rest = columns.get("push_socket"), columns.get("socket")
    if pushed is not None and rest is not None:
        yield finding(FindingClass.SOCKET_DIFFERS, {"socket": pushed}, {"socket": rest})


def finding_on(
    told: Told,
    cls: FindingClass,
    as_of: datetime,
    store: Mapping[str, Value],
    emabler: Mapping[str, Value],
) -> Finding:
    """A finding on the session of a row."""
    return Finding(
        cls,
        told.session,
        as_of,
        charger=told.charger,
        transaction=told.transaction,
        store=store,
        emabler=emabler,
        end=told.end,
    )


def _energies_differ(pushed: Value | None, rest: Value | None, tolerances: Tolerances) -> bool:
    if pushed is None or rest is None:
        return False
    within = max(tolerances.energy_wh, tolerances.energy_share * abs(float(rest)))
    return abs(float(pushed) - float(rest)) > within


def _times(told: Told, tolerances: Tolerances) -> dict[str, tuple[Value, Value]]:
    columns = told.row.columns
    rest = {"start": columns.get("start"), "end": format_instant(told.end) if told.end else None}
    found: dict[str, tuple[Value, Value]] = {}
    for name, text in rest.items():
        pushed = columns.get(f"push_{name}")
        if pushed is None or text is None:
            continue
        one, other = parse_instant(str(pushed)), parse_instant(str(text))
        if one is not None and other is not None and abs(one - other) > tolerances.time:
            found[name] = pushed, text
    return found


def change_of(before: Claim, after: Claim, as_of: datetime, hash_tag: HashTag) -> Finding | None:
    """The finding that a REST answer is another one than before, in what is compared or billed."""
    return _change(says(before, hash_tag), says(after, hash_tag), after, as_of)


def replaced(
    gone: Sequence[Claim], counting: Claim, as_of: datetime, hash_tag: HashTag
) -> Finding | None:
    """The finding that eMabler lists REST items no more: what the last one said, and what counts.

    Args:
        gone: The items as they were, at least one.
        counting: The REST answer that the session shows now.
        as_of: The instant before eMabler was asked.
        hash_tag: What stands for a tag.
    """
    names = ",".join(sorted(key_part(claim.name) for claim in gone))
    last = max(gone, key=lambda c: (format_instant(c.observed) if c.observed else "", c.name))
    old: dict[str, Value] = {"rest_id": names} | says(last, hash_tag)
    new: dict[str, Value] = {"rest_id": key_part(counting.name)} | says(counting, hash_tag)
    return _change(old, new, counting, as_of)


def _change(
    old: Mapping[str, Value], new: Mapping[str, Value], after: Claim, as_of: datetime
) -> Finding | None:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not names:
        return None
    return Finding(
        FindingClass.CHANGED_AT_EMABLER,
        after.session,
        as_of,
        charger=after.charger,
        transaction=after.transaction,
        store={name: old[name] for name in names if name in old},
        emabler={name: new[name] for name in names if name in new},
        end=after.end,
    )


def cost_in(claim: Claim) -> float | None:
    """What eMabler charges for the session, taxes included, by REST's whole answer."""
    try:
        answer = json.loads(claim.body or "{}")
    except ValueError:
        return None
    return finite(answer.get(COST)) if isinstance(answer, dict) else None


def says(claim: Claim, hash_tag: HashTag) -> dict[str, Value]:
    """What a REST answer says, as a finding holds it."""
    values: dict[str, Value | None] = {
        "start": format_instant(claim.start) if claim.start else None,
        "end": format_instant(claim.end) if claim.end else None,
        "energy_wh": claim.energy_wh,
        "socket": claim.socket,
        TAG: hash_tag(claim.tag) if claim.tag else None,
        COST: cost_in(claim),
    }
    return {name: value for name, value in values.items() if value is not None}
