"""The app as it is, told by nothing: no wide event, no count of requests, no span."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(os.environ["BENCHMARK_CHECKOUT"])
sys.path.insert(0, str(CHECKOUT))

import shared.telemetry  # noqa: E402 - the checkout is on the path only now


class _Silent(shared.telemetry.WideEvent):
    def add(self, **fields: object) -> None:
        """Take nothing."""


@contextmanager
def _invocation(function: str, **_told: object) -> Iterator[shared.telemetry.WideEvent]:
    yield _Silent(function)


setattr(shared.telemetry, "invocation", _invocation)  # noqa: B010 - another type, on purpose
_spec = importlib.util.spec_from_file_location("silenced_app", CHECKOUT / "function_app.py")
if _spec is None or _spec.loader is None:
    raise ModuleNotFoundError(CHECKOUT)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
app = _module.app
