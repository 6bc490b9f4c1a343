"""How the host starts, refuses to start, and ends."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local.errors import StartError
from local.functions_host.process import FunctionsHost
from local.processes import ChildProcess
from tests.functions_host.support import copy_app, logged, until

REPOSITORY = Path(__file__).resolve().parents[2]
HTTP_APP = """
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
@app.route(route="waits/{seconds}")
async def waits(req: func.HttpRequest) -> func.HttpResponse:
    import asyncio, logging
    logging.getLogger("app").warning("waits")
    await asyncio.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse("waited")
@app.route(route="blocks")
def blocks(req: func.HttpRequest) -> func.HttpResponse:
    import time
    time.sleep(60)
"""


LIMITS = {"http": {"maxConcurrentRequests": 1, "maxOutstandingRequests": 2}}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app of `host`."""
    host_json = json.dumps({"version": "2.0", "extensions": LIMITS})
    return _app(tmp_path_factory.mktemp("limits"), host_json=host_json)


@pytest.fixture(scope="module")
async def host(app: Path) -> AsyncIterator[FunctionsHost]:
    """A quiet host whose functions may take two seconds, one at a time, with one more waiting."""
    settings = {"AzureFunctionsJobHost__functionTimeout": "00:00:02"}
    async with await FunctionsHost.start(app=app, settings=settings, quiet=True) as host:
        yield host


def _app(folder: Path, code: str = HTTP_APP, host_json: str = '{"version": "2.0"}') -> Path:
    (folder / "function_app.py").write_text(code, encoding="utf-8")
    (folder / "host.json").write_text(host_json, encoding="utf-8")
    return folder


async def _run(*arguments: str | Path) -> tuple[int | None, str]:
    """Run the host to its end: exit code and console."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.functions_host", "--port", "0", *arguments),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()


async def test_an_app_that_cannot_be_imported_ends_the_host(tmp_path: Path) -> None:
    """Exit code 2, a code, and the worker's own traceback."""
    code, console = await _run("--app", copy_app("broken", tmp_path))
    assert code == 2
    assert "error: app_not_indexed: " in console
    assert "ModuleNotFoundError: No module named 'no_such_module_for_this_test'" in console
    assert "import no_such_module_for_this_test" in console


async def test_an_app_that_exits_while_it_is_imported_ends_the_host(tmp_path: Path) -> None:
    """How the worker ended is told, and what it printed."""
    code, console = await _run(
        "--app", _app(tmp_path, "import os; print('last words'); os._exit(7)")
    )
    assert code == 2
    assert "error: app_not_indexed: " in console
    assert "exited with code 7" in console
    assert "last words" in console


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "host_json_not_found"),
        ({"host.json": '{"version": "2.0"}'}, "app_not_found"),
        ({"host.json": "{", "function_app.py": ""}, "host_json_invalid"),
        (
            {
                "host.json": '{"version": "2.0"}',
                "function_app.py": "",
                "local.settings.json": '{"IsEncrypted": true}',
            },
            "local_settings_encrypted",
        ),
        (
            {
                "host.json": '{"version": "2.0"}',
                "function_app.py": "",
                "local.settings.json": '{"Values": {"FUNCTIONS_WORKER_RUNTIME": "node"}}',
            },
            "app_not_python",
        ),
    ],
)
async def test_a_folder_that_is_no_app_is_refused(
    tmp_path: Path, files: dict[str, str], code: str
) -> None:
    """Exit code 2 and one message with a code, before any worker starts."""
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    exit_code, console = await _run("--app", tmp_path)
    assert exit_code == 2
    assert console.startswith(f"error: {code}: ")
    assert len(console.splitlines()) == 1


async def test_a_taken_port_is_refused_when_it_must_be_that_one(tmp_path: Path) -> None:
    """--strict-port: exit code 2, and the message names port and option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, console = await _run("--app", _app(tmp_path), "--port", port, "--strict-port")
    assert code == 2
    assert console.startswith("error: port_in_use: ")
    assert port in console
    assert "--port" in console


async def test_a_taken_port_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    """Without --strict-port, as func does; the other port is told. Ends when its input does."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = _app(tmp_path, "import azure.functions as func\napp = func.FunctionApp()\n")
        settings = {"IsEncrypted": False, "Values": {}, "Host": {"LocalHttpPort": port}}
        (app / "local.settings.json").write_text(json.dumps(settings), encoding="utf-8")
        child = await ChildProcess.start(
            "the Functions host",
            [sys.executable, "-m", "local.functions_host", "--app", app, "--exit-with-stdin"],
            log=tmp_path / "host.log",
            cwd=REPOSITORY,
        )
        async with child:
            ready = await child.wait_for_line(
                lambda line: line if line.startswith("functions_host_ready ") else None, within=30
            )
            assert f":{port} " not in ready
            assert any(f"Port {port} is taken" in line for line in child.lines)
            assert any("has no functions" in line for line in child.lines)
            assert await child.stop(with_signal=False, grace=10) == 0


