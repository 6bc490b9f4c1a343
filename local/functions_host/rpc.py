"""The host's end of FunctionRpc: a gRPC server, and one connection for each worker.

Messages and their order follow Azure's FunctionRpc.proto (service
`AzureFunctionsRpcMessages.FunctionRpc`, one bidirectional `EventStream` for each worker, opened
by the worker with `StartStream`). Message sizes are unlimited, as in Azure's host.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable

import grpc

from local.functions_host.errors import WorkerGoneError
from local.functions_host.worker.protos import Message, load_protos

protos = load_protos().FunctionRpc_pb2

# What a parameter of a function is given: a string, bytes, JSON, an HTTP request, …
TypedData = Message

_SERVICE = "AzureFunctionsRpcMessages.FunctionRpc"
_METHOD = "EventStream"
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

LogReceiver = Callable[[Message], None]


class WorkerConnection:
    """The stream of one worker: requests go out, answers come back to whoever waits for them."""

    def __init__(self, on_log: LogReceiver) -> None:
        self._on_log = on_log
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._gone: str | None = None
        self.answered = False
        """Whether an invocation was answered, well or not."""
        self.closed = asyncio.Event()

    async def initialise(self, app: str, host_version: str) -> Message:
        """Have the worker import and index the app: its `WorkerInitResponse`."""
        request = protos.WorkerInitRequest(
            host_version=host_version, function_app_directory=app, worker_directory=app
        )
        return await self._ask("worker_init_response", worker_init_request=request)

    async def functions(self, app: str) -> Message:
        """What the worker indexed: its `FunctionMetadataResponse`."""
        request = protos.FunctionsMetadataRequest(function_app_directory=app)
        return await self._ask("function_metadata_response", functions_metadata_request=request)

    async def load(self, metadata: Message) -> Message:
        """Have the worker load one function of its index: its `FunctionLoadResponse`."""
        request = protos.FunctionLoadRequest(function_id=metadata.function_id, metadata=metadata)
        return await self._ask(f"load {metadata.function_id}", function_load_request=request)

    async def invoke(self, request: Message) -> Message:
        """Run one `InvocationRequest`: its `InvocationResponse`.

        Raises:
            WorkerGoneError: The worker ended before it answered.
        """
        return await self._ask(request.invocation_id, invocation_request=request)

    def terminate(self) -> None:
        """Tell the worker to end; it does so by itself."""
        self._send(worker_terminate=protos.WorkerTerminate())

    def fail(self, reason: str) -> None:
        """The worker is gone: everyone who waits for an answer gets `WorkerGoneError`."""
        if self._gone is None:
            self._gone = reason
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerGoneError(self._gone))
        self._waiting.clear()
        self._outgoing.put_nowait(None)

    async def _ask(self, key: str, **content: Message) -> Message:
        if self._gone is not None:
            raise WorkerGoneError(self._gone)
        future = asyncio.get_running_loop().create_future()
        self._waiting[key] = future
        self._send(**content)
        try:
            return await future
        finally:
            self._waiting.pop(key, None)

    def _send(self, **content: Message) -> None:
        self._outgoing.put_nowait(protos.StreamingMessage(request_id=str(uuid.uuid4()), **content))

    async def outgoing(self) -> AsyncIterator[Message]:
        """The messages for the worker, until it is gone."""
        while (message := await self._outgoing.get()) is not None:
            yield message

    async def read(self, incoming: AsyncIterator[Message]) -> None:
        """Take the worker's messages until the stream ends."""
        try:
            async for message in incoming:
                self._receive(message)
        finally:
            self.closed.set()

    def _receive(self, message: Message) -> None:
        kind = message.WhichOneof("content")
        if kind == "rpc_log":
            self._on_log(message.rpc_log)
        elif kind == "invocation_response":
            self.answered = True
            self._answer(message.invocation_response.invocation_id, message.invocation_response)
        elif kind == "function_load_response":
            answer = message.function_load_response
            self._answer(f"load {answer.function_id}", answer)
        else:
            self._answer(kind, getattr(message, kind))

    def _answer(self, key: str, answer: Message) -> None:
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_result(answer)


class RpcServer:
    """The gRPC server on loopback to which the workers connect."""

    def __init__(self, on_log: LogReceiver) -> None:
        self._on_log = on_log
        self._expected: dict[str, asyncio.Future[WorkerConnection]] = {}
        self._server = grpc.aio.server(options=_UNLIMITED)
        self.address = ""

    async def start(self) -> None:
        """Listen on a free port of loopback; `address` is then where."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._event_stream,
            request_deserializer=protos.StreamingMessage.FromString,
            response_serializer=protos.StreamingMessage.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),)
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.address = f"127.0.0.1:{port}"

    def expect(self, worker_id: str) -> asyncio.Future[WorkerConnection]:
        """A future of the connection that the worker of this id will open."""
        future: asyncio.Future[WorkerConnection] = asyncio.get_running_loop().create_future()
        self._expected[worker_id] = future
        future.add_done_callback(lambda _: self._expected.pop(worker_id, None))
        return future

    async def stop(self) -> None:
        """Close every stream and the port."""
        await self._server.stop(grace=None)

    async def _event_stream(
        self,
        incoming: AsyncIterator[Message],
        context: Message,
    ) -> AsyncIterator[Message]:
        first = await anext(aiter(incoming), None)
        future = first and self._expected.get(first.start_stream.worker_id)
        if not future or future.done():
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this worker is not expected")
            return
        connection = WorkerConnection(self._on_log)
        future.set_result(connection)
        reader = asyncio.create_task(connection.read(incoming))
        try:
            async for message in connection.outgoing():
                yield message
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            connection.closed.set()
