#!/usr/bin/env python3
"""The one entry on a fresh machine: `python dev.py demo`, `python dev.py test` and the rest.

It finds Python 3.13 or later and Node, installs what the lock files say into `.venv` and
`local/node_modules`, and hands over to `python -m local.commands.<name>`. What is installed is
remembered in `.local/stamps`, so that a second run starts at once. It needs nothing but the
standard library and runs on any Python from 3.8 on.

Errors are one line, `error: <code>: what is wrong. What to do: …`, with exit code 2:

| code | when |
|---|---|
| `command_unknown` | the first argument is none of the commands |
| `usage_wrong` | `setup` was given a further word |
| `python_missing` | no Python 3.13 or later, or one that cannot make virtual environments |
| `node_missing` | no Node 20 or later on PATH, and none could be installed from PyPI |
| `install_failed` | pip or npm failed; the end of its log is shown |

`port_in_use`, `setting_wrong`, `start_failed` and others come from the commands: local/errors.py.
"""

from __future__ import annotations

import os
import subprocess
import sys

from local.installation.node import install_node_packages
from local.installation.python import VENV, VENV_PYTHON, install_python_packages
from local.installation.steps import ROOT, InstallationError

HELP = {
    "setup": """setup
  Install what is needed and stop there.
      python dev.py setup""",
    "demo": """demo [--seed N] [--chargers N] [--faults off|default|list|NAME=SHARE@HOURS,…]
   [--speed N|max] [--push service-bus|webhook|kafka] [--app DIR] [--logs DIR]
  A charging day in about a minute: start Azure and eMabler on this machine, let a fleet charge,
  tap and misbehave, reconcile, and compare the store with the truth. Exit code 0 only if equal.
  --app plays against the app of another folder.
      python dev.py demo
      python dev.py demo --seed 7 --push webhook
      python dev.py demo --push kafka     # eMabler writes to a Kafka topic, the app reads it
      python dev.py demo --faults list    # what can go wrong, and how it is written
      python dev.py demo --faults default,offline=0.5,lost=0.1@6h-9h
      python dev.py demo --faults off --speed max --chargers 8""",
    "up": """up [--port 7071] [--azurite-ports BLOB,QUEUE,TABLE] [--broker-port 5672]
   [--emabler-port 7080] [--data DIR] [--reset] [--settings FILE] [--func]
   [--push service-bus|webhook|kafka] [--fleet N [--seed N] [--faults …] | --no-simulator]
   [--telemetry [log|opentelemetry]]
  Start the local Azure and keep it running until Ctrl-C. Data and logs stay in .local/data.
  Without a local.settings.json of your own one is written; one of your own takes part, below
  the environment, and is never written.
      python dev.py up                    # prints addresses and ready curl lines
      python dev.py up --port 8000        # exactly this port, or an error
      python dev.py up --reset            # begin with empty tables and queues
      python dev.py up --func             # Core Tools' `func start` as the host
      python dev.py up --fleet 20         # with chargers that live at the pace of the clock
      python dev.py up --push kafka       # with a Kafka broker, and a function that reads it
      python dev.py up --no-simulator     # with an eMabler and a sender of your own
      python dev.py up --telemetry        # with a small Application Insights that captures
      python dev.py up --telemetry opentelemetry   # the same, the app sending by OpenTelemetry""",
    "test": """test [--only] [PYTEST ARGUMENT…]
  Format, lint and types of everything, then the tests, one core each. Arguments go to pytest;
  with --only first, everything but pytest is left out.
      python dev.py test
      python dev.py test tests/push -k boot
      python dev.py test --only -x --lf""",
    "prove": """prove [NAME…] [--short] [--list] [--seed N]
  Check the documentation's promises on the real parts, one row for each claim.
      python dev.py prove                 # everything, at full length
      python dev.py prove --short         # what CI runs
      python dev.py prove nothing_lost --seed 7   # another order of the messages""",
    "bench": """bench NAME [--rounds N] [--batches N]
  Measure against a baseline in the same run; a floor that is missed fails. Names: decode, ingest,
  authorize (--rounds, --calls), sessions (--sessions), tags (--tags), telemetry (--rounds,
  --batches, --taps), retention (--rows), reconcile (--sessions, --rounds).
      python dev.py bench ingest
      python dev.py bench authorize
      python dev.py bench decode --help""",
    "simulate": """simulate [--of ingestion|reconciliation] [--seeds N] [--first N] [--seed N]
   [--bug NAME] [--until-found] [--shrink]
  Play histories in virtual time: stopped workers, lost locks, late writes, outages.
      python dev.py simulate --seeds 20000
      python dev.py simulate --of reconciliation
      python dev.py simulate --seed 7     # one of them again, with its story""",
    "lock": """lock
  Make requirements*.txt anew from requirements*.in, with hashes.
      python dev.py lock""",
    "sbom": """sbom [--licences]
  The bill of materials of what is deployed, as CycloneDX JSON, or a table of licences.
      python dev.py sbom > sbom.json
      python dev.py sbom --licences""",
    "format": """format
  Bring all code into the one format, and fix what the linters can fix.
      python dev.py format""",
}
WITH_NODE_TOOLS = ("test", "format", "setup")
PASSING_ON = ("test", "bench")
WITHOUT_NODE = ("lock", "sbom", "simulate")


