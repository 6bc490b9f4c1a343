"""`up`, as a person runs it: ready, used, interrupted, killed, started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.data_folder import DataFolder
from local.ports import port_is_free
from local.processes import until

CHECKOUT = Path(__file__).resolve().parents[2]
ANY_PORTS = ("--port=0", "--azurite-ports=0,0,0", "--broker-port=0", "--emabler-port=0")
STATE = {
    "chargerId": "UP-1",
    "socketId": 1,
    "receivedTimestamp": "2026-03-14T10:48:40.55Z",
    "deviceTimeStamp": "2026-03-14T10:48:40.29Z",
    "status": "Available",
    "errorCode": "NoError",
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")


async def start(tmp_path: Path, *words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.commands.up"),
        *("--data", tmp_path / "data", "--settings", tmp_path / "local.settings.json"),
        *(words or ANY_PORTS),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


@asynccontextmanager
async def running(tmp_path: Path, *words: str) -> AsyncIterator[tuple[Process, str]]:
    """A stack that is ready, and what it printed until then."""
    process = await start(tmp_path, *words)
    try:
        yield process, await asyncio.wait_for(_until_ready(process), 60)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _until_ready(process: Process) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    told = ""
    while line := await process.stdout.readline():
        told += line.decode()
        if line.startswith(b"Ready."):
            return told
    pytest.fail(f"up ended early:\n{told}{(await process.stderr.read()).decode()}")


def settings_of(tmp_path: Path) -> dict[str, Any]:
    written: dict[str, Any] = json.loads((tmp_path / "local.settings.json").read_text())
    return written


def ports_in(text: str) -> set[int]:
    return {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}


async def all_free(ports: set[int]) -> None:
    async def free() -> bool:
        return all(port_is_free(port) for port in ports)

    await until(free, within=20, what=f"that {sorted(ports)} were free", every=0.05)


async def one_line_error(process: Process) -> str:
    """The only line on standard error of a run that was refused with exit code 2."""
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2, said
    [line] = said.decode().splitlines()
    return line


async def journal(tmp_path: Path) -> list[str]:
    """The chargers in the journal, as `manage.py` shows them with the file that was written."""
    return [row["charger"] for row in await managed(tmp_path, "events", "list")]


async def managed(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    """The rows that a command of `manage.py`, which has to exit 0, prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHECKOUT / "manage.py"), *words, "--json"),
        cwd=tmp_path,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode() + said.decode()
    return [json.loads(line) for line in out.splitlines()]


async def test_a_day_with_up(tmp_path: Path) -> None:
    """Killed, it leaves nothing behind; restarted, it lost nothing; Ctrl-C gives 130."""
    async with running(tmp_path) as (process, told):
        written = settings_of(tmp_path)
        assert written["writtenBy"] == "dev.py up"
        assert f"http://127.0.0.1:{written['Host']['LocalHttpPort']}" in told
        headers = {"Authorization": written["Values"]["WEBHOOK_AUTHORIZATION"]}
        webhook = f"http://127.0.0.1:{written['Host']['LocalHttpPort']}/api/emabler/push"
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            assert (await client.get(webhook)).status_code == 200
            assert (await client.post(webhook, json=STATE, headers=headers)).status_code == 200
        # A second one on the same data would corrupt it.
        assert "error: data_in_use: " in await one_line_error(await start(tmp_path))

        async def stored() -> bool:
            return await journal(tmp_path) == ["UP-1"]

        await until(stored, within=30, what="that the event was in the journal")
        # Azurite writes its tables within five seconds, or when it ends in order: which it does
        # when the process that started it is gone.
        process.kill()
        await process.wait()
        await all_free(ports_in(told))

    async with running(tmp_path) as (process, told):
        assert settings_of(tmp_path)["Values"]["TAG_HASH_KEY"] == written["Values"]["TAG_HASH_KEY"]
        assert await journal(tmp_path) == ["UP-1"]

        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 130
    assert said.decode().split() == ["stopping", "…", "stopped"]
    await all_free(ports_in(told))


