"""The days before a day: the product's own runs on the same store, of which nobody is told.

So that what a run of the day tells has a past: a front, a ledger of proofs, a backup of last night.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from shared.backup_room import BackupRoom
from shared.errors import TransientError
from shared.ingestion.messages import IncomingMessage
from shared.instants import Clock
from shared.rooms import Rooms
from shared.telemetry import WideEvent
from tests.monitoring.faults import Plan
from tests.monitoring.fleet import Session, earlier

DAYS = 3
_RECONCILED_AT = (2, 8, 14, 20)
_BACKED_UP_AT = timedelta(hours=1, minutes=30)
_HOUR = timedelta(hours=1)


def beginning(began: datetime) -> datetime:
    """When the past of a day begins: a midnight, with whole days up to the day's own."""
    return _midnight(began) - timedelta(days=DAYS)


def sessions_before(began: datetime) -> list[Session]:
    """The sessions of the days before, and of the day's own hours before it began.

    The latest ended an hour before, so that nothing goes on when the day begins.
    """
    days = (beginning(began) + timedelta(days=n) for n in range(DAYS + 1))
    return [each for day in days for each in earlier(day) if each.stop <= began - _HOUR]


async def live_through(
    rooms: Rooms,
    backups: BackupRoom,
    sessions: Iterable[Session],
    *,
    began: datetime,
    plan: Plan,
    clock: Clock,
) -> None:
    """Take in what push told, reconcile and back up, up to the day's beginning."""
    left = sorted(sessions, key=lambda each: each.stop)
    for at, what in _moments(began, plan):
        await asyncio.sleep((at - clock()).total_seconds())
        ended = [each for each in left if each.stop <= at]
        del left[: len(ended)]
        await _push(rooms, ended)
        # As the timers do: what fails is tried again at its next time.
        with suppress(TransientError):
            if what == "back_up":
                await backups.on_schedule(WideEvent(what))
            else:
                await rooms.reconciliation.on_schedule(WideEvent(what))
    await _push(rooms, left)
    await asyncio.sleep((began - clock()).total_seconds())


def _moments(began: datetime, plan: Plan) -> Sequence[tuple[datetime, str]]:
    """When which timer runs. One run comes just before the front is to stand still."""
    stands = plan.since("front_stands")
    found = [(stands - timedelta(minutes=1), "reconcile")] if stands else []
    return sorted(each for each in (*found, *_every_day(began)) if each[0] < began)


def _every_day(began: datetime) -> Iterator[tuple[datetime, str]]:
    first = beginning(began)
    for day in (first + timedelta(days=n) for n in range(DAYS + 1)):
        yield day + _BACKED_UP_AT, "back_up"
        for hour in _RECONCILED_AT:
            yield day + timedelta(hours=hour), "reconcile"


async def _push(rooms: Rooms, sessions: Iterable[Session]) -> None:
    bodies = [body for each in sessions for body in (each.started(), each.stopped())]
    if bodies:
        await rooms.ingest([IncomingMessage(body=body) for body in bodies], WideEvent("past"))


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
