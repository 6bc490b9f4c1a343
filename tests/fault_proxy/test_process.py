"""The proxy as a program: its ready line, its control port, its end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.errors import LocalError
from local.fault_proxy.process import ROOT, FaultProxyProcess
from local.fault_proxy.rules import Rule

ROW = {"PartitionKey": "p", "RowKey": "k"}


@pytest.fixture(scope="module")
async def process(
    azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FaultProxyProcess]:
    """One process for all tests of this module, each of which clears its rules."""
    log = tmp_path_factory.mktemp("fault_proxy") / "proxy.log"
    rules: list[Rule | str] = [
        "busy table=nowhere rate=0.5",
        Rule("throttled", table="nowhere", count=3),
    ]
    async with await FaultProxyProcess.start(azurite, log=log, rules=rules, seed=3) as process:
        yield process


async def test_the_process_is_controlled_as_the_object(
    process: FaultProxyProcess, direct: TableClient
) -> None:
    """Rules come and go while it runs, and it tells what it decided."""
    await process.clear()
    async with TableClient.from_connection_string(
        process.connection_string, direct.table_name, retry_backoff_factor=0.01
    ) as client:
        number = await process.add(f"error_after_write table={direct.table_name} count=1")
        with pytest.raises(ResourceExistsError):
            await client.create_entity(ROW)
        await process.remove(number)

        await process.add(Rule("late_write", count=1))
        await client.upsert_entity({**ROW, "v": 2})
        assert (await process.counts()).held == 1
        await process.settle()
        await process.clear()
        assert (await client.get_entity("p", "k"))["v"] == 2

    decisions = await process.decisions()
    assert [(d.fault, d.call.name, d.answered, d.stored) for d in decisions] == [
        ("error_after_write", direct.table_name, 500, 201),
        ("late_write", direct.table_name, 500, 204),
    ]
    counts = await process.counts()
    assert counts.faults == {"error_after_write": 1, "late_write": 1}
    assert counts.rules == []


async def test_rules_over_the_control_port(process: FaultProxyProcess) -> None:
    """`/rules` takes lines and objects, whole lists or nothing, and lists what is in force."""
    await process.clear()
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{process.control_port}", trust_env=False
    ) as http:
        added = await http.post("/rules", json=["busy", {"fault": "slow", "seconds": 1.5}])
        refused = await http.post("/rules", json=["busy", {"fault": "slow", "seconds": "x"}])
        broken = await http.post("/rules", content=b"busy")
        listed = await http.get("/rules")
        unknown = await http.delete("/rules/9")
        removed = await http.delete("/rules/1")
        left = await http.get("/rules")
        cleared = await http.delete("/rules")

    assert added.json() == [1, 2]
    assert [refused.status_code, broken.status_code, unknown.status_code] == [400, 400, 400]
    assert refused.json()["code"] == "usage_wrong"
    assert [rule["rule"] for rule in listed.json()] == ["busy", "slow seconds=1.5"]
    assert [rule["number"] for rule in left.json()] == [2]
    assert [removed.status_code, cleared.status_code] == [200, 200]


async def test_errors_come_back_as_ours(process: FaultProxyProcess, azurite: Azurite) -> None:
    """A wrong rule is refused before it is sent or a process started; a wrong number after."""
    with pytest.raises(LocalError, match="there is no fault 'lazy'"):
        await process.add("lazy")
    with pytest.raises(LocalError, match="there is no rule 99"):
        await process.remove(99)
    with pytest.raises(LocalError, match="there is no fault 'lazy'"):
        await FaultProxyProcess.start(azurite, log=Path("not-made.log"), rules=["lazy"])


async def test_rules_and_seed_of_the_start_are_in_force(azurite: Azurite, tmp_path: Path) -> None:
    """Rules that are given at the start hold for the first call; a stopped process is gone."""
    process = await FaultProxyProcess.start(
        azurite, log=tmp_path / "log", rules=["refused service=table", "busy rate=0.25 count=9"]
    )
    try:
        async with TableClient.from_connection_string(
            process.connection_string, "events", retry_total=0
        ) as client:
            with pytest.raises(HttpResponseError) as caught:
                await client.create_table()
        assert caught.value.status_code == 403
        assert [state.rule for state in (await process.counts()).rules] == [
            "refused service=table",
            "busy rate=0.25 count=9",
        ]
    finally:
        await process.stop()

    assert not process.running
    await process.stop()


async def test_it_ends_with_its_standard_input(azurite: Azurite) -> None:
    """The ready line is JSON; when standard input is closed the program ends with 0."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.fault_proxy", "--exit-with-stdin"),
        *("--table-url", azurite.table_url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        ready = json.loads(await program.stdout.readline())
        program.stdin.close()
        async with asyncio.timeout(20):
            assert await program.wait() == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()

    assert ready["ready"] is True
    assert ready["pid"] == program.pid
    assert ready["table_url"].endswith("/devstoreaccount1")
    assert ready["blob_url"] is ready["queue_url"] is None


async def test_wrong_usage_is_said() -> None:
    """Without an address the program says what to do and ends with 2."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.fault_proxy"), stderr=subprocess.PIPE, cwd=ROOT
    )
    _out, told = await program.communicate()

    assert program.returncode == 2
    assert told.startswith(b"error: usage_wrong: no address of a service was given.")
