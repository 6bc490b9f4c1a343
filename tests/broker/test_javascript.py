"""The tests that are written in JavaScript: of the broker's parts, and with the JavaScript SDK."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from local.service_bus import Queue, ServiceBusBroker

HERE = Path(__file__).resolve().parent
PARTS = sorted(path.name for path in HERE.glob("*.test.js"))
# Not *.test.js: it needs a broker, and is no use to a run of all tests by Node alone.
WITH_SDK = "javascript-sdk.js"
SECONDS = 60.0


@pytest.fixture(scope="module")
async def reports(node: str) -> dict[str, str]:
    """The reports of both runs, which go on side by side."""
    parts, with_sdk = await asyncio.gather(run(node, *PARTS), run_with_broker(node))
    return {"parts": parts, "with the SDK": with_sdk}


@pytest.mark.parametrize(("name", "at_least"), [("parts", 150), ("with the SDK", 20)])
def test_what_is_tested_in_javascript_holds(
    reports: dict[str, str], name: str, at_least: int
) -> None:
    """Every part does what its own tests ask, and @azure/service-bus works as it does in Azure."""
    if passed(reports[name]) < at_least:
        pytest.fail(failures(reports[name]), pytrace=False)


async def run_with_broker(node: str) -> str:
    """Run the tests with the JavaScript SDK on a broker of their own; give the report."""
    queues = [
        Queue("main"),
        Queue("three-deliveries", max_deliveries=3),
        Queue("keeps-expired", dead_letter_on_expiry=True),
        Queue("sessions", sessions=True),
    ]
    async with await ServiceBusBroker.start(queues, node=node) as broker:
        return await run(
            node,
            WITH_SDK,
            BROKER_CONNECTION_STRING=broker.connection_string,
            BROKER_CONTROL_URL=broker.control_url,
        )


async def run(node: str, *names: str, **environment: str) -> str:
    """Run files with Node's own test runner, in one process; give its report (TAP)."""
    process = await asyncio.create_subprocess_exec(
        node,
        "--test-reporter=tap",
        *(word for name in names for word in ("--require", str(HERE / name))),
        *("--eval", ""),
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode()


def passed(report: str) -> int:
    """The number of tests that passed; 0 when one did not."""
    counts = dict(re.findall(r"^# (pass|fail|cancelled) (\d+)$", report, re.MULTILINE))
    return int(counts["pass"]) if counts.get("fail") == counts.get("cancelled") == "0" else 0


def failures(report: str) -> str:
    """The parts of a report that tell of failures, or all of it when there are none."""
    blocks = re.findall(r"^ *not ok .*?^ *\.\.\.$", report, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks) or report
