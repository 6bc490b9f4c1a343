"""W3C trace context of an invocation (https://www.w3.org/TR/trace-context/)."""

import re
import secrets
from dataclasses import dataclass

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


@dataclass(frozen=True, slots=True)
class TraceContext:
    """`traceparent` and `tracestate` as the worker is given them; `caller` is the caller's span."""

    parent: str
    state: str = ""
    caller: str = ""

    @property
    def trace_id(self) -> str:
        """The trace, 32 hex digits."""
        return self.parent.split("-")[1]

    @property
    def span_id(self) -> str:
        """The host's span, 16 hex digits: below it stands what the worker does."""
        return self.parent.split("-")[2]

    @classmethod
    def new(cls) -> "TraceContext":
        """A trace of its own, as for a timer or a message."""
        return cls(f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01")

    @classmethod
    def continuing(cls, parent: str | None, state: str | None) -> "TraceContext":
        """The host's span below the caller's, from its headers; a new trace without valid ones."""
        match = _PARENT.fullmatch(parent or "")
        if not match or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
            return cls.new()
        return cls(f"00-{match[1]}-{secrets.token_hex(8)}-{match[3]}", state or "", match[2])
