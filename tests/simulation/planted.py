"""Bugs planted on purpose: a simulation that does not find them proves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from shared.errors import TransientError
from shared.ingestion.deliver import Delivery
from shared.ingestion.messages import IncomingMessage
from shared.push import digest
from shared.push.events import PushEvent, TransactionStop
from shared.sessions import planning
from shared.storage.rows import Insert
from tests.simulation.ingestion import Take, take_as_the_product_does

_WHOLE = digest._known_fields
_PLAN = planning.plan_session
_UNDER_WAY: set[asyncio.Task[None]] = set()


def _without_energy(event: PushEvent) -> list[object]:
    """A digest that forgot one field: two stops that differ in it are taken for one."""
    if isinstance(event, TransactionStop):
        event = replace(event, energy_wh=None)
    return _WHOLE(event)


def _without_claim(
    bucket: str, session: str, claims: Any, stored: Any, *limits: Any, **how: Any
) -> Any:
    """A summary that is written without the claim it was folded from."""
    plan = _PLAN(bucket, session, claims, stored, *limits, **how)
    if stored is not None and stored.summary is not None:
        plan.operations[:] = [each for each in plan.operations if not isinstance(each, Insert)]
    return plan


async def _completed_before_written(taker: Delivery, batch: list[IncomingMessage]) -> None:
    """A batch that is completed while its writes are still under way."""

    async def write() -> None:
        with suppress(TransientError):
            await take_as_the_product_does(taker, batch)

    task = asyncio.create_task(write())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    _UNDER_WAY.add(task)


BUGS: Mapping[str, tuple[Any, str, Any] | None] = {
    "digest_without_a_field": (digest, "_known_fields", _without_energy),
    "summary_without_its_claim": (planning, "plan_session", _without_claim),
    "completed_before_written": None,
}


@contextmanager
def bug(name: str | None) -> Iterator[Take]:
    """Plant a bug, or none; gives what takes a batch."""
    where = BUGS[name] if name else None
    if where is not None:
        with patch.object(*where):
            yield take_as_the_product_does
    else:
        yield _completed_before_written if name else take_as_the_product_does
