"""`FaultProxy`: the listeners, the plan and the storage behind them, in this process."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

from local.fault_proxy.addresses import Storage, account_path, by_service, connection_string
from local.fault_proxy.answers import Answer
from local.fault_proxy.faults import Faults, Hit
from local.fault_proxy.listening import Handler, Listener, reset
from local.fault_proxy.plan import Choice, Plan
from local.fault_proxy.records import Counts, Decision, Record
from local.fault_proxy.requests import Call, Service, call_of
from local.fault_proxy.rules import Rule
from local.fault_proxy.upstream import Message, Upstream, UpstreamLostError
from local.ports import LOOPBACK

# A transaction has at most 4 MiB; blobs come in blocks of 4 MiB unless the SDK is told otherwise.
MOST_BYTES = 64 * 1024 * 1024


class FaultProxy:
    """A proxy in front of a storage account.

    Use `await FaultProxy.start(azurite)`, then `await stop()`, or as an async context manager.
    A caller that gives up does not stop its call: what was to be handed on still is, as with the
    service.
    """

    def __init__(self, storage: Storage, seed: int) -> None:
        self._urls = by_service(storage)
        self._plan = Plan(seed)
        self._record = Record()
        self._faults = Faults()
        self._upstream = Upstream(self._urls)
        self._listeners = {service: Listener(self._handler(service)) for service in self._urls}
        self._outages: dict[int, asyncio.TimerHandle | None] = {}
        self._began = time.monotonic()

    @classmethod
    async def start(
        cls, storage: Storage, *, rules: Iterable[Rule | str] = (), seed: int = 0
    ) -> Self:
        """Start a proxy on free ports.

        Args:
            storage: Azurite, or the addresses of the services (`StorageUrls`).
            rules: rules in force from the start.
            seed: the same rules and seed decide the same for the same calls.

        Raises:
            LocalError: `usage_wrong`, an address or a rule cannot be used.
        """
        proxy = cls(storage, seed)
        try:
            for rule in rules:
                proxy.add(rule)
            for listener in proxy._listeners.values():
                await listener.open()
        except BaseException:
            await proxy.stop()
            raise
        return proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def table_url(self) -> str | None:
        """The proxy's address for tables, with the account; None without that service."""
        return self._addresses().get("table")

    @property
    def blob_url(self) -> str | None:
        """The proxy's address for blobs, with the account; None without that service."""
        return self._addresses().get("blob")

    @property
    def queue_url(self) -> str | None:
        """The proxy's address for queues, with the account; None without that service."""
        return self._addresses().get("queue")

    @property
    def connection_string(self) -> str:
        """A connection string with the proxy's endpoints."""
        return connection_string(self._addresses())

    def add(self, rule: Rule | str) -> int:
        """Put a rule in force, after those there are; give its number.

        Raises:
            LocalError: `usage_wrong`, the rule makes no sense.
        """
        return self._plan.add(rule)

    def remove(self, number: int) -> None:
        """Take a rule out; an outage that it began ends.

        Raises:
            LocalError: `usage_wrong`, there is none of that number.
        """
        self._plan.remove(number)
        self._end_outage(number)

    def clear(self) -> None:
        """Take all rules out and end all outages; the next rule is number 1 again.

        What is held or late stays so: see `settle()`. The record stays too.
        """
        self._plan.clear()
        for number in list(self._outages):
            self._end_outage(number)

    async def settle(self) -> None:
        """Let go every call and late write that waits; on return the late ones are done."""
        await self._faults.settle()

    def decisions(self) -> list[Decision]:
        """Give the calls that went wrong, in order of their coming."""
        return list(self._record.decisions)

    def counts(self) -> Counts:
        """Give how many calls came, what became of them, and the rules in force."""
        record = self._record
        return Counts(
            calls=record.calls,
            passed=record.passed,
            away=record.away,
            lost=record.lost,
            faults=dict(record.faults),
            held=self._faults.holds.count,
            rules=self._plan.rules(),
        )

    async def stop(self) -> None:
        """Stop listening; drop what is held or late. Stopping twice does no harm."""
        self.clear()
        await self._faults.close()
        await asyncio.gather(*(listener.close() for listener in self._listeners.values()))
        await self._upstream.close()

    def _addresses(self) -> dict[Service, str]:
        return {
            service: f"http://{LOOPBACK}:{listener.port}{account_path(self._urls[service])}"
            for service, listener in self._listeners.items()
        }

    def _handler(self, service: Service) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                message = await _message(request)
            except ConnectionError:
                # The caller left amid its body.
                return web.Response()  # which nobody gets
            answer = await self._answer(service, message)
            if answer is None:
                reset(request.transport)
                return web.Response()  # which nobody gets
            return web.Response(
                status=answer.status,
                reason=answer.reason,
                headers=answer.headers,
                body=answer.body,
            )

        return handle

    async def _answer(self, service: Service, message: Message) -> Answer | None:
        """What a caller is answered; None for a reset."""
        record = self._record
        record.calls += 1
        if self._listeners[service].away:
            record.away += 1
            return None
        call = call_of(service, message.method, message.target, message.body)
        choice = self._plan.decide(call)
        try:
            if choice is None:
                answer = await self._upstream.send(service, message)
                record.passed += 1
                return answer
            hit = Hit(
                choice.rule,
                message,
                self._note(choice, call),
                partial(self._upstream.send, service),
            )
            if choice.rule.fault == "absent":
                self._begin_outage(choice, service)
            return await self._faults.do(hit)
        except UpstreamLostError:
            record.lost += 1
            return None

    def _note(self, choice: Choice, call: Call) -> Decision:
        record = self._record
        record.faults[choice.rule.fault] += 1
        decision = Decision(
            number=record.faults.total(),
            at=round(time.monotonic() - self._began, 6),
            rule=choice.number,
            nth=choice.nth,
            fault=choice.rule.fault,
            call=call,
        )
        record.decisions.append(decision)
        return decision

    def _begin_outage(self, choice: Choice, service: Service) -> None:
        """Let the service of the call go away, or all when the rule names none."""
        rule = choice.rule
        for gone in [service] if rule.service_named else list(self._listeners):
            self._listeners[gone].go_away(choice.number, rule.how or "refuse")
        self._outages[choice.number] = self._later(
            rule.seconds, partial(self._end_outage, choice.number)
        )

    def _end_outage(self, number: int) -> None:
        timer = self._outages.pop(number, None)
        if timer is not None:
            timer.cancel()
        for listener in self._listeners.values():
            listener.come_back(number)

    @staticmethod
    def _later(seconds: float | None, act: Callable[[], None]) -> asyncio.TimerHandle | None:
        if seconds is None:
            return None
        return asyncio.get_running_loop().call_later(seconds, act)


async def _message(request: web.BaseRequest) -> Message:
    bounded = request.clone(client_max_size=MOST_BYTES)
    headers = tuple(request.headers.items())
    return Message(request.method, request.raw_path, headers, await bounded.read())
