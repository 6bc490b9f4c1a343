"""The faults, done to calls."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from local.fault_proxy.answers import Answer, error_answer
from local.fault_proxy.records import Decision
from local.fault_proxy.rules import Rule
from local.fault_proxy.upstream import Message, UpstreamLostError

type Send = Callable[[Message], Awaitable[Answer]]


class Holds:
    """Calls that wait: for a time, or until all are let go."""

    def __init__(self) -> None:
        self.count = 0
        self._released = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        """Wait so many seconds, or without end for None; `release()` ends it in any case."""
        self.count += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._released.wait()
        finally:
            self.count -= 1

    def release(self) -> None:
        """Let go what waits now."""
        self._released.set()
        self._released = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that a rule chose.

    Attributes:
        rule: the rule.
        message: the request.
        decision: its record, completed as things happen.
        send: hands a request on to the storage.
    """

    rule: Rule
    message: Message
    decision: Decision
    send: Send


class Faults:
    """Does to calls what their rules say."""

    def __init__(self) -> None:
        self.holds = Holds()
        self._late: set[asyncio.Task[None]] = set()

    async def do(self, hit: Hit) -> Answer | None:
        """Let a call go wrong; give what the caller is answered, None for a reset.

        `absent` is the business of the listener: the call that begins it is reset here.

        Raises:
            UpstreamLostError: the storage did not answer where it should.
        """
        answer = await self._outcome(hit)
        hit.decision.answered = answer.status if answer else None
        return answer

    async def _outcome(self, hit: Hit) -> Answer | None:
        match hit.rule.fault:
            case "slow":
                return await self._slow(hit)
            case "reset_before" | "absent":
                return None
            case "reset_after":
                await _store(hit)
                return None
            case "error_after_write":
                await _store(hit)
            case "late_write":
                late = asyncio.create_task(self._store_late(hit))
                self._late.add(late)
                late.add_done_callback(self._late.discard)
        return _error(hit)

    async def _slow(self, hit: Hit) -> Answer:
        if hit.rule.before != "answering":
            await self.holds.wait(hit.rule.seconds)
        answer = await _store(hit)
        if hit.rule.before == "answering":
            await self.holds.wait(hit.rule.seconds)
        return answer

    async def settle(self) -> None:
        """Let go all that is held, and wait until the late writes are done."""
        # A write that was answered a moment ago may not have begun to wait.
        await asyncio.sleep(0)
        self.holds.release()
        await asyncio.gather(*self._late)

    async def close(self) -> None:
        """Drop the late writes that still wait."""
        for late in self._late:
            late.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _store_late(self, hit: Hit) -> None:
        await self.holds.wait(hit.rule.seconds)
        # Nobody waits for its answer: a storage that is gone leaves `stored` empty.
        with contextlib.suppress(UpstreamLostError):
            await _store(hit)


async def _store(hit: Hit) -> Answer:
    answer = await hit.send(hit.message)
    hit.decision.stored = answer.status
    return answer


def _error(hit: Hit) -> Answer:
    headers = {name.lower(): value for name, value in hit.message.headers}
    return error_answer(
        hit.decision.call,
        hit.rule.error_code,
        accept=headers.get("accept", ""),
        request_id=str(uuid.uuid4()),
        at=datetime.now(UTC),
        retry_after=hit.rule.retry_after,
        # A transaction names its table inside, so that only there it can be told to be missing.
        inside=hit.rule.inside or hit.rule.fault == "missing_table",
    )
