"""The operator: runs `manage.py` with the settings of a stack, as a person would."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.commands.frame import ROOT
from local.errors import LocalError

MANAGE = ROOT / "manage.py"
SAMPLE = ROOT / "local.settings.sample.json"


class Operator:
    """Runs commands of `manage.py`.

    The working folder is the stack's data folder, where no local.settings.json lies: a
    developer's own settings must not turn a demo towards a real store.
    """

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        self._environment = without_app_settings(os.environ) | dict(settings)
        self._folder = folder

    async def run(self, *words: str | Path) -> str:
        """Run a command; give what it prints on standard output.

        Raises:
            LocalError: `command_failed`, with what it says on standard error.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, MANAGE, *words),
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise LocalError(
                "command_failed",
                f"manage.py {' '.join(map(str, words))} ended with exit code "
                f"{process.returncode}: {said.decode('utf-8', 'replace').strip()}",
                "read what it says; `python manage.py doctor` checks settings and services",
            )
        return out.decode("utf-8")

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a command with `--json` and give the objects that it prints, one a line."""
        text = await self.run(*words, "--json")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    async def create_store(self) -> None:
        """Make the tables that are missing."""
        await self.run("store", "create")


def app_settings_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Give those of the environment's variables that are settings of the app.

    The sample file has the list; what stands for an identity carries a suffix after two
    underscores.
    """
    names = set(json.loads(SAMPLE.read_text("utf-8"))["Values"])
    return {name: value for name, value in environ.items() if name.split("__")[0] in names}


def without_app_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the rest of the environment."""
    settings = app_settings_of(environ)
    return {name: value for name, value in environ.items() if name not in settings}


def forget_app_settings() -> None:
    """Take the app's settings out of this process's environment, which its children inherit."""
    for name in app_settings_of(os.environ):
        del os.environ[name]
