"""The folder where a local Azure keeps its data: held by one run at a time, with its own secrets.

| file | what |
|---|---|
| `secrets.json` | the webhook's Authorization value, the tag hash key, the REST key |
| `azurite/`, `broker/`, `emabler/`, `app-insights/` | what each part keeps |
| `lock` | held while a run works in the folder |
"""

import contextlib
import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import IO, Self

from local.errors import FolderError, LocalError

SECRET_NAMES = ("WEBHOOK_AUTHORIZATION", "TAG_HASH_KEY", "EMABLER_API_KEY")
_OURS = "secrets.json"
_LOCK = "lock"


class DataFolder:
    """An opened data folder. Close it when the parts have stopped."""

    def __init__(self, path: Path, lock: IO[bytes], secret_values: dict[str, str]) -> None:
        self.path = path
        self.secrets = secret_values
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, reset: bool = False) -> Self:
        """Make or take the folder and lock it.

        Args:
            path: the folder.
            reset: empty it first.

        Raises:
            LocalError: `data_in_use` when another run works in it, `data_folder_foreign` when it
                is to be emptied and was not made by this class, `folder_unusable` when it cannot
                be made or written.
        """
        if reset and path.is_dir() and any(path.iterdir()) and not (path / _OURS).is_file():
            raise LocalError(
                "data_folder_foreign",
                f"{path} holds files that the local Azure did not make, so it is not emptied",
                "give another folder with --data, or empty this one by hand",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            opened = (path / _LOCK).open("ab")
        except OSError as error:
            raise FolderError(path, "--data", error) from error
        lock = _locked(opened, path)
        try:
            if reset:
                _empty(path)
            return cls(path, lock, _secrets(path / _OURS))
        except BaseException:
            lock.close()
            raise

    def close(self) -> None:
        """Let go of the folder; its content stays."""
        self._lock.close()


def _locked(file: IO[bytes], path: Path) -> IO[bytes]:
    """Lock the folder's file for this process; the lock ends with the process."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there is none elsewhere

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - there is none on Windows

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise LocalError(
            "data_in_use",
            f"another run works in {path}",
            "stop that one (Ctrl-C where it runs), or give another folder with --data",
        ) from error
    return file


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == _LOCK:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _secrets(path: Path) -> dict[str, str]:
    """Read the folder's secrets; make those that are missing."""
    kept: dict[str, str] = {}
    if path.is_file():
        with contextlib.suppress(ValueError):
            kept = json.loads(path.read_text("utf-8"))
    made = {name: kept.get(name) or secrets.token_urlsafe(32) for name in SECRET_NAMES}
    if made != kept:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(made, file, indent=2)
    return made
