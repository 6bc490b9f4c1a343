"""The Bicep compiler as the tests run it: found, kept off the network, out of the home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent.parent
INFRA = CHECKOUT / "infra"
PARAMETERS = Path(__file__).resolve().parent / "parameters"
SCRATCH = CHECKOUT / ".local" / "bicep"
MISSING = (
    "no Bicep compiler: the template is not compiled here, its committed form is still checked. "
    "What to do: install Bicep (`az bicep install`, or put `bicep` on PATH)"
)

# Invented, and the same everywhere: names and ids of the snapshots are made of them.
CONTEXT = (
    "--subscription-id=00000000-0000-0000-0000-000000000001",
    "--tenant-id=00000000-0000-0000-0000-000000000002",
    "--location=westeurope",
    "--deployment-name=snapshot",
)


def find_compiler() -> str | None:
    """The compiler on PATH, else the one that the Azure CLI installed."""
    found = shutil.which("bicep")
    if found:
        return found
    folder = os.environ.get("AZURE_CONFIG_DIR") or str(Path.home() / ".azure")
    return shutil.which("bicep", path=str(Path(folder) / "bin"))


@dataclass(frozen=True, slots=True)
class Compiler:
    """Runs one command of the compiler at a time, each a second or two."""

    program: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command; what went wrong is in its exit code and its two outputs."""
        # It unpacks a library on its first run: below the checkout, not below the home folder.
        environment = os.environ | {
            "DOTNET_BUNDLE_EXTRACT_BASE_DIR": str(SCRATCH),
            # It lives for two seconds: what a long-lived program gains by these, it never earns.
            "DOTNET_TieredPGO": "0",
            "DOTNET_gcConcurrent": "0",
        }
        return subprocess.run(
            [self.program, *words],
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=100,
        )

    def diagnostics(self, template: Path) -> list[str]:
        """All that the compiler and its linter have to say, whatever the level."""
        run = self.run("lint", str(template), "--diagnostics-format", "sarif")
        return diagnostics_of(run.stdout or run.stderr)

    def build(self, template: Path) -> tuple[dict[str, Any], list[str]]:
        """The template as Azure Resource Manager takes it, and what there is to say of it."""
        run = self.run("build", str(template), "--stdout", "--diagnostics-format", "sarif")
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout), diagnostics_of(run.stderr)

    def snapshot(self, parameters: Path) -> tuple[dict[str, Any] | None, str]:
        """What the parameters would deploy, and what the compiler says where it will not tell."""
        run = self.run("snapshot", str(parameters), "--mode=overwrite", *CONTEXT)
        path = parameters.with_suffix(".snapshot.json")
        if run.returncode != 0 or not path.exists():
            return None, run.stdout + run.stderr
        return json.loads(path.read_text(encoding="utf-8")), run.stdout + run.stderr

    def differences(self, parameters: Path) -> str:
        """What differs from the committed snapshot; empty where nothing does."""
        run = self.run("snapshot", str(parameters), "--mode=validate", *CONTEXT)
        return "" if run.returncode == 0 else run.stdout + run.stderr


def diagnostics_of(sarif: str) -> list[str]:
    """Rule and message of each result."""
    results: list[dict[str, Any]] = json.loads(sarif)["runs"][0]["results"]
    return [f"{result['ruleId']}: {result['message']['text']}" for result in results]


def parameter_sets() -> list[Path]:
    """The parameter files, each with a committed snapshot beside it."""
    return sorted(PARAMETERS.glob("*.bicepparam"))


if __name__ == "__main__":
    # The last line of CI: what was not checked is told there, too.
    if find_compiler() is None:
        print(f"NOT CHECKED: {MISSING}", file=sys.stderr)  # noqa: T201 - a command line prints
        sys.exit(1)
