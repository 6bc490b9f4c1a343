"""What monitors are told: the state of the app as far as its settings, store and queue know it.

Two answers: `live` says that a process answers and nothing else, to anybody; `status` gathers the
facts, for who has a function key. Nothing of it names a tag, a person or a secret.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from shared.chargers.loaded import read_inventory_loaded
from shared.errors import EmablerFunctionsError
from shared.instants import Clock, format_instant
from shared.last_runs import read_last_runs
from shared.messaging.queue import ServiceBusQueue
from shared.parked.records import ParkedState, state_of
from shared.settings_checked import Settings
from shared.storage.rows import Tables
from shared.storage.stamp import Stamp
from shared.storage.tables import PARKED
from shared.version import VERSION

FRESH_SECONDS = 15.0
"""How long an answer is given again: monitors that ask side by side cost one look."""
PART_SECONDS = 5.0
"""How long one part of the answer may take; one that takes longer says so."""
MOST_PARKED = 1_000
WARM_SECONDS = 20.0

type Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: its HTTP status and its JSON."""

    status: int
    body: bytes


class StatusRoom:
    """Gathers the facts on one set of settings; each part is bounded in time and in requests."""

    def __init__(
        self,
        settings: Settings,
        *,
        tables: Callable[[], Tables],
        stamp: Callable[[], Stamp],
        queue: Callable[[], ServiceBusQueue],
        warm: Callable[[], None],
        clock: Clock,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._stamp = stamp
        self._queue = queue
        self._warm = warm
        self._clock = clock
        self._elapsed = elapsed
        self._turn = asyncio.Lock()
        self._told: tuple[float, Told] | None = None
        self._warmed = -WARM_SECONDS

    def live(self) -> Told:
        """That a process answers. Connections of taps are kept open on the way."""
        now = self._elapsed()
        if now - self._warmed >= WARM_SECONDS:
            self._warmed = now
            self._warm()
        return Told(200, b"{}")

    async def status(self) -> Told:
        """All facts. 200: settings, store and queue are well; 503: one of them is not.

        Never raises: what cannot be told is told so.
        """
        async with self._turn:
            if self._told is None or self._elapsed() - self._told[0] >= FRESH_SECONDS:
                told = await self._gathered()
                self._told = (self._elapsed(), told)
            return self._told[1]

    async def _gathered(self) -> Told:
        began = self._clock()
        parts: dict[str, Callable[[], Awaitable[Facts]]] = {
            "store": self._store,
            "queue": self._waiting,
            "functions": self._functions,
            "parked": self._parked,
            "inventory": self._inventory,
            "reconciliation": self._reconciliation,
        }
        facts = await asyncio.gather(*(self._part(gather) for gather in parts.values()))
        told = dict(zip(parts, facts, strict=True))
        problems = [
            {"setting": each.setting, "code": each.code, "disables": list(each.needed_by)}
            for each in self._settings.problems
        ]
        well = not problems and not any("error" in told[name] for name in ("store", "queue"))
        body = {
            "well": well,
            "as_of": format_instant(began),
            "version": VERSION,
            "environment": self._settings["EMABLER_ENVIRONMENT"],
            "settings": {"problems": problems},
            **told,
        }
        return Told(200 if well else 503, json.dumps(body).encode())

    async def _part(self, gather: Callable[[], Awaitable[Facts]]) -> Facts:
        began = self._elapsed()
        try:
            async with asyncio.timeout(PART_SECONDS):
                facts = await gather()
        except EmablerFunctionsError as error:
            facts = {"error": error.code}
        except TimeoutError:
            facts = {"error": "too_slow"}
        except Exception as error:  # noqa: BLE001 - one part must not take the others along
            facts = {"error": type(error).__name__}
        return {**facts, "milliseconds": round((self._elapsed() - began) * 1000)}

    async def _store(self) -> Facts:
        return {"stamped": await self._stamp().agrees()}

    async def _waiting(self) -> Facts:
        oldest = await self._queue().look()
        age = None if oldest is None else (self._clock() - oldest).total_seconds()
        return {"oldest_waiting_s": None if age is None else max(0, round(age))}

    async def _functions(self) -> Facts:
        now = self._clock()
        return {
            "last_runs": {
                function: {
                    "at": format_instant(instant),
                    "age_s": max(0, round((now - instant).total_seconds())),
                }
                for function, instant in (await read_last_runs(self._tables())).items()
            }
        }

    async def _parked(self) -> Facts:
        seen = waiting = 0
        async for row in self._tables().scan(PARKED, columns=["state"]):
            if seen == MOST_PARKED:
                return {"waiting_at_least": waiting}
            seen += 1
            waiting += state_of(row) is ParkedState.PARKED
        return {"waiting": waiting}

    async def _inventory(self) -> Facts:
        loaded = await read_inventory_loaded(self._tables())
        if loaded is None:
            return {"loaded": None}
        age = (self._clock() - loaded.as_of).total_seconds()
        return {
            "loaded": format_instant(loaded.as_of),
            "age_s": max(0, round(age)),
            "chargers": loaded.chargers,
        }

    async def _reconciliation(self) -> Facts:
        # With what it imports: no tap needs it.
        from shared.reconciliation.facts import reconciliation_facts  # noqa: PLC0415
        from shared.reconciliation_room import terms_of  # noqa: PLC0415

        watched = terms_of(self._settings).schedule.month
        return await reconciliation_facts(self._tables(), self._clock(), watched=watched)
