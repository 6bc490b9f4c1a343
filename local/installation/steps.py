"""Steps of an installation: one line each with its time, logs, stamps of what was done."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = ROOT / ".local"
LOG_LINES_SHOWN = 20


class InstallationError(Exception):
    """What a person must be told before anything could start: code, what is wrong, what to do."""

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(f"error: {code}: {what}. What to do: {remedy}.")
        self.code = code


def step(
    label: str,
    words: list[str],
    *,
    log: str,
    remedy: str,
    cwd: Path = ROOT,
    first_on_path: Path | None = None,
) -> None:
    """Run a program with its output in .local/logs; show one line with its time.

    Args:
        label: what the line says.
        words: the program and its arguments.
        log: the log's short name.
        remedy: what to do when it fails.
        cwd: the working folder.
        first_on_path: a folder to search before the rest of PATH.

    Raises:
        InstallationError: `install_failed`, after the end of the log was shown.
    """
    path = STATE / "logs" / f"setup-{log}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if first_on_path:
        environment["PATH"] = os.pathsep.join([str(first_on_path), environment.get("PATH", "")])
    print(f"  {label} …", end="", flush=True)
    began = time.monotonic()
    with path.open("wb") as output:
        code = _run(words, cwd, environment, output.fileno())
    print(f" {time.monotonic() - began:.1f} s", flush=True)
    if code != 0:
        lines = path.read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
        print("\n".join(f"    | {line}" for line in lines), file=sys.stderr)
        what = f"{label}: exit code {code} (log: {path.relative_to(ROOT)})"
        raise InstallationError("install_failed", what, remedy)


def _run(words: list[str], cwd: Path, environment: dict[str, str], output: int) -> int:
    """Run to the end; print a dot every two seconds, to show that it goes on."""
    try:
        process = subprocess.Popen(
            words,
            cwd=str(cwd),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        os.write(output, f"{words[0]}: {error}\n".encode())
        return 127
    try:
        while True:
            try:
                return process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                print(".", end="", flush=True)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def ask(words: list[str]) -> str:
    """Run a small program and give what it prints; nothing when it fails."""
    try:
        told = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.decode("utf-8", "replace").strip()


def fingerprint(paths: list[Path], more: str) -> str:
    """Hash some files and a text; a file that is missing counts as such."""
    digest = hashlib.sha256(more.encode())
    for path in paths:
        content = path.read_bytes() if path.exists() else b"missing"
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def read_stamp(name: str) -> dict[str, str]:
    """Read what was remembered of an installation; nothing when there is none."""
    try:
        stamp = json.loads(_stamp_path(name).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(name: str, stamp: dict[str, str]) -> None:
    """Remember an installation."""
    _stamp_path(name).parent.mkdir(parents=True, exist_ok=True)
    _stamp_path(name).write_text(json.dumps(stamp), "utf-8")


def _stamp_path(name: str) -> Path:
    return STATE / "stamps" / f"{name}.json"
