"""The bill of materials: what is deployed, with versions and licences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.commands.sbom import licence_of, pinned
from local.errors import LocalError

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def sbom(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.commands.sbom", *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bill_lists_what_is_deployed() -> None:
    """Each package of requirements.txt, with its version and licence, and no other."""
    run = sbom()
    bill = json.loads(run.stdout)
    text = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")

    assert run.returncode == 0, run.stderr
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert len(bill["components"]) == text.count("==") - text.count("== '")
    for each in bill["components"]:
        assert f"{each['name']}=={each['version']}" in text
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        assert each["licenses"][0]["license"]["name"]


def test_licences_are_a_table() -> None:
    """A line for each package, for a person who reads licences."""
    lines = sbom("--licences").stdout.splitlines()

    assert any(line.startswith("azure-functions ") and "MIT" in line for line in lines)


def test_no_package_asks_for_our_source() -> None:
    """Nothing that is deployed is under a licence that would bind the operator's own code."""
    strong = [line for line in sbom("--licences").stdout.splitlines() if "GPL" in line]

    assert strong == []


def test_pins_are_read_with_their_markers() -> None:
    """A lock file's entries: name, version, and where it is wanted."""
    text = "a-b==1.0 \\\n    --hash=sha256:00\nc==2 ; sys_platform == 'win32' \\\n    --hash=x\n"

    assert pinned(text) == [("a-b", "1.0", ""), ("c", "2", "sys_platform == 'win32'")]


def test_what_is_not_installed_is_said() -> None:
    """A package of other machines only is named as such; one that should be here is an error."""
    assert "sys_platform == 'x'" in licence_of("no-such-package-here", "sys_platform == 'x'")
    with pytest.raises(LocalError, match="no-such-package-here is not installed"):
        licence_of("no-such-package-here")


def test_wrong_use_is_told() -> None:
    """A word that it does not know ends with exit code 2 and the one form of errors."""
    run = sbom("--lizences")

    assert run.returncode == 2
    assert "usage_wrong" in run.stderr
