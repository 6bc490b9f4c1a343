"""`python -m tests.infra.update`: format the template, compile it, and write the snapshots anew.

The difference that git then shows is what the change does to a deployment: read it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.infra.compiler import INFRA, MISSING, Compiler, find_compiler, parameter_sets


def compiled_text(compiled: dict[str, Any]) -> str:
    """The compiled template as it is committed: without the compiler's version and hashes."""
    return json.dumps(without_generator(compiled), indent=1, ensure_ascii=False) + "\n"


def without_generator(value: Any) -> Any:
    """Leave out what changes with the compiler and not with the template."""
    if isinstance(value, dict):
        return {key: without_generator(each) for key, each in value.items() if key != "_generator"}
    if isinstance(value, list):
        return [without_generator(each) for each in value]
    return value


def main() -> int:
    """Bring all that is made from the template up to date; its exit code."""
    program = find_compiler()
    if program is None:
        print(MISSING, file=sys.stderr)  # noqa: T201 - a command line prints
        return 2
    compiler = Compiler(program)
    run = compiler.run("format", f"--pattern={INFRA}/**/*.bicep", "--newline-kind=LF")
    if run.returncode != 0:
        print(run.stderr, file=sys.stderr)  # noqa: T201 - a command line prints
        return 1
    compiled, diagnostics = compiler.build(INFRA / "main.bicep")
    if diagnostics:
        print("\n".join(diagnostics), file=sys.stderr)  # noqa: T201 - a command line prints
        return 1
    (INFRA / "main.json").write_text(compiled_text(compiled), encoding="utf-8")
    for parameters in parameter_sets():
        snapshot, said = compiler.snapshot(parameters)
        if snapshot is None:
            print(said, file=sys.stderr)  # noqa: T201 - a command line prints
            return 1
        write_snapshot(parameters.with_suffix(".snapshot.json"), snapshot)
    return 0


def write_snapshot(path: Path, snapshot: dict[str, Any]) -> None:
    """Outputs come in any order from the compiler: in one here, so that git shows changes only."""
    snapshot["outputs"] = dict(sorted(snapshot["outputs"].items()))
    path.write_text(json.dumps(snapshot, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
