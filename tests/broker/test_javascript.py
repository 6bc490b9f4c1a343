"""The tests that are written in JavaScript: of the broker's parts, and with the JavaScript SDK."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from local.service_bus import Queue, ServiceBusBroker

HERE = Path(__file__).resolve().parent
# Not *.test.js: it needs a broker, and is no use to a run of all tests by Node alone.
WITH_SDK = "javascript-sdk.js"
PARTS = sorted(path.name for path in HERE.glob("*.test.js"))


async def run_tests(node: str, *names: str, environment: dict[str, str]) -> None:
    """Run files with Node's own test runner; fail with what it says of the failing tests."""
    process = await asyncio.create_subprocess_exec(
        node,
        *("--test", "--test-reporter=tap", *(str(HERE / name) for name in names)),
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"{', '.join(names)}: not done in time")
    report = out.decode()
    passed = re.search(r"^# pass (\d+)$", report, re.MULTILINE)
    failed = re.search(r"^# fail (\d+)$", report, re.MULTILINE)
    if process.returncode != 0 or failed is None or failed[1] != "0":
        pytest.fail(failures(report), pytrace=False)
    assert passed is not None
    assert int(passed[1]) > 10


def failures(report: str) -> str:
    """The parts of a TAP report that tell of failures, or all of it when there are none."""
    blocks = re.findall(r"^ *not ok .*?^ *\.\.\.$", report, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks) or report


async def test_the_parts_of_the_broker(node: str) -> None:
    """Each part of the broker does what its JavaScript tests ask of it."""
    await run_tests(node, *PARTS, environment={})


async def test_the_javascript_sdk_works_with_the_broker(node: str) -> None:
    """@azure/service-bus sends, receives, settles and recovers as it does with Azure."""
    queues = [
        Queue("main"),
        Queue("three-deliveries", max_deliveries=3),
        Queue("keeps-expired", dead_letter_on_expiry=True),
        Queue("sessions", sessions=True),
    ]
    async with await ServiceBusBroker.start(queues, node=node) as broker:
        environment = {
            "BROKER_CONNECTION_STRING": broker.connection_string,
            "BROKER_CONTROL_URL": broker.control_url,
        }
        await run_tests(node, WITH_SDK, environment=environment)
