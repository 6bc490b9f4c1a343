"""The steps of a smoke test: each does one thing, says what it saw, and what to do if it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import httpx

from management.smoke.marked import ENERGY_WH, Marked
from management.smoke.traces import Traces
from management.words import counted
from shared.identifiers import hash_tag
from shared.messaging.queue import ServiceBusQueue
from shared.rooms import Rooms
from shared.sessions.summary import State, is_summary
from shared.storage.rows import Row
from shared.tags.changing import change_tag
from shared.tags.records import Tag

_OK = 200
_LOOK_EVERY_SECONDS = 0.5
_CALL_SECONDS = 60.0


class StepFailedError(Exception):
    """A step did not see what it should have seen."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it does, and what to do when it fails."""

    name: str
    run: Callable[[], Awaitable[str]]
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """A marked run through one deployed app."""

    rooms: Rooms
    marked: Marked
    traces: Traces
    queue: ServiceBusQueue
    sender: str
    url: str
    seconds: float

    def steps(self) -> list[Step]:
        """All steps in their order. Taking out what was put in is the caller's."""
        return [
            Step("store", self._store, "python manage.py doctor, with the same --env"),
            Step(
                "tag",
                self._tag,
                "the role Storage Table Data Contributor on the tables tags and tagroster",
            ),
            Step(
                "send",
                self._send,
                "python manage.py doctor; with `sas`, whether the vault's secret "
                "emabler-service-bus is the queue's key, else the role Service Bus Data Sender",
            ),
            Step(
                "journal",
                self._journal,
                "look whether ingest_push_events runs and what its wide event says "
                "(docs/telemetry.md); python manage.py parked list",
            ),
            Step(
                "session",
                self._session,
                "python manage.py sessions show CHARGER TRANSACTION tells what push said",
            ),
            Step(
                "webhook",
                self._webhook,
                "no answer: does the address lead to the app, and does it run? 401: the app has "
                "another WEBHOOK_AUTHORIZATION than the vault; 403: your address is not among "
                "emablerAddresses and operatorAddresses, or the app is stopped; 5xx: the log of "
                "push_webhook",
            ),
            Step(
                "tap",
                self._tap,
                "python manage.py authorize CHARGER TAG tells the reason; 503: a setting of the "
                "app is wrong (settings.problems of its status), or it reads its tables slowly, or "
                "may not",
            ),
            Step("audit", self._audit, "the log of push_webhook: audit_waiting, audit_lost"),
        ]

    async def _store(self) -> str:
        await self.rooms.stamp.check()
        return f"belongs to eMabler {self.rooms.settings['EMABLER_ENVIRONMENT']}"

    async def _tag(self) -> str:
        key = self.rooms.tag_hash_key
        tag = Tag(tag=self.marked.tag)
        await change_tag(self.rooms.tables, hash_tag(tag.tag, key), key, lambda _: tag)
        return "a tag of this run may charge"

    async def _send(self) -> str:
        for body in self.marked.session():
            await self.queue.send(body, content_type="application/json")
        return f"start and end of a session, sent with {self.sender}"

    async def _journal(self) -> str:
        wanted = len(self.marked.session())
        rows = await self._until(self.traces.events, lambda found: len(found) >= wanted)
        return counted(len(rows), "events")

    async def _session(self) -> str:
        def ended(found: list[Row]) -> bool:
            return any(
                is_summary(row)
                and row.columns["state"] == State.ENDED
                and row.columns.get("energy_wh") == ENERGY_WH
                for row in found
            )

        await self._until(self.traces.sessions, ended)
        await self._until(self.traces.tags, lambda found: len(found) > 1)
        return f"ended, with {ENERGY_WH} Wh, and found by its tag"

    async def _webhook(self) -> str:
        before = len(await self.traces.events())
        answer = await self._call(self.marked.state())
        await self._until(self.traces.events, lambda found: len(found) > before)
        await self._until(self.traces.chargers, bool)
        return f"{answer.status_code}, and the charger's state is there"

    async def _tap(self) -> str:
        began = monotonic()
        answer = await self._call(self.marked.tap())
        took = (monotonic() - began) * 1000
        try:
            told = answer.json()
        except ValueError:
            told = {}
        if told.get("charging_allowed") is not True:
            raise StepFailedError(f"the tap was answered {told or answer.status_code}")
        return f"{answer.status_code}, allowed, in {took:.0f} ms"

    async def _audit(self) -> str:
        (row, *_) = await self._until(self.traces.taps, bool)
        return ", ".join(str(row.columns[name]) for name in ("decision", "cause", "source"))

    async def _call(self, body: bytes) -> httpx.Response:
        headers = {
            "Authorization": str(self.rooms.settings["WEBHOOK_AUTHORIZATION"]),
            "Content-Type": "application/json",
        }
        # A proxy of the machine leads out of it, never to the machine itself.
        trust = self.url.startswith("https:")
        try:
            async with httpx.AsyncClient(timeout=_CALL_SECONDS, trust_env=trust) as client:
                answer = await client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            message = f"{self.url} does not answer: {type(error).__name__}"
            raise StepFailedError(message) from error
        if answer.status_code != _OK:
            message = f"{self.url} answered {answer.status_code}"
            raise StepFailedError(message)
        return answer

    async def _until(
        self, look: Callable[[], Awaitable[list[Row]]], right: Callable[[list[Row]], bool]
    ) -> list[Row]:
        """Look until what is there is right, for as long as was given."""
        until = monotonic() + self.seconds
        while not right(found := await look()):
            if parked := await self.traces.parked():
                row = parked[0].columns
                message = f"a message was parked: {row['reason']!s}, {row['detail']!s}"
                raise StepFailedError(message)
            if monotonic() >= until:
                message = (
                    f"{counted(len(found), 'rows')} after {self.seconds:.0f} s, none as wanted"
                )
                raise StepFailedError(message)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return found
