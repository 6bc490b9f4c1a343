"""One URL for eMabler: its check, its taps and its push events, told apart and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.authorization.access import is_authorized
from shared.authorization.authorize import Authorization
from shared.authorization.taps import answer_body, tap_fields
from shared.errors import QueueUnavailableError
from shared.messaging.queue import PushQueue
from shared.telemetry import WideEvent

MAX_EVENT_BYTES = 192 * 1024
"""A Service Bus message of the Standard tier holds 256 KB with its properties."""


_METHODS = ("GET", "HEAD", "POST")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, JSON where there is any, and headers beside its type.

    `worked`: a tap was decided or an event taken. A check, a stranger and a failure are none.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    worked: bool = False


class Webhook:
    """Answers calls. `accepted` are the Authorization values that may call, none: nobody."""

    def __init__(
        self,
        *,
        accepted: Sequence[str],
        authorization: Authorization | None,
        queue: PushQueue | None,
    ) -> None:
        self._accepted = accepted
        self._authorization = authorization
        self._queue = queue

    async def answer(
        self,
        *,
        method: str,
        authorization: str,
        body: bytes,
        content_type: str | None,
        wide: WideEvent,
    ) -> Answer:
        """Answer one call and note what came of it in its wide event.

        GET and an empty POST are eMabler's check of the endpoint: 200. A 503 makes eMabler send an
        event again, and lets its own fallback decide a tap.
        """
        began = asyncio.get_running_loop().time()
        answer = await self._answer(method, authorization, body, content_type, wide, began)
        wide.add(status=answer.status)
        return answer

    async def _answer(
        self,
        method: str,
        authorization: str,
        body: bytes,
        content_type: str | None,
        wide: WideEvent,
        began: float,
    ) -> Answer:
        if method not in _METHODS:
            wide.add(outcome="refused", error_code="method_not_allowed")
            return Answer(405, headers={"Allow": ", ".join(_METHODS)})
        if method != "POST" or not body:
            return Answer(200)
        if not self._accepted:
            wide.add(outcome="disabled", error_code="webhook_not_configured")
            return Answer(503)
        if not is_authorized(authorization, self._accepted):
            wide.add(outcome="refused", error_code="not_authorized")
            return Answer(401)
        fields = tap_fields(body)
        if fields is not None:
            return await self._tap(fields, wide, began)
        return await self._event(body, content_type, wide)

    async def _tap(self, fields: Mapping[str, object], wide: WideEvent, began: float) -> Answer:
        if self._authorization is None:
            wide.add(outcome="disabled", decision="deferred", error_code="setting_wrong")
            return Answer(503)
        answered = await self._authorization.authorize(fields, began=began)
        decision, audit = answered.decision, self._authorization.audit
        if answered.error is not None:
            wide.fail(answered.error)
        wide.add(
            decision=decision.word,
            cause=str(decision.cause),
            reason=None if decision.reason is None else str(decision.reason),
            source=str(decision.source),
            charger=answered.charger,
            charger_judged=answered.charger_judged,
            findings=answered.findings,
            audit_waiting=audit.waiting if audit else None,
            audit_lost=audit.lost if audit else None,
            audit_lost_new=audit.lost_since_told() or None if audit else None,
        )
        if decision.allowed is None:
            return Answer(503)
        return Answer(200, answer_body(decision), worked=True)

    async def _event(self, body: bytes, content_type: str | None, wide: WideEvent) -> Answer:
        wide.add(transport="webhook", received=1)
        if len(body) > MAX_EVENT_BYTES:
            wide.add(outcome="refused", error_code="event_too_large")
            return Answer(413)
        if self._queue is None:
            wide.add(outcome="disabled", error_code="setting_wrong")
            return Answer(503)
        try:
            await self._queue.send(body, content_type=content_type)
        except QueueUnavailableError as error:
            wide.fail(error)
            return Answer(503)
        wide.add(queued_bytes=len(body))
        return Answer(200, worked=True)