def main(arguments: list[str]) -> int:
    """Run one command; give its exit code (0 done, 1 something failed, 2 wrong use, 130 Ctrl-C)."""
    for stream in (sys.stdout, sys.stderr):
        # A console that cannot show a character shows a mark in its place.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        return run(arguments)
    except InstallationError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read has enough, as after `| head`. Python would complain again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def run(arguments: list[str]) -> int:
    """Show help, or prepare the command and hand over to it.

    Raises:
        InstallationError: with one of the codes above.
    """
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if not command or command in {"-h", "--help", "help"}:
        print(usage(rest), flush=True)
        return 0 if command else 2
    if command not in HELP:
        raise InstallationError(
            "command_unknown",
            f"'{command}' is no command",
            f"use one of {', '.join(HELP)}; `python dev.py --help` shows examples",
        )
    if _wants_help(command, rest):
        print(usage([command]), flush=True)
        return 0
    if command == "setup" and rest:
        raise InstallationError(
            "usage_wrong", f"setup takes nothing, and was given '{rest[0]}'", "leave it out"
        )
    environment = prepare(command)
    if command == "setup":
        return 0
    if command == "simulate":
        return hand_over(["-m", "tests.simulation", *rest], environment)
    if command == "bench":
        return hand_over(["-m", f"benchmarks.{bench_of(rest)}", *rest[1:]], environment)
    return hand_over(["-m", f"local.commands.{command}", *rest], environment)


def _wants_help(command: str, rest: list[str]) -> bool:
    """Tell whether help is asked for here; what follows a first word may be another program's."""
    asked = rest if command not in PASSING_ON else rest[:1]
    return not {"-h", "--help"}.isdisjoint(asked)


def bench_of(rest: list[str]) -> str:
    """Find the benchmark that is meant.

    Raises:
        InstallationError: `command_unknown`, there is none of that name.
    """
    names = sorted(path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py"))
    if not rest or rest[0] not in names:
        what = f"'{rest[0]}' is no benchmark" if rest else "no benchmark is named"
        raise InstallationError("command_unknown", what, f"use one of {', '.join(names)}")
    return rest[0]


def usage(commands: list[str]) -> str:
    """Tell how to use the commands named, or all of them."""
    shown = [name for name in commands if name in HELP] or list(HELP)
    return "\n".join(
        [
            "python dev.py COMMAND …   Everything a developer does here, on this machine alone.",
            "",
            *(f"{HELP[name]}\n" for name in shown),
            "Ctrl-C stops everything that was started. Logs of installations: .local/logs.",
        ]
    )


def prepare(command: str) -> dict[str, str]:
    """Install what the command needs; give the environment to run it in."""
    install_python_packages()
    folders = [str(VENV_PYTHON.parent)]
    if command not in WITHOUT_NODE:
        folders.append(str(install_node_packages(with_tools=command in WITH_NODE_TOOLS)))
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONHOME", "PYTHONPATH"}}
    environment["VIRTUAL_ENV"] = str(VENV)
    environment["PATH"] = os.pathsep.join([*folders, environment.get("PATH", "")])
    return environment


def hand_over(words: list[str], environment: dict[str, str]) -> int:
    """Become the command, where the platform allows; else run it and pass its exit code on."""
    sys.stdout.flush()
    os.chdir(ROOT)
    command = [str(VENV_PYTHON), *words]
    if os.name != "nt":
        # Signals then reach the command itself, with nothing between.
        os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The command got the Ctrl-C as well, and stops what it started.
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
