"""Child processes of the local Azure: started, watched, logged within bounds, never left behind.

A child learns of its parent's end through its standard input: the parent holds the only other
end of that pipe, so it closes however the parent ends, SIGKILL included. Children started here
either watch it (`--exit-with-stdin`, or the Azurite launcher) or are stopped by a signal.
"""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from local.errors import LocalError, StartError

REMEMBERED_LINES = 400
LOG_BYTES = 8 * 1024 * 1024
LINE_BYTES = 64 * 1024


class BoundedLog:
    """A log file of at most twice `limit` bytes: when full it becomes `<name>.1`."""

    def __init__(self, path: Path, limit: int = LOG_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._limit = limit
        self._file: IO[bytes] = path.open("ab")

    def write(self, line: str) -> None:
        """Append one line."""
        if self._file.tell() > self._limit:
            self._file.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("ab")
        self._file.write(line.encode("utf-8", "replace") + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ChildProcess:
    """One child process, its last lines of output and its end.

    Use `await ChildProcess.start(…)`, then `await stop()`, or as an async context manager.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: BoundedLog) -> None:
        self.name = name
        self.log_path = log.path
        self.lines: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._process = process
        self._log = log
        self._paused = False
        self._line_came = asyncio.Condition()
        self._lines_seen = 0
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        wake_when_orphaned: bool = False,
    ) -> Self:
        """Start a program; its output and errors go to `log` and to `lines`.

        Args:
            name: what people call it, for messages.
            argv: the program and its arguments.
            log: the log file; lines are appended.
            env: the whole environment; None hands ours on.
            cwd: the working folder; None is ours.
            wake_when_orphaned: on Linux, let the kernel send SIGCONT when we end, so that a child
                that is paused at that moment wakes up, sees its standard input closed, and ends.

        Raises:
            StartError: the program could not be started at all.
        """
        words = [os.fspath(word) for word in argv]
        if wake_when_orphaned:
            words = [*_wake_prefix(), *words]
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                # Ctrl-C reaches a terminal's whole process group. The parent alone answers it and
                # stops its children in their order.
                start_new_session=sys.platform != "win32",
                creationflags=_new_group_flag(),
            )
        except OSError as error:
            raise StartError(
                f"{name} could not be started ({words[0]}: {error.strerror or error})",
                "run `python dev.py setup`, which installs what the local Azure needs",
            ) from error
        return cls(name, process, BoundedLog(log))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """The exit code; below 0 the signal that ended it; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for the end of the process and give its exit code."""
        return await self._process.wait()

    async def wait_for_line[T](self, match: Callable[[str], T | None], *, within: float) -> T:
        """Wait for a line of output and give what `match` made of it.

        Args:
            match: called with each line from the first one remembered; None means "not this one".
            within: seconds to wait.

        Raises:
            StartError: the process ended first, or no such line came in time.
        """
        try:
            async with asyncio.timeout(within):
                seen = 0
                while True:
                    fresh = min(self._lines_seen - seen, len(self.lines))
                    seen = self._lines_seen
                    for line in list(self.lines)[len(self.lines) - fresh :]:
                        if (found := match(line)) is not None:
                            return found
                    if self._reader.done() and seen == self._lines_seen:
                        raise self.start_error(f"ended with exit code {await self.wait()}")
                    async with self._line_came:
                        await self._line_came.wait_for(
                            lambda: self._lines_seen > seen or self._reader.done()  # noqa: B023 - read at once
                        )
        except TimeoutError:
            raise self.start_error(f"was not ready after {within:g} s") from None

    async def wait_until(self, probe: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Wait until `probe` says yes; it is asked every 50 ms.

        Raises:
            StartError: the process ended first, or the time passed.
        """
        deadline = time.monotonic() + within
        while not await probe():
            if not self.running:
                raise self.start_error(f"ended with exit code {self.exit_code}")
            if time.monotonic() > deadline:
                raise self.start_error(f"was not ready after {within:g} s")
            await asyncio.sleep(0.05)

    def start_error(self, what: str) -> StartError:
        """Build the error that says what happened, with the last lines and the log's place."""
        tail = " | ".join(line for line in list(self.lines)[-5:] if line.strip())
        said = f"; its last words: {tail}" if tail else ""
        return StartError(f"{self.name} {what}{said} (log: {self.log_path})")

    def pause(self) -> None:
        """Freeze the process, as a machine that hangs: connections open, nothing answers.

        Raises:
            LocalError: the platform has no SIGSTOP (Windows).
        """
        if sys.platform == "win32":
            raise LocalError(
                "part_missing",
                "this platform cannot pause a process",
                "run this on Linux or macOS",
            )
        self._process.send_signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let a paused process go on."""
        if self._paused and sys.platform != "win32":
            self._paused = False
            if self.running:
                self._process.send_signal(signal.SIGCONT)

    async def stop(self, *, grace: float = 8.0, with_signal: bool = True) -> int:
        """Ask the process to end, wait `grace` seconds, then kill it; give the exit code.

        The request is the end of its standard input and, where the platform has a polite one,
        a SIGTERM. (Windows' terminate is a kill: there the closed input must do.)

        Args:
            grace: seconds between the request and the kill.
            with_signal: False leaves the SIGTERM out.
        """
        self.resume()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self.running and with_signal and sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        await self._finish()
        return await self._process.wait()

    async def kill(self) -> None:
        """End the process at once, without a chance to save anything."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        self._paused = False
        await self._finish()

    async def _finish(self) -> None:
        """Take the last lines, then close the log."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        # A grandchild may hold the pipe open: the end of the child itself is what counts.
        await asyncio.wait([self._reader], timeout=1.0)
        if not self._reader.done():
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._log.close()

    async def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        rest = b""
        try:
            while chunk := await stream.read(LINE_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_BYTES:
                    whole, rest = [*whole, rest], b""
                await self._take(whole)
        finally:
            await self._take([rest] if rest else [])

    async def _take(self, raw: list[bytes]) -> None:
        async with self._line_came:
            for line in raw:
                text = line.rstrip(b"\r").decode("utf-8", "replace")
                self.lines.append(text)
                self._log.write(text)
            self._lines_seen += len(raw)
            self._line_came.notify_all()


def _new_group_flag() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


@functools.cache
def _wake_prefix() -> tuple[str, ...]:
    """The words that ask Linux to send SIGCONT to the program when its parent ends (prctl(2))."""
    tool = shutil.which("setpriv") if sys.platform == "linux" else None
    if tool is None:
        return ()
    words = (tool, "--pdeathsig", "CONT")
    # Not every setpriv knows the option (busybox's does not): ask it.
    asked = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if asked.returncode == 0 else ()


async def until[T](
    probe: Callable[[], Awaitable[T | None]], *, within: float, what: str, every: float = 0.1
) -> T:
    """Ask `probe` until it gives something other than None or False.

    Args:
        probe: called every `every` seconds.
        within: seconds after which to give up.
        what: what is waited for, for the message.
        every: seconds between two questions.

    Raises:
        LocalError: `answer_missing`, the time passed.
    """
    deadline = time.monotonic() + within
    while True:
        found = await probe()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise LocalError(
                "answer_missing",
                f"{what} did not happen within {within:g} s",
                "look into the logs; on a busy machine, try again",
            )
        await asyncio.sleep(every)