async def test_telemetry_is_captured(tmp_path: Path) -> None:
    """With --telemetry the file that is named gets what host and app tell, and nobody else does."""
    own = {"Values": {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=of-my-own"}}
    (tmp_path / "local.settings.json").write_text(json.dumps(own))
    words = (*ANY_PORTS, "--telemetry", "opentelemetry")
    async with running(tmp_path, *words) as (_process, told):
        (url,) = re.findall(r"Functions +(http://\S+)", told)
        (file,) = re.findall(r"telemetry +(\S+\.jsonl)", told)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            assert (await client.get(f"{url}/api/emabler/push")).status_code == 200

        async def captured() -> bool:
            text = await asyncio.to_thread(Path(file).read_text, encoding="utf-8")
            kinds = re.findall(r'"baseType": ?"(\w+)"', text)
            return {"RequestData", "MessageData", "RemoteDependencyData"} <= set(kinds)

        await until(captured, within=60, what="the capture of request, line and span")


async def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """A taken port that was asked for gives exit code 2, one line, and no settings file."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        line = await one_line_error(await start(tmp_path, *ANY_PORTS[1:], f"--port={port}"))

    assert line.startswith(f"error: port_in_use: port {port} ")
    assert "--port" in line
    assert not (tmp_path / "local.settings.json").exists()


async def test_a_settings_file_that_is_broken_is_refused(tmp_path: Path) -> None:
    """A settings file of the user's that cannot be read stops the start, and stays as it is."""
    file = tmp_path / "local.settings.json"
    file.write_text('{"Values": ')

    line = await one_line_error(await start(tmp_path))

    assert line.startswith("error: setting_wrong: local.settings.json cannot be read")
    assert file.read_text() == '{"Values": '


async def test_core_tools_that_are_missing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--func` without `func` on PATH is refused at once."""
    monkeypatch.setenv("PATH", str(tmp_path))
    line = await one_line_error(await start(tmp_path, *ANY_PORTS, "--func"))
    assert line.startswith("error: func_missing: ")


@pytest.mark.parametrize(
    "words",
    [
        ("--prot=1",),
        ("--azurite-ports=1,2",),
        ("--azurite-ports=a,b,c",),
        ("--port=x",),
        ("--port=99999",),
        ("--push=rabbit",),
    ],
)
async def test_wrong_use_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    """What the command line does not know is one line with a hint at the examples."""
    line = await one_line_error(await start(tmp_path, *words))

    assert line.startswith("error: usage_wrong: ")
    assert "python dev.py up --help" in line


async def test_the_doctor_finds_it_well(tmp_path: Path) -> None:
    """As it comes up it lacks nothing that the doctor looks for, a push configuration included."""
    async with running(tmp_path):
        checks = await managed(tmp_path, "doctor")

    assert all(row["well"] for row in checks), checks
    assert any(row["check"].startswith("push configuration") for row in checks)


async def test_settings_that_cannot_be_written_are_told_first(tmp_path: Path) -> None:
    """A folder that is not there is an error before anything starts."""
    away = tmp_path / "away" / "local.settings.json"
    line = await one_line_error(await start(tmp_path, *ANY_PORTS, "--settings", str(away)))

    assert line.startswith("error: setting_wrong: there is no folder ")
    assert not (tmp_path / "data").exists()


async def test_ctrl_c_while_starting(tmp_path: Path) -> None:
    """Interrupted before it is ready, it stops what had started, and keeps the data folder."""
    process = await start(tmp_path)
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 30)
    assert b"ready in" in first

    process.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 130
    assert said.decode().split() == ["stopping", "…", "stopped"]
    # All that could write there is gone: another run may have the folder.
    DataFolder.open(tmp_path / "data").close()
    assert _writers_of(tmp_path / "data") == []


def _writers_of(folder: Path) -> list[str]:
    """The command lines, where the platform shows them, of processes that name the folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in lines if str(folder) in line]


async def test_a_fleet_lives_beside_it(tmp_path: Path) -> None:
    """With --fleet chargers are in eMabler's books, and their first hours are in the store."""
    async with running(tmp_path, "--fleet", "2", *ANY_PORTS) as (_, told):
        address = re.search(r"http://127\.0\.0\.1:\d+/_fleet", told)
        assert address is not None
        async with httpx.AsyncClient(trust_env=False) as client:

            async def sent() -> bool:
                return bool((await client.get(address[0])).json()["messages"] > 10)

            await until(sent, within=60, what="that the fleet sent its first hours")
            books = await client.get(address[0].replace("_fleet", "_books/chargers"))
            progress = (await client.get(address[0])).json()

    assert len(books.json()) == 2
    assert (progress["stage"], progress["ends"]) == ("playing", None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--no-simulator", "--fleet", "3"), "usage_wrong"),
        (("--no-simulator",), "EMABLER_API_KEY is not set"),
    ],
)
async def test_no_simulator_needs_an_emabler(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    """Without the simulator neither a fleet can live nor a made-up key be sent to eMabler."""
    process = await start(tmp_path, *words)
    _, said = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 2
    assert told in said.decode()


async def test_without_the_simulator_the_emabler_is_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key and an address of one's own the rest starts, and the app is given both."""
    monkeypatch.setenv("EMABLER_API_KEY", "mine")
    monkeypatch.setenv("EMABLER_BASE_URL", "http://127.0.0.1:9/api/v2/cpo/")
    async with running(tmp_path, "--no-simulator", *ANY_PORTS) as (_, told):
        values = settings_of(tmp_path)["Values"]

    assert "its books" not in told
    assert (values["EMABLER_API_KEY"], values["EMABLER_BASE_URL"]) == (
        "mine",
        "http://127.0.0.1:9/api/v2/cpo/",
    )
