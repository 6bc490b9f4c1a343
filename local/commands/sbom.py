"""`python dev.py sbom`: the bill of materials of what is deployed, as CycloneDX JSON.

It lists the packages of requirements.txt, which is what Azure installs, with the versions that are
pinned there and the licences that the installed packages state. `--licences` prints a table.
"""

import json
import re
import sys
from importlib import metadata
from typing import Any

from local.commands.frame import DONE, FAILED, ROOT, Arguments, run_command
from local.errors import LocalError

_PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)(?: ; ([^\\]+?))? *\\?$", re.MULTILINE)
_LICENCE = "License :: OSI Approved :: "
UNKNOWN = "unknown"
_LONGEST_NAME = 60
"""Characters: beyond it the field holds the text of a licence, not its name."""


async def sbom() -> int:
    """Print the bill or the licences; 1 where a package that is deployed states no licence."""
    parser = Arguments("sbom")
    parser.add_argument("--licences", action="store_true")
    options = parser.parse_args(sys.argv[1:])
    packages = pinned((ROOT / "requirements.txt").read_text("utf-8"))
    licences = {name: licence_of(name, marker) for name, _, marker in packages}
    if options.licences:
        for name, version, _ in packages:
            print(f"{name:32} {version:12} {licences[name]}")
    else:
        print(json.dumps(bill(packages, licences), indent=2))
    silent = sorted(name for name, licence in licences.items() if licence == UNKNOWN)
    if silent:
        print(f"these packages state no licence: {', '.join(silent)}", file=sys.stderr)
    return FAILED if silent else DONE


def pinned(text: str) -> list[tuple[str, str, str]]:
    """Name, version and marker (empty: everywhere) of each package of a lock file."""
    return _PINNED.findall(text)


def licence_of(name: str, marker: str = "") -> str:
    """What an installed package states as its licence, as an expression where it has one.

    One that is deployed on other machines only, by its marker, need not be installed.

    Raises:
        LocalError: `install_failed`, it is not installed.
    """
    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError as error:
        if marker:
            return f"not installed here: only where {marker}"
        raise LocalError(
            "install_failed", f"{name} is not installed", "run `python dev.py setup`"
        ) from error
    expression = stated.get("License-Expression")
    approved = [
        each.removeprefix(_LICENCE)
        for each in stated.get_all("Classifier") or ()
        if each.startswith(_LICENCE)
    ]
    words = (stated.get("License") or "").strip()
    short = words if len(words) < _LONGEST_NAME and "\n" not in words else ""
    return expression or short or " AND ".join(approved) or UNKNOWN


def bill(packages: list[tuple[str, str, str]], licences: dict[str, str]) -> dict[str, Any]:
    """The bill of materials."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "emabler-functions"}},
        "components": [
            {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "licenses": [{"license": {"name": licences[name]}}],
            }
            for name, version, _ in packages
        ],
    }


if __name__ == "__main__":
    run_command(sbom)
