"""Log records of the app, sent to the host as `RpcLog` messages."""

import logging
import os
from collections.abc import Callable
from contextvars import ContextVar

from .protos import Message

# The runtime's own logger: one line for each invocation at INFO, which the host writes itself.
_RUNTIME_LOGGER = "azure.functions"
_DEBUG_SWITCH = "PYTHON_ENABLE_DEBUG_LOGGING"


class RpcLogHandler(logging.Handler):
    """Turns each record into an `RpcLog`, marked with the invocation that wrote it.

    As in Azure's worker, the message is the formatted record with its traceback, the category is
    the logger's name, and `extra` is dropped.
    """

    def __init__(
        self,
        protos: Message,
        send: Callable[[Message], None],
        invocation_id: ContextVar[str | None],
    ) -> None:
        super().__init__()
        self._protos = protos
        self._send = send
        self._invocation_id = invocation_id
        log = protos.RpcLog
        self._levels = (
            (logging.CRITICAL, log.Critical),
            (logging.ERROR, log.Error),
            (logging.WARNING, log.Warning),
            (logging.INFO, log.Information),
            (logging.DEBUG, log.Debug),
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record to the host."""
        try:
            message = self._protos.RpcLog(
                invocation_id=self._invocation_id.get() or "",
                category=record.name,
                level=self._level(record.levelno),
                message=self.format(record),
                log_category=self._category(record.name),
            )
            self._send(self._protos.StreamingMessage(rpc_log=message))
        except Exception:  # noqa: BLE001  # logging must never break the function that logs
            self.handleError(record)

    def _level(self, number: int) -> Message:
        for lowest, level in self._levels:
            if number >= lowest:
                return level
        return self._protos.RpcLog.Trace

    def _category(self, name: str) -> Message:
        system = name == _RUNTIME_LOGGER or name.startswith(_RUNTIME_LOGGER + ".")
        categories = self._protos.RpcLog.RpcLogCategory
        return categories.Value("System" if system else "User")


def install(handler: RpcLogHandler) -> None:
    """Send what the app logs through `handler`, from INFO on, or DEBUG when the app asks for it."""
    debug = os.environ.get(_DEBUG_SWITCH, "").strip().lower() in {"1", "true", "t", "yes", "y"}
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    root.addHandler(handler)
    logging.getLogger(_RUNTIME_LOGGER).setLevel(logging.DEBUG if debug else logging.WARNING)
