"""Bugs planted on purpose: a simulation that does not find them proves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from shared.errors import TransientError
from shared.ingestion.deliver import Delivery
from shared.ingestion.messages import IncomingMessage
from shared.push import digest
from shared.push.events import PushEvent, TransactionStop
from shared.reconciliation import ledger, walking
from shared.reconciliation.lacking import Lacking
from shared.reconciliation.means import Worked
from shared.reconciliation.spans import Picture
from shared.reconciliation.window_work import WindowWork
from shared.sessions import planning
from shared.sessions.claims import Claim
from shared.storage.rows import Insert, Row
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


class _WorkWrittenLater(WindowWork):
    """Work on a window that is called done, while its claims are still to be written."""

    async def work(self, picture: Picture, rows: Sequence[Row], **how: Any) -> Worked:
        async def write() -> None:
            await asyncio.sleep(5)
            with suppress(TransientError):
                await super(_WorkWrittenLater, self).work(picture, rows, **how)

        task = asyncio.create_task(write())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        _UNDER_WAY.add(task)
        return Worked(picture.as_of)


def _whichever_came_last(claim: Claim, present: Claim, **_how: Any) -> bool:
    """REST's answer that was written last stands, not the one observed last."""
    return (claim.digest, claim.gone) != (present.digest, present.gone)


def _none_is_gone(*_what: Any, **_how: Any) -> list[Claim]:
    """An item that eMabler lists no more counts on beside the one that came in its place."""
    return []


def _always_free(*_standing: Any) -> bool:
    """A lease is taken whoever holds it."""
    return True


BUGS: Mapping[str, tuple[Any, str, Any] | None] = {
    "digest_without_a_field": (digest, "_known_fields", _without_energy),
    "summary_without_its_claim": (planning, "plan_session", _without_claim),
    "completed_before_written": None,
}

RECONCILIATION_BUGS: Mapping[str, tuple[Any, str, Any]] = {
    "front_before_its_writes": (walking, "WindowWork", _WorkWrittenLater),
    "older_answer_wins": (planning, "supersedes", _whichever_came_last),
    "lease_taken_while_held": (ledger, "is_free", _always_free),
    "vanished_item_counts_on": (Lacking, "gone", _none_is_gone),
}


@contextmanager
def bug(name: str | None) -> Iterator[Take]:
    """Plant a bug, or none; gives what takes a batch."""
    where = {**BUGS, **RECONCILIATION_BUGS}[name] if name else None
    if where is not None:
        with patch.object(*where):
            yield take_as_the_product_does
    else:
        yield _completed_before_written if name else take_as_the_product_does
