"""The broker: connections, topics, and what each request is answered."""

import asyncio
import contextlib
import hmac
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from local.errors import LocalError
from local.kafka.groups import Group, Subscription
from local.kafka.partition import Partition
from local.kafka.wire import VERSIONS, Code, Framed, WireError, read_request

MOST_MESSAGE_BYTES = 1_048_588
"""Kafka's own default of `message.max.bytes`."""

_NODE = 0
_HOST = "127.0.0.1"
_LATEST = -1
_TOPIC = re.compile(r"[\w.\-]{1,249}")
_LONGEST_FETCH_SECONDS = 5.0


class KafkaBroker:
    """One node on this machine. Topics are made when they are first named, groups as well.

    Attributes:
        bootstrap: host and port, once it was started; a broker that is started again keeps them.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        partitions: int = 4,
        users: Mapping[str, str] | None = None,
        most_bytes: int = MOST_MESSAGE_BYTES,
    ) -> None:
        """`users` are names and passwords for SASL with PLAIN; None: nobody is asked."""
        self._port = port
        self._partitions = partitions
        self._users = users
        self._most_bytes = most_bytes
        self._topics: dict[str, list[Partition]] = {}
        self._groups: defaultdict[str, Group] = defaultdict(Group)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._handlers: dict[str, Callable[[Framed], Awaitable[bytes]]] = {
            "FetchRequest": self._fetch,
            "FindCoordinatorRequest": self._find_coordinator,
            "HeartbeatRequest": self._heartbeat,
            "JoinGroupRequest": self._join,
            "LeaveGroupRequest": self._leave,
            "MetadataRequest": self._metadata,
            "OffsetCommitRequest": self._commit,
            "OffsetFetchRequest": self._committed,
            "OffsetRequest": self._list_offsets,
            "ProduceRequest": self._produce,
            "SyncGroupRequest": self._sync,
        }

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""
        return f"{_HOST}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None

    async def start(self) -> Self:
        """Take connections; after `stop` with all that it held.

        Raises:
            LocalError: `cannot_listen`.
        """
        try:
            self._server = await asyncio.start_server(self._accept, _HOST, self._port)
        except OSError as error:
            raise LocalError(
                "cannot_listen",
                f"the Kafka broker cannot listen on {self.bootstrap}: {error.strerror}",
                "choose another port, or 0 for a free one",
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """End all connections. Messages and offsets stay, for as long as the object lives."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for group in self._groups.values():
            group.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def held(self, topic: str) -> int:
        """How many messages a topic holds."""
        return sum(partition.end for partition in self._topics.get(topic, ()))

    def committed(self, group: str, topic: str) -> int:
        """How many messages of a topic a group has committed."""
        offsets = self._groups[group].offsets.items()
        return sum(offset for (name, _), (offset, _) in offsets if name == topic)

    # Connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler of a server always runs in one
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, WireError, asyncio.CancelledError):
            pass  # the client hears of it by the end of its connection
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        welcome = self._users is None
        while (request := await read_request(reader)) is not None:
            name = type(request.body).__name__.partition("_v")[0]
            if name == "ApiVersionRequest":
                answer = request.response(Code.NONE, VERSIONS)
            elif name == "SaslHandShakeRequest":
                known = request.body.mechanism == "PLAIN"
                code = Code.NONE if known else Code.UNSUPPORTED_MECHANISM
                answer = request.response(code, ["PLAIN"])
            elif name == "SaslAuthenticateRequest":
                welcome = self._is_known(request.body.sasl_auth_bytes)
                code = Code.NONE if welcome else Code.AUTHENTICATION_FAILED
                answer = request.response(code, None if welcome else "wrong name or password", b"")
            elif welcome:
                answer = await self._handlers[name](request)
            else:
                return
            writer.write(answer)
            await writer.drain()

    def _is_known(self, told: bytes) -> bool:
        """Whether a PLAIN message (RFC 4616) names a user with the right password."""
        _, _, rest = told.partition(b"\0")
        name, _, password = rest.partition(b"\0")
        right = (self._users or {}).get(name.decode("utf-8", "replace"))
        return right is not None and hmac.compare_digest(right.encode(), password)

    # Topics

    def _partitions_of(self, topic: str) -> list[Partition] | None:
        if topic not in self._topics and _TOPIC.fullmatch(topic):
            self._topics[topic] = [Partition() for _ in range(self._partitions)]
        return self._topics.get(topic)

    def _partition(self, topic: str, number: int) -> Partition | None:
        partitions = self._partitions_of(topic) or []
        return partitions[number] if 0 <= number < len(partitions) else None

    async def _metadata(self, request: Framed) -> bytes:
        asked = request.body.topics
        topics = []
        for topic in list(self._topics) if asked is None else asked:
            partitions = self._partitions_of(topic)
            code = Code.INVALID_TOPIC if partitions is None else Code.NONE
            numbers = range(len(partitions or ()))
            told = [(Code.NONE, number, _NODE, [_NODE], [_NODE]) for number in numbers]
            topics.append((code, topic, False, told))
        return request.response([(_NODE, _HOST, self._port, None)], _NODE, topics)

    async def _produce(self, request: Framed) -> bytes:
        topics = []
        for topic, partitions in request.body.topics:
            told = [(number, *self._append(topic, number, sent), -1) for number, sent in partitions]
            topics.append((topic, told))
        self._arrived.set()
        self._arrived = asyncio.Event()
        return b"" if request.body.required_acks == 0 else request.response(topics, 0)

    def _append(self, topic: str, number: int, records: bytes) -> tuple[int, int]:
        """Keep records; give the code and the offset of the first."""
        partition = self._partition(topic, number)
        if partition is None:
            return Code.UNKNOWN_TOPIC, -1
        if len(records) > self._most_bytes:
            return Code.MESSAGE_TOO_LARGE, -1
        try:
            return Code.NONE, partition.append(records)
        except WireError:
            return Code.CORRUPT_MESSAGE, -1

    async def _fetch(self, request: Framed) -> bytes:
        """What there is; where there is nothing, wait for it as long as the client allows."""
        wait = min(request.body.max_wait_time / 1000, _LONGEST_FETCH_SECONDS)
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            arrived = self._arrived
            topics, size = self._read(request)
            left = deadline - asyncio.get_running_loop().time()
            if size or left <= 0:
                return request.response(0, topics)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), left)

    def _read(self, request: Framed) -> tuple[list[tuple[str, list[tuple[object, ...]]]], int]:
        topics = []
        size = 0
        for topic, partitions in request.body.topics:
            told: list[tuple[object, ...]] = []
            for number, offset, most_bytes in partitions:
                partition = self._partition(topic, number)
                end = partition.end if partition else -1
                code, records = Code.NONE, b""
                if partition is None:
                    code = Code.UNKNOWN_TOPIC
                elif not 0 <= offset <= end:
                    code = Code.OFFSET_OUT_OF_RANGE
                elif size < request.body.max_bytes:
                    records = partition.read(offset, min(most_bytes, request.body.max_bytes - size))
                # An error is to be told at once, like a message.
                size += len(records) + (code != Code.NONE)
                told.append((number, code, end, end, None, records))
            topics.append((topic, told))
        return topics, size

    async def _list_offsets(self, request: Framed) -> bytes:
        topics = []
        for topic, partitions in request.body.topics:
            told = []
            for number, instant in partitions:
                partition = self._partition(topic, number)
                code = Code.NONE if partition else Code.UNKNOWN_TOPIC
                offset = partition.end if partition and instant == _LATEST else 0
                told.append((number, code, -1, offset))
            topics.append((topic, told))
        return request.response(topics)

    # Groups

    async def _find_coordinator(self, request: Framed) -> bytes:
        return request.response(Code.NONE, _NODE, _HOST, self._port)

    async def _join(self, request: Framed) -> bytes:
        body = request.body
        asked = Subscription(
            {name: bytes(metadata) for name, metadata in body.group_protocols},
            body.session_timeout / 1000,
            body.rebalance_timeout / 1000,
        )
        joined = await self._groups[body.group].join(body.member_id, request.client, asked)
        return request.response(
            joined.code,
            joined.generation,
            joined.protocol,
            joined.leader,
            joined.member,
            list(joined.members),
        )

    async def _sync(self, request: Framed) -> bytes:
        body = request.body
        told = [(member, bytes(share)) for member, share in body.group_assignment]
        group = self._groups[body.group]
        return request.response(*await group.sync(body.member_id, body.generation_id, told))

    async def _heartbeat(self, request: Framed) -> bytes:
        body = request.body
        code = self._groups[body.group].heartbeat(body.member_id, body.generation_id)
        return request.response(code)

    async def _leave(self, request: Framed) -> bytes:
        return request.response(self._groups[request.body.group].leave(request.body.member_id))

    async def _commit(self, request: Framed) -> bytes:
        body = request.body
        offsets = {
            (topic, number): (offset, metadata or "")
            for topic, partitions in body.topics
            for number, offset, metadata in partitions
        }
        code = self._groups[body.consumer_group].commit(
            body.consumer_id, body.consumer_group_generation_id, offsets
        )
        told = [(topic, [(number, code) for number, *_ in each]) for topic, each in body.topics]
        return request.response(told)

    async def _committed(self, request: Framed) -> bytes:
        offsets = self._groups[request.body.consumer_group].offsets
        asked = request.body.topics
        if asked is None:
            numbers = defaultdict(list)
            for topic, number in offsets:
                numbers[topic].append(number)
            asked = list(numbers.items())
        topics = [
            (topic, [(n, *offsets.get((topic, n), (-1, "")), Code.NONE) for n in numbers])
            for topic, numbers in asked
        ]
        return request.response(topics, Code.NONE)
