"""The worker's end of the FunctionRpc stream.

A thread reads the stream and hands each message to the event loop on which the app's functions
run; answers and logs go out through a queue. So a function that blocks the loop delays the others
of this worker, as in Azure, but not the connection.
"""

import asyncio
import os
import sys
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from types import SimpleNamespace

import grpc

from . import logs
from .protos import Message

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_CONNECT_SECONDS = 10
_ORPHAN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Where the host listens, and the names it gave to this worker."""

    address: str
    worker_id: str
    app: str


class WorkerClient:
    """Serves the host's requests with Microsoft's runtime until told to end, or left alone."""

    def __init__(
        self,
        options: WorkerOptions,
        protos: Message,
        runtime: Message,
    ) -> None:
        self._options = options
        self._protos = protos
        self._runtime = runtime
        self._outgoing: SimpleQueue[Message] = SimpleQueue()
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers = {
            "worker_init_request": ("worker_init_response", runtime.worker_init_request),
            "functions_metadata_request": (
                "function_metadata_response",
                runtime.functions_metadata_request,
            ),
            "function_load_request": ("function_load_response", runtime.function_load_request),
            "invocation_request": ("invocation_response", runtime.invocation_request),
        }

    async def run(self) -> None:
        """Connect, serve, and return once the host ended the worker or went away."""
        self._loop = asyncio.get_running_loop()
        self._runtime.start_threadpool_executor()
        logs.install(
            logs.RpcLogHandler(self._protos, self._outgoing.put, self._runtime.invocation_id_cv)
        )
        start = self._protos.StartStream(worker_id=self._options.worker_id)
        self._outgoing.put(self._protos.StreamingMessage(start_stream=start))
        threading.Thread(target=self._read, name="function-rpc", daemon=True).start()
        await self._ended.wait()
        self._outgoing.put(None)

    def _read(self) -> None:
        """The reading thread: one task on the loop for each message of the host."""
        channel = grpc.insecure_channel(self._options.address, options=_UNLIMITED)
        try:
            grpc.channel_ready_future(channel).result(timeout=_CONNECT_SECONDS)
            stream = self._protos.FunctionRpcStub(channel).EventStream(
                iter(self._outgoing.get, None)
            )
            for message in stream:
                self._loop.call_soon_threadsafe(self._accept, message)
        except (grpc.RpcError, grpc.FutureTimeoutError):
            pass
        finally:
            _exit_if_stuck()
            self._loop.call_soon_threadsafe(self._ended.set)

    def _accept(self, message: Message) -> None:
        kind = message.WhichOneof("content")
        if kind == "worker_terminate":
            self._ended.set()
        elif kind == "worker_status_request":
            self._send(message, "worker_status_response", self._protos.WorkerStatusResponse())
        elif kind in self._handlers:
            task = self._loop.create_task(self._serve(kind, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, kind: str, message: Message) -> None:
        answer_name, handler = self._handlers[kind]
        if kind == "invocation_request":
            self._runtime.invocation_id_cv.set(message.invocation_request.invocation_id)
        request = SimpleNamespace(
            name=kind,
            request=message,
            properties={"host": self._options.address.split(":")[0], "protos": self._protos},
        )
        self._send(message, answer_name, await handler(request))

    def _send(self, request: Message, name: str, answer: Message) -> None:
        self._outgoing.put(
            self._protos.StreamingMessage(request_id=request.request_id, **{name: answer})
        )


def _exit_if_stuck() -> None:
    """End the process soon, although a function may block the loop or a thread for ever."""

    def end() -> None:
        sys.stdout.flush()
        os._exit(1)

    timer = threading.Timer(_ORPHAN_SECONDS, end)
    timer.daemon = True
    timer.start()
