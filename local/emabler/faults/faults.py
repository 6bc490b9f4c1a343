"""The faults around the reads: set at the start or at run time, one call after the other."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from aiohttp import web

from local.emabler.errors import MissingPermissionError, ThrottledError
from local.emabler.faults import answers
from local.emabler.faults.pages import FaultyReading, State
from local.emabler.faults.plan import Moment, Plan
from local.emabler.faults.rules import FaultName, Rule
from local.emabler.operations import Operation, Reading

SUFFERED = web.RequestKey("suffered", list[FaultName])
"""Where a request carries the names of the faults that made a difference to its answer."""

HUNG: FaultName = "timing_out"
INSTEAD: tuple[FaultName, ...] = (
    "permission_missing",
    "throttled",
    "throttled_without_hint",
    "failing",
    HUNG,
)
"""Faults that keep a call from the books; the first that wants it has it."""

_HANG_SECONDS = 300.0
_RETRY_AFTER = 1

type Answer = Callable[[Reading], Awaitable[web.Response]]


def _now() -> datetime:
    return datetime.now(UTC)


class Faults:
    """The plan in force and what came of it.

    Attributes:
        plan: the rules and the seed.
        number: how many calls came since the rules were set.
        happened: how many calls each fault made a difference to.
        clock: the instant; a fleet that lives faster than we do has its own (see `follow`).
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        rules: Iterable[Rule] = (),
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.clock = clock
        self._released = asyncio.Event()
        self.put(Plan(seed=seed).with_rules(rules))

    def put(self, plan: Plan) -> None:
        """Put a plan in force: calls are counted from 1 again, what was remembered is forgotten."""
        self.plan = plan
        self.number = 0
        self.happened: Counter[FaultName] = Counter()
        self._since = self.clock()
        self._state = State()
        self.release()

    def change(self, plan: Plan) -> None:
        """Put a plan in force, and go on counting and remembering."""
        self.plan = plan
        if HUNG not in plan.rules:
            self.release()

    def follow(self, clock: Callable[[], datetime]) -> None:
        """Live by another clock from now on: the seconds of rules count from its present."""
        self.clock = clock
        self._since = clock()

    def release(self) -> None:
        """Let go the calls that are held."""
        self._released.set()
        self._released = asyncio.Event()

    async def around(
        self, request: web.Request, operation: Operation, plain: Reading, answer: Answer
    ) -> web.StreamResponse:
        """Answer a call, with the faults that want it."""
        self.number += 1
        if not self.plan.rules:
            return await answer(plain)
        now, number, plan = self.clock(), self.number, self.plan
        wanting = plan.wants(
            Moment(
                number=number,
                seconds=(now - self._since).total_seconds(),
                operation=operation.name,
                permission=operation.permission,
            )
        )
        suffered = request[SUFFERED] = []
        reading = FaultyReading(
            plain,
            self._state,
            plan=plan,
            wanting=wanting,
            number=number,
            now=now,
            path=request.path,
        )
        try:
            for name in INSTEAD:
                if name in wanting:
                    suffered.append(name)
                    return await self._instead(request, wanting[name], number)
            try:
                normal = await answer(reading)
            finally:
                suffered += reading.suffered
            if "truncated" not in wanting:
                return normal
            suffered.append("truncated")
            return await answers.cut(request, normal)
        finally:
            self.happened.update(suffered)

    async def _instead(self, request: web.Request, rule: Rule, number: int) -> web.Response:
        """Answer a call in the place of the books."""
        match rule.fault:
            case "permission_missing":
                raise MissingPermissionError
            case "throttled":
                raise ThrottledError(_RETRY_AFTER if rule.retry_after is None else rule.retry_after)
            case "throttled_without_hint":
                raise ThrottledError(None)
            case "failing":
                drawn = self.plan.choose((500, *answers.GATEWAY_STATUSES), "failing", number)
                return answers.failing(rule.status or drawn)
            case _:
                seconds = _HANG_SECONDS if rule.seconds is None else rule.seconds
                return await answers.hang(request, seconds, self._released)
