"""What the host writes: its banner, one line for each event, and the functions' own log lines.

Lines read `[time] Level category: text`, with the categories that `logging.logLevel` of host.json
filters: `Function.{name}` for invocations, `Function.{name}.User` for what a function logs, and
`Host.…` for the host. Values of settings are never written.
"""

import sys
from datetime import UTC, datetime

from local.functions_host.log_levels import LevelFilter, LogLevel

READY = "functions_host_ready"
STARTUP = "Host.Startup"
WORKER = "Host.Worker"


class Console:
    """Writes to standard output, a whole line at a time."""

    def __init__(self, *, quiet: bool = False) -> None:
        """With `quiet`, only warnings, errors and what the functions themselves log."""
        self._quiet = quiet
        self.filter = LevelFilter()
        # A function may log what the console's encoding does not have.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")

    def line(self, level: LogLevel, category: str, text: str) -> None:
        """An event of the host."""
        if self._quiet and level < LogLevel.WARNING:
            return
        self._line(level, category, text)

    def information(self, category: str, text: str) -> None:
        """An event that is as it should be."""
        self.line(LogLevel.INFORMATION, category, text)

    def warning(self, category: str, text: str) -> None:
        """An event that someone may want to act on."""
        self.line(LogLevel.WARNING, category, text)

    def error(self, category: str, text: str) -> None:
        """An event that stops something from working."""
        self.line(LogLevel.ERROR, category, text)

    def function_log(self, level: LogLevel, function: str | None, logger: str, text: str) -> None:
        """A line that the app logged, inside an invocation of `function` or outside of any."""
        category = f"Function.{function}.User" if function else "Host.Function.Console"
        if self.filter.shows(category, level):
            self._write(f"[{_now()}] {level.label} {category} ({logger}): {text}")

    def function_output(self, text: str) -> None:
        """A line that the worker's process printed."""
        if self.filter.shows("Host.Function.Console", LogLevel.INFORMATION):
            self._write(text)

    def text(self, text: str) -> None:
        """Part of the banner."""
        if not self._quiet:
            self._write(text)

    def ready(self, url: str, pid: int, workers: list[int], milliseconds: int) -> None:
        """The one line for programs; it is written in every mode."""
        pids = ",".join(map(str, workers))
        self._write(f"{READY} url={url} pid={pid} workers={pids} milliseconds={milliseconds}")

    def failure(self, message: str, details: str) -> None:
        """Why the host ends, on standard error."""
        sys.stdout.flush()
        print(message, *([details] if details else []), sep="\n", file=sys.stderr, flush=True)

    def _line(self, level: LogLevel, category: str, text: str) -> None:
        if self.filter.shows(category, level):
            self._write(f"[{_now()}] {level.label} {category}: {text}")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except (BrokenPipeError, ValueError):
            # Whoever read the console is gone; the functions go on.
            pass


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