async def test_a_host_that_ends_early_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    """FunctionsHost.start tells what the console said."""
    with pytest.raises(StartError, match="app_not_indexed"):
        await FunctionsHost.start(app=_app(tmp_path, "def ("))


async def test_quiet_shows_warnings_and_what_functions_log(host: FunctionsHost) -> None:
    """No banner, no lines of invocations that succeeded."""
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{host.url}/api/waits/0")).text == "waited"
    console = await logged(host, "Warning Function.waits.User (app): waits")
    assert "Executing" not in console
    assert "Functions:" not in console


async def test_requests_beyond_the_limits_wait_or_are_refused(host: FunctionsHost) -> None:
    """MaxConcurrentRequests run, up to maxOutstandingRequests wait, the next one gets 429."""
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        requests = [http.get(f"{host.url}/api/waits/0.3") for _ in range(3)]
        answers = await asyncio.gather(*requests)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert time.monotonic() - began >= 0.6


async def test_a_function_beyond_its_time_out_fails_and_its_worker_is_replaced(
    host: FunctionsHost,
) -> None:
    """The functionTimeout of host.json, here set by an app setting: 500, and a new worker."""
    (before,) = await host.worker_pids()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        assert (await http.get(f"{host.url}/api/blocks")).status_code == 500
        assert (await http.get(f"{host.url}/api/waits/0")).text == "waited"
    (after,) = await host.worker_pids()
    assert after != before
    what = "Timeout value of 00:00:02 was exceeded by function: Functions.blocks"
    assert f"FunctionTimeoutException: {what}" in host.log_text()


async def test_functions_that_changed_on_disk_are_pointed_out(
    host: FunctionsHost, app: Path
) -> None:
    """The next worker reads the app as it is then; the host goes on with what it knew."""
    with (app / "function_app.py").open("a", encoding="utf-8") as code:
        code.write("@app.route(route='new')\ndef new(req: func.HttpRequest) -> str: return ''\n")
    os.kill((await host.worker_pids())[0], 9)
    await logged(host, "The app's functions changed on disk.")
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        assert (await http.get(f"{host.url}/api/waits/0")).text == "waited"
        assert (await http.get(f"{host.url}/api/new")).status_code == 404


async def test_a_host_can_be_stopped_while_its_app_is_imported(tmp_path: Path) -> None:
    """It ends at once and with 0, and so does the worker that was still importing."""
    app = _app(tmp_path, "import os, time\nprint('importing', os.getpid())\ntime.sleep(60)\n")
    child = await ChildProcess.start(
        "the Functions host",
        [sys.executable, "-m", "local.functions_host", "--app", app, "--port", "0"],
        log=tmp_path / "host.log",
        cwd=REPOSITORY,
    )
    async with child:
        line = await child.wait_for_line(
            lambda line: line if line.startswith("importing ") else None, within=30
        )
        assert await child.stop(grace=10) == 0
    assert not _runs(int(line.split()[1]))


async def test_running_requests_are_answered_before_the_host_ends(tmp_path: Path) -> None:
    """A stop waits for them, takes no new ones, leaves no process behind and exits with 0."""
    host = await FunctionsHost.start(app=_app(tmp_path))
    (worker,) = await host.worker_pids()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        running = asyncio.create_task(http.get(f"{host.url}/api/waits/0.7"))
        await logged(host, "(app): waits")
        assert await host.stop() == 0
        assert (await running).text == "waited"
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{host.url}/api/waits/0")
    assert not _runs(worker)
    assert "Traceback" not in host.log_text()


async def test_a_worker_ends_with_a_host_that_was_killed(tmp_path: Path) -> None:
    """Nobody is left to stop it, so it ends by itself, although a function blocks."""
    host = await FunctionsHost.start(app=_app(tmp_path))
    (worker,) = await host.worker_pids()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        running = asyncio.create_task(http.get(f"{host.url}/api/blocks"))
        await logged(host, "Executing 'Functions.blocks'")
        host.kill()
        with pytest.raises(httpx.HTTPError):
            await running
    await host.stop()
    await until("the worker ends", lambda: not _runs(worker))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
