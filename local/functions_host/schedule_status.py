"""What is remembered of a timer between occurrences, and between runs of the host.

Azure keeps it in the app's storage account; here it is one small JSON file for each function
below the app's `.local/`, or in memory only. The rules for a missed occurrence are those of the
timer extension's schedule monitor.
"""

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from local.functions_host.ncrontab import Schedule

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """The last occurrence (`NEVER` before the first), the next one, and when that was set; UTC."""

    last: datetime
    next: datetime
    last_updated: datetime

    def as_json(self) -> dict[str, str]:
        """The members as the timer extension names and writes them."""
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }

    @classmethod
    def from_json(cls, document: dict[str, str]) -> "ScheduleStatus":
        """The reverse of `as_json`.

        Raises:
            KeyError, TypeError, ValueError: The document does not come from there.
        """
        return cls(*(datetime.fromisoformat(document[k]) for k in ("Last", "Next", "LastUpdated")))


class StatusStore(Protocol):
    """Where the status of each timer is kept."""

    def get(self, function: str) -> ScheduleStatus | None:
        """The status of a function's timer, if there is one."""
        ...

    def put(self, function: str, status: ScheduleStatus) -> None:
        """Keep the status of a function's timer."""
        ...


class MemoryStatusStore:
    """Keeps the status while the host runs."""

    def __init__(self) -> None:
        self._by_function: dict[str, ScheduleStatus] = {}

    def get(self, function: str) -> ScheduleStatus | None:
        """The status of a function's timer, if there is one."""
        return self._by_function.get(function)

    def put(self, function: str, status: ScheduleStatus) -> None:
        """Keep the status of a function's timer."""
        self._by_function[function] = status


class FileStatusStore:
    """Keeps the status in files, best effort: without them a timer only forgets what it missed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, function: str) -> ScheduleStatus | None:
        """The status of a function's timer, if there is one that can be read."""
        try:
            document: Any = json.loads(self._path(function).read_text(encoding="utf-8"))
            return ScheduleStatus.from_json(document)
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def put(self, function: str, status: ScheduleStatus) -> None:
        """Keep the status of a function's timer."""
        path = self._path(function)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(status.as_json()), encoding="utf-8")
            temporary.replace(path)

    def _path(self, function: str) -> Path:
        return self._folder / f"{function}.json"


def status_at_start(
    schedule: Schedule, kept: ScheduleStatus | None, now: datetime
) -> tuple[ScheduleStatus, bool]:
    """The status with which a timer starts, and whether an occurrence was missed meanwhile.

    A status that another schedule left is set anew from `now`, so that a changed schedule is
    never past due at once.
    """
    if kept is None:
        return ScheduleStatus(NEVER, schedule.next_after(now), now), False
    base = kept.last if kept.last != NEVER else kept.last_updated
    expected = schedule.next_after(base)
    if kept.next != expected:
        updated = base
        if now > expected:
            expected, updated = schedule.next_after(now), now
        kept = ScheduleStatus(NEVER, expected, updated)
    return kept, now > kept.next


def status_after_run(
    schedule: Schedule, before: ScheduleStatus, invoked: datetime, *, scheduled: bool
) -> ScheduleStatus:
    """The status once an invocation that began at `invoked` has ended.

    One that came a moment early counts for its occurrence, so that this is not run twice.
    """
    if scheduled and before.next > invoked:
        invoked = before.next
    return ScheduleStatus(invoked, schedule.next_after(invoked), invoked)
