"""The audit of taps: a row for each decision, written beside the answer and never in its way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Protocol
from uuid import uuid4

from shared.authorization.taps import Decision
from shared.errors import RowRejectedError
from shared.identifiers import bucket_of, key_part, normalise_tag
from shared.instants import day_of, format_instant
from shared.storage.rows import SCHEMA, Row, Tables, Value
from shared.storage.tables import AUTHORIZATIONS
from shared.storage.together import upsert_all
from shared.telemetry import LOGGER

RETRIED_FOR_SECONDS = 600.0
MOST_WAITING = 50_000
_AT_ONCE = 800
_LINGER_SECONDS = 0.1
_LONGEST_PAUSE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decided tap. `charger` and `tag` are empty where an invalid tap told none."""

    at: datetime
    charger: str
    tag: str
    hashed: str
    decision: Decision
    milliseconds: float
    charger_judged: bool | None = None
    error_code: str | None = None


def audit_row(entry: Entry, *, buckets: int, name: str) -> Row:
    """The entry as a row: a charger's day is one range, a day as many as there are buckets.

    `name` tells taps of one instant apart. The tag is in a column only.
    """
    decision, at = entry.decision, format_instant(entry.at)
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "charger": entry.charger,
        "at": at,
        "decision": decision.word,
        "cause": str(decision.cause),
        "source": str(decision.source),
        "milliseconds": round(entry.milliseconds, 1),
    }
    optional: dict[str, Value | None] = {
        "tag": normalise_tag(entry.tag) if entry.tag else None,
        "tag_hash": entry.hashed or None,
        "reason": str(decision.reason) if decision.reason else None,
        "charger_judged": entry.charger_judged,
        "error_code": entry.error_code,
    }
    columns |= {column: value for column, value in optional.items() if value is not None}
    return Row(
        f"{bucket_of(entry.charger, buckets)}-{day_of(entry.at)}",
        f"{key_part(entry.charger)}|{at}|{name}",
        columns,
    )


class Inbox(Protocol):
    """Takes in the taps of unknown tags."""

    async def take(self, entries: Sequence[Entry], noted: Callable[[Entry], None]) -> None:
        """Note them; `noted` is told of each that is.

        Raises:
            StoreUnavailableError: Some may be noted, the others are not.
        """
        ...


@dataclass(slots=True)
class _Waiting:
    row: Row
    entry: Entry
    since: float
    written: bool = False
    noted: bool = False


class Audit:
    """Writes entries in group transactions, in a task of its own.

    What cannot be written is tried again for ten minutes, then counted as lost and logged as an
    error. `lost` counts since the start of the worker.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        buckets: int,
        inbox: Inbox | None = None,
        linger: float = _LINGER_SECONDS,
        retried_for: float = RETRIED_FOR_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tables = tables
        self._buckets = buckets
        self._inbox = inbox
        self._linger = linger
        self._retried_for = retried_for
        self._sleep = sleep
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self.lost = 0
        self._lost_told = 0

    @property
    def waiting(self) -> int:
        """How many entries are not written yet."""
        return len(self._queue)

    def lost_since_told(self) -> int:
        """How many entries were lost since this was asked before; they count as told now."""
        since, self._lost_told = self.lost - self._lost_told, self.lost
        return since

    def note(self, entry: Entry) -> None:
        """Take an entry; it is written soon. Never waits, never raises."""
        row = audit_row(entry, buckets=self._buckets, name=uuid4().hex[:12])
        self._queue.append(_Waiting(row, entry, monotonic()))
        if len(self._queue) > MOST_WAITING:
            self._count_lost([self._queue.popleft()])
        if self._task is None or self._task.done():
            # A context of its own: its requests are no invocation's.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def written(self) -> None:
        """Wait until all that was noted is written or lost."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Give what waits one more try, then stop; what is left is lost."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._try(list(self._queue))
        self._lose(list(self._queue))
        self._queue.clear()

    async def _run(self) -> None:
        failed = 0
        while self._queue:
            pause = min(2.0**failed / 4, _LONGEST_PAUSE) if failed else self._linger
            await self._sleep(pause)
            part = [self._queue[n] for n in range(min(len(self._queue), _AT_ONCE))]
            failed = 0 if await self._try(part) else failed + 1
            too_old = monotonic() - self._retried_for
            self._lose([each for each in self._queue if each.since <= too_old] if failed else [])

    async def _try(self, part: Sequence[_Waiting]) -> bool:
        """Write entries and take out those that are; whether all went well."""
        try:
            await upsert_all(
                self._tables, AUTHORIZATIONS, [each.row for each in part if not each.written]
            )
            for each in part:
                each.written = True
            if self._inbox is not None:
                # What is noted is not noted again when others of its part are tried once more.
                left = {id(each.entry): each for each in part if not each.noted}

                def noted(entry: Entry) -> None:
                    left[id(entry)].noted = True

                await self._inbox.take([each.entry for each in left.values()], noted)
        except RowRejectedError:
            # Some row breaks a limit; it must not take the others with it.
            if len(part) > 1:
                return all([await self._try([each]) for each in part])
            self._lose(part)
            return True
        except Exception as error:  # noqa: BLE001 - the task must live; texts may hold keys
            LOGGER.warning("audit_delayed: %s, %d waiting", type(error).__name__, self.waiting)
            return False
        self._take_out(part)
        return True

    def _take_out(self, part: Sequence[_Waiting]) -> None:
        gone = {id(each) for each in part}
        self._queue = deque(each for each in self._queue if id(each) not in gone)

    def _lose(self, part: Sequence[_Waiting]) -> None:
        if part:
            self._take_out(part)
            self._count_lost(part)

    def _count_lost(self, part: Sequence[_Waiting]) -> None:
        lost = sum(not each.written for each in part)
        if lost:
            self.lost += lost
            LOGGER.error("audit_lost: %d rows, %d since the start", lost, self.lost)
