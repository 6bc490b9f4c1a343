"""Child processes: ready, watched, bounded, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.errors import LocalError, StartError
from local.processes import REMEMBERED_LINES, BoundedLog, ChildProcess, until

CHECKOUT = Path(__file__).resolve().parents[2]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Ends when its standard input ends, as the parts of the local Azure do.
FOLLOWER = "import sys; print('ready', flush=True); sys.stdin.read(); print('bye', flush=True)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "while True: time.sleep(60)"
)


@asynccontextmanager
async def child(program: str, log: Path) -> AsyncIterator[ChildProcess]:
    process = await ChildProcess.start("the child", [sys.executable, "-c", program], log=log)
    try:
        yield process
    finally:
        await process.kill()


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


async def until_gone(pid: int) -> None:
    async def gone() -> bool:
        return not runs(pid)

    await until(gone, within=15, what=f"the end of process {pid}", every=0.02)


def ready(line: str) -> str | None:
    return line if line == "ready" else None


async def test_a_ready_line_is_waited_for_and_given(tmp_path: Path) -> None:
    """What `match` makes of the line comes back, also when the line came before the question."""
    async with child(FOLLOWER, tmp_path / "log") as process:
        assert await process.wait_for_line(ready, within=10) == "ready"
        assert await process.wait_for_line(ready, within=10) == "ready"


async def test_a_child_that_ends_first_tells_its_last_words(tmp_path: Path) -> None:
    """The error names the child, its exit code, its last lines and the log."""
    async with child("print('no such table'); raise SystemExit(3)", tmp_path / "log") as process:
        with pytest.raises(StartError) as caught:
            await process.wait_for_line(ready, within=10)

    assert caught.value.code == "start_failed"
    for part in ("the child", "exit code 3", "no such table", str(tmp_path / "log")):
        assert part in str(caught.value)


async def test_a_child_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """After its time a silent child is an error; it still has to be stopped."""
    async with child("import time; time.sleep(60)", tmp_path / "log") as process:
        with pytest.raises(StartError, match=r"not ready after 0\.1 s"):
            await process.wait_for_line(ready, within=0.1)
        assert process.running


async def test_a_probe_stops_when_the_child_ends(tmp_path: Path) -> None:
    """Waiting until a probe says yes ends at once when the child has ended."""

    async def never() -> bool:
        return False

    async with child("raise SystemExit(4)", tmp_path / "log") as process:
        with pytest.raises(StartError, match="exit code 4"):
            await process.wait_until(never, within=30)


async def test_a_program_that_is_not_there_is_an_error_for_people(tmp_path: Path) -> None:
    """A missing program names itself and says what to do."""
    with pytest.raises(StartError, match=r"no-such-program.*What to do: run"):
        await ChildProcess.start("the child", [tmp_path / "no-such-program"], log=tmp_path / "log")


async def test_stopping_closes_standard_input_and_waits(tmp_path: Path) -> None:
    """A child that watches its standard input ends by itself, and its last words are kept."""
    async with child(FOLLOWER, tmp_path / "log") as process:
        await process.wait_for_line(ready, within=10)
        assert await process.stop(with_signal=False) == 0

    assert list(process.lines) == ["ready", "bye"]
    assert (tmp_path / "log").read_text() == "ready\nbye\n"


@posix_only
async def test_a_child_that_does_not_follow_is_killed(tmp_path: Path) -> None:
    """After the grace a child that ignores SIGTERM is gone all the same."""
    async with child(STUBBORN, tmp_path / "log") as process:
        await process.wait_for_line(ready, within=10)
        assert await process.stop(grace=0.1) == -signal.SIGKILL


@posix_only
async def test_a_paused_child_can_be_stopped(tmp_path: Path) -> None:
    """Stopping wakes a paused child first, so that it can end in order."""
    async with child(FOLLOWER, tmp_path / "log") as process:
        await process.wait_for_line(ready, within=10)
        process.pause()
        assert await process.stop(with_signal=False) == 0


async def test_stopping_twice_does_no_harm(tmp_path: Path) -> None:
    """The second stop gives the same exit code."""
    async with child(FOLLOWER, tmp_path / "log") as process:
        await process.wait_for_line(ready, within=10)
        assert await process.stop(with_signal=False) == await process.stop()


async def test_remembered_lines_are_bounded(tmp_path: Path) -> None:
    """Of a talkative child the last lines are remembered, and all of them are in the log."""
    count = 3 * REMEMBERED_LINES
    program = f"for n in range({count}): print(n)\nprint('ready')"
    async with child(program, tmp_path / "log") as process:
        await process.wait_for_line(ready, within=10)
        await process.stop()

    assert len(process.lines) == REMEMBERED_LINES
    assert list(process.lines)[-2:] == [str(count - 1), "ready"]
    assert len((tmp_path / "log").read_text().splitlines()) == count + 1


async def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    """Endless output without a line break does not grow in memory: it is cut into lines."""
    program = "import sys; sys.stdout.write('x' * 300_000); print(); print('ready')"
    async with child(program, tmp_path / "log") as process:
        await process.wait_for_line(ready, within=10)
        await process.stop()

    long = [line for line in process.lines if line.startswith("x")]
    assert sum(map(len, long)) == 300_000
    assert max(map(len, long)) < 200_000


def test_a_full_log_file_is_put_aside_once(tmp_path: Path) -> None:
    """A log takes at most twice its limit on disk: the file and the one before it."""
    log = BoundedLog(tmp_path / "log", limit=1000)
    for number in range(1000):
        log.write(f"line {number}")
    log.close()

    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert all(size <= 1020 for size in sizes)
    assert (tmp_path / "log").read_text().endswith("line 999\n")


PARENT = """
import asyncio, sys
from pathlib import Path
from local.processes import ChildProcess

async def main():
    follower = [sys.executable, "-c", sys.argv[1]]
    child = await ChildProcess.start(
        "follower", follower, log=Path(sys.argv[2]), wake_when_orphaned=True
    )
    await child.wait_for_line(lambda line: line == "ready" or None, within=10)
    if sys.argv[3] == "paused":
        child.pause()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@posix_only
@pytest.mark.parametrize("state", ["running", "paused"])
async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, state: str) -> None:
    """SIGKILL on the parent leaves no child, even one that is paused at that moment."""
    if state == "paused" and sys.platform != "linux":
        pytest.skip("only Linux wakes an orphan")
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, FOLLOWER, str(tmp_path / "log"), state),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    assert runs(pid)

    parent.kill()
    await parent.communicate()

    await until_gone(pid)


async def test_waiting_has_an_end() -> None:
    """`until` gives what the probe found; after its time, an error says what was awaited."""
    answers = iter([None, False, "here"])

    async def found() -> str | bool | None:
        return next(answers)

    async def nothing() -> None:
        return None

    assert await until(found, within=5, what="an answer", every=0) == "here"
    with pytest.raises(LocalError, match=r"a miracle did not happen within 0\.02 s"):
        await until(nothing, within=0.02, what="a miracle", every=0.005)
