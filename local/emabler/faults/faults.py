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
            early = self._early(wanting, number)
            if early is not None:
                name, do = early
                suffered.append(name)
                return await do(request)
            normal = await answer(reading)
            suffered += reading.suffered
            if "truncated" not in wanting:
                return normal
            suffered.append("truncated")
            return await answers.cut(request, normal)
        finally:
            self.happened.update(suffered)

    def _early(
        self, wanting: dict[FaultName, Rule], number: int
    ) -> tuple[FaultName, Callable[[web.Request], Awaitable[web.Response]]] | None:
        """Give the first fault that keeps a call from the books, and what answers instead."""
        for name, rule in wanting.items():
            do = self._instead(name, rule, number)
            if do is not None:
                return name, do
        return None

    def _instead(
        self, name: FaultName, rule: Rule, number: int
    ) -> Callable[[web.Request], Awaitable[web.Response]] | None:
        async def refuse(_request: web.Request) -> web.Response:
            raise MissingPermissionError

        async def throttle(_request: web.Request) -> web.Response:
            hint = _RETRY_AFTER if rule.retry_after is None else rule.retry_after
            raise ThrottledError(hint if name == "throttled" else None)

        async def fail(_request: web.Request) -> web.Response:
            drawn = self.plan.choose((500, *answers.GATEWAY_STATUSES), "failing", number)
            return answers.failing(rule.status or drawn)

        async def hang(request: web.Request) -> web.Response:
            seconds = _HANG_SECONDS if rule.seconds is None else rule.seconds
            return await answers.hang(request, seconds, self._released)

        ways: dict[FaultName, Callable[[web.Request], Awaitable[web.Response]]] = {
            "permission_missing": refuse,
            "throttled": throttle,
            "throttled_without_hint": throttle,
            "failing": fail,
            "timing_out": hang,
        }
        return ways.get(name)
