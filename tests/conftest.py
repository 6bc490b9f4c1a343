"""What all tests share: Azurite, started once, and a watch over everything that is logged."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from local.azurite import Azurite
from tests.infra.compiler import MISSING

# Two busy cores draw slowly now and then: that is no finding. CI repeats the same examples.
settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("here")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
async def azurite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Azurite]:
    """Microsoft's storage emulator on free ports, empty, and in memory: it is never restarted."""
    node, place = os.environ.get("NODE", "node"), tmp_path_factory.mktemp("azurite")
    async with await Azurite.start(place, node=node, in_memory=True) as azurite:
        yield azurite


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Tell last, where nobody overlooks it, that the template was not compiled."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = sum(MISSING in str(report.longrepr) for report in skipped)
    if left_out:
        terminalreporter.section("NOT CHECKED", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"{left_out} tests of infra/: {MISSING}", red=True, bold=True)


CANARIES = ("CANARY", "04A22B7F")
"""Tags of tests, whole or in part, that no line of a log may hold."""


class _Watch(logging.Handler):
    """Keeps every line of a log, or text of an exception in it, that holds a canary."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += "".join(traceback.format_exception(record.exc_info[1]))
        if any(canary in text.upper() for canary in CANARIES):
            self.found.append(f"{record.name}: {text}")


@pytest.fixture(scope="session", autouse=True)
def no_canary_is_logged() -> Iterator[None]:
    """Tags of the whole test run are in no line and no exception text of any log."""
    watch, product = _Watch(), logging.getLogger("emabler")
    logging.getLogger().addHandler(watch)
    product.setLevel(logging.INFO)
    yield
    logging.getLogger().removeHandler(watch)
    assert watch.found == []
