"""Silence: REST lists sessions of which push told nothing; and why that most likely is.

A charger is silent when push told of none of its latest sessions that were looked at, the whole
push when it told of none of any charger. One that began just now proves nothing: its events may be
on their way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.chargers.reading import read_push_enabled
from shared.emabler.client import EmablerClient
from shared.errors import RestRefusedError, RestUnavailableError
from shared.identifiers import identifier_of, key_part
from shared.reconciliation.findings import Finding, FindingClass
from shared.storage.rows import Tables

EVERYWHERE = "push"
"""What the finding is about that push is silent for all chargers."""

FEWEST = 3
"""So many sessions at least are looked at before anything is called silent."""

DELAY = timedelta(minutes=30)
"""A session that began so short a time ago may be told of yet."""

CAUSES: Mapping[str, str] = {
    "push_off_at_charger": "the inventory says that push is off for the charger: switch it on at "
    "eMabler (`pushIntegrationEnabled`)",
    "no_push_configuration": "eMabler lists no push configuration: make one in Connect, Settings, "
    "Developers, Push API",
    "push_switched_off": "eMabler says of each push configuration that it is not enabled: switch "
    "one on in Connect, Settings, Developers, Push API",
    "no_push_endpoint": "eMabler's push configurations have no endpoint: give one this app's queue "
    "or webhook",
    "no_push_messages": "eMabler's push configurations have no type of message switched on",
    "permission_missing": "the key may not read push configurations: grant ReadIntegrations to its "
    "operator, or look in Connect, Settings, Developers, Push API",
    "unknown": "push is set up as far as eMabler tells: look at what the queue and the webhook "
    "refused, at ingestion, and at the charger's connection",
}
"""Likely causes, and what to do; docs/reconciliation.md holds the same table."""

_MOST_CONFIGURATIONS = 20
_MOST_CHARGERS = 100
"""Of more silent chargers in one run the cause is not looked for one by one."""


@dataclass(slots=True)
class PushSeen:
    """Of which sessions that REST lists push told something, and of which it did not.

    By charger, as a part of a key. `heard`: the latest start among those that it told of. `missed`:
    the others by their key, each with its start. Starts are instants as text. What a run sees twice
    is one session. Of each charger the `FEWEST` latest are held: earlier ones decide nothing, and a
    silent fleet's would fill the memory.
    """

    heard: dict[str, str] = field(default_factory=dict)
    missed: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def note(self, charger: str, session: str, start: str, *, pushed: bool) -> None:
        """Note one session."""
        missed = self.missed[charger]
        if pushed:
            self.heard[charger] = max(start, self.heard.get(charger, ""))
            missed.pop(session, None)
        else:
            missed[session] = start
            if len(missed) > FEWEST:
                del missed[min(missed, key=missed.__getitem__)]

    def add(self, other: PushSeen) -> None:
        """Add what another window showed later."""
        for charger, missed in other.missed.items():
            for session, start in missed.items():
                self.note(charger, session, start, pushed=False)
        for charger, start in other.heard.items():
            self.heard[charger] = max(start, self.heard.get(charger, ""))

    def since(self, charger: str) -> int:
        """Of how many sessions of a charger push did not tell, after the last one that it told of.

        It may have fallen silent among those that are seen, and have lost an event before.
        """
        last = self.heard.get(charger, "")
        return sum(start > last for start in self.missed.get(charger, {}).values())


def silent(seen: PushSeen) -> Iterator[str | None]:
    """The chargers of whose sessions push told nothing; None alone: it told nothing of any.

    One charger alone says nothing of the others.
    """
    chargers = [charger for charger, missed in seen.missed.items() if missed]
    many = sum(map(len, seen.missed.values())) >= FEWEST
    if not seen.heard and many and len(chargers) > 1:
        yield None
        return
    for charger in sorted(chargers):
        if seen.since(charger) >= FEWEST:
            yield charger


@dataclass(frozen=True, slots=True)
class Silence:
    """What was found of silence: `findings`, and what was looked at (`compared`) for them."""

    findings: tuple[Finding, ...]
    compared: frozenset[str]


async def find_silence(
    seen: PushSeen, client: EmablerClient, tables: Tables, *, buckets: int, as_of: datetime
) -> Silence:
    """Where push is silent, with its likely cause as eMabler tells it.

    Raises:
        StoreUnavailableError: What the inventory says cannot be read now.
    """
    found = list(silent(seen))
    cause = await _cause_of_all(client) if found else "unknown"
    findings: list[Finding] = []
    for number, charger in enumerate(found):
        own = cause
        identifier = None if charger is None else identifier_of(charger)
        if identifier is not None and number < _MOST_CHARGERS:
            enabled = await read_push_enabled(tables, identifier, buckets=buckets)
            own = "push_off_at_charger" if enabled is False else cause
        findings.append(
            Finding(
                FindingClass.PUSH_SILENT,
                None,
                as_of,
                charger=identifier,
                emabler={"cause": own},
                subject=subject_of(charger),
            )
        )
    # Of one or two sessions that were missed nobody can say that push speaks again.
    speaking = [charger for charger in seen.heard if not seen.since(charger)]
    compared = {about(charger) for charger in (*found, *speaking)}
    if seen.heard:
        compared.add(about(None))
    return Silence(tuple(findings), frozenset(compared))


def subject_of(charger: str | None) -> str:
    """What a finding of silence is about."""
    return EVERYWHERE if charger is None else f"{EVERYWHERE} {charger}"


def about(charger: str | None) -> str:
    """`Finding.about` of it."""
    return f"!{key_part(subject_of(charger))}"


async def _cause_of_all(client: EmablerClient) -> str:
    """Why push may be silent wherever it is, by eMabler's push configurations."""
    try:
        configurations = (await client.push_configurations())[:_MOST_CONFIGURATIONS]
        if not configurations:
            return "no_push_configuration"
        # No field of a configuration is documented: this one counts where it is told.
        if all(each.item.get("enabled") is False for each in configurations):
            return "push_switched_off"
        endpoints = [await client.push_endpoints(each.id) for each in configurations]
        if not any(endpoints):
            return "no_push_endpoint"
        messages = [await client.push_messages(each.id) for each in configurations]
        return "unknown" if any(messages) else "no_push_messages"
    except RestRefusedError as error:
        return "permission_missing" if error.code == "rest_permission_missing" else "unknown"
    except RestUnavailableError:
        return "unknown"
