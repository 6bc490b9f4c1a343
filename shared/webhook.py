"""One URL for eMabler: its check, its taps and its push events, told apart and answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.authorization.access import is_authorized
from shared.authorization.authorize import Authorization
from shared.authorization.taps import Cause, answer_body, tap_fields
from shared.errors import QueueUnavailableError, TransientError
from shared.messaging.queue import PushQueue
from shared.telemetry import WideEvent

MAX_EVENT_BYTES = 192 * 1024
"""A Service Bus message of the Standard tier holds 256 KB with its properties."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, and JSON where there is any."""

    status: int
    body: bytes = b""


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
        answer = await self._answer(method, authorization, body, content_type, wide)
        wide.add(status=answer.status)
        return answer

    async def _answer(
        self,
        method: str,
        authorization: str,
        body: bytes,
        content_type: str | None,
        wide: WideEvent,
    ) -> Answer:
        if method in ("GET", "HEAD") or not body:
            return Answer(200)
        if not self._accepted:
            wide.add(outcome="disabled", error_code="webhook_not_configured")
            return Answer(503)
        if not is_authorized(authorization, self._accepted):
            wide.add(outcome="refused", error_code="not_authorized")
            return Answer(401)
        fields = tap_fields(body)
        if fields is not None:
            return await self._tap(fields, wide)
        return await self._event(body, content_type, wide)

    async def _tap(self, fields: dict[str, object], wide: WideEvent) -> Answer:
        if self._authorization is None:
            wide.add(outcome="disabled", decision="deferred", error_code="setting_wrong")
            return Answer(503)
        try:
            decision = await self._authorization.authorize(fields)
        except TransientError as error:
            wide.fail(error)
            wide.add(decision="deferred", cause=str(Cause.STORE_UNAVAILABLE))
            return Answer(503)
        wide.add(
            decision="allowed" if decision.allowed else "denied",
            cause=str(decision.cause),
            reason=None if decision.reason is None else str(decision.reason),
        )
        return Answer(200, answer_body(decision))

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
        return Answer(200)
