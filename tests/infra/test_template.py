"""The template under the Bicep compiler: clean, formatted, committed as it is, and guarded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.broken import (
    IN_COUNT,
    IN_LARGE,
    IN_LINT,
    IN_PLAIN,
    NOT_TOGETHER,
    OUT_OF_BOUNDS,
    Breakage,
)
from tests.infra.compiler import INFRA, MISSING, PARAMETERS, Compiler, find_compiler, parameter_sets
from tests.infra.deployment import Deployment
from tests.infra.guards import GUARDS, violations
from tests.infra.update import compiled_text

# The first test waits for all runs of the compiler, which a busy machine stretches.
pytestmark = pytest.mark.timeout(600)

UPDATE = "What to do: python -m tests.infra.update, and read the difference that git shows"
SETS = [path.stem for path in parameter_sets()]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the compiler says of the template and of its broken copies; each run is made once."""

    diagnostics: list[str]
    formatted: dict[str, str]
    compiled: str
    differences: dict[str, str]
    of_lint: list[str]
    of_copies: dict[str, list[str]]
    of_bounds: str
    of_exclusions: list[str]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    program = find_compiler()
    if program is None:
        pytest.skip(MISSING)
    compiler = Compiler(program)
    root = tmp_path_factory.mktemp("infra")

    def formatted() -> dict[str, str]:
        copy = copied(root / "format", ())
        run = compiler.run("format", f"--pattern={copy / 'infra'}/**/*.bicep", "--newline-kind=LF")
        assert run.returncode == 0, run.stderr
        return read_all(copy / "infra")

    def lint() -> list[str]:
        return compiler.diagnostics(copied(root / "lint", IN_LINT) / "infra" / "main.bicep")

    def copy_of(name: str, breakages: Sequence[Breakage]) -> list[str]:
        parameters = parameters_in(copied(root / f"broken-{name}", breakages), name)
        snapshot, said = compiler.snapshot(parameters)
        if snapshot is None:
            return [f"not evaluated: {said}"]
        return violations(Deployment(name, snapshot))

    def bounds() -> str:
        path = parameters_in(copied(root / "bounds", ()), "plain")
        replaced = tuple(f"param {each.partition(' ')[0]} " for each in OUT_OF_BOUNDS)
        kept = [each for each in path.read_text("utf-8").splitlines() if each]
        lines = [f"param {each}" for each in OUT_OF_BOUNDS]
        lines += [each for each in kept if not each.startswith(replaced)]
        # The assignments stand first, so that a line of the file is one of them.
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        run = compiler.run("build-params", str(path), "--stdout")
        return run.stdout + run.stderr

    def exclusion(number: int, assignment: str) -> str:
        path = parameters_in(copied(root / f"exclusion{number}", ()), "plain")
        path.write_text(f"{path.read_text('utf-8')}param {assignment}\n", encoding="utf-8")
        snapshot, said = compiler.snapshot(path)
        return said if snapshot is None else ""

    # Two at a time: the compiler keeps one core busy, and each run is a second or two.
    with ThreadPoolExecutor(2) as pool:
        format_run = pool.submit(formatted)
        compiled = pool.submit(compiler.build, INFRA / "main.bicep")
        differences = {p.stem: pool.submit(compiler.differences, p) for p in parameter_sets()}
        of_lint = pool.submit(lint)
        of_copies = {
            "plain": pool.submit(copy_of, "plain", IN_PLAIN),
            "large": pool.submit(copy_of, "large", IN_LARGE),
            "entra": pool.submit(copy_of, "entra", IN_COUNT),
        }
        of_bounds = pool.submit(bounds)
        of_exclusions = [pool.submit(exclusion, *each) for each in enumerate(NOT_TOGETHER)]
    template, diagnostics = compiled.result()
    return Findings(
        diagnostics,
        format_run.result(),
        compiled_text(template),
        {name: each.result() for name, each in differences.items()},
        of_lint.result(),
        {name: each.result() for name, each in of_copies.items()},
        of_bounds.result(),
        [each.result() for each in of_exclusions],
    )


def copied(folder: Path, breakages: Sequence[Breakage]) -> Path:
    """A copy of the template and its parameters, with these breakages in it."""
    shutil.copytree(INFRA, folder / "infra")
    shutil.copytree(PARAMETERS, folder / "tests" / "infra" / "parameters")
    for breakage in breakages:
        path = folder / "infra" / breakage.file
        text = path.read_text(encoding="utf-8")
        assert breakage.old in text, f"{breakage.what}: {breakage.file} has changed; mend broken.py"
        path.write_text(text.replace(breakage.old, breakage.new), encoding="utf-8")
    return folder


def parameters_in(folder: Path, name: str) -> Path:
    return folder / "tests" / "infra" / "parameters" / f"{name}.bicepparam"


def read_all(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.bicep"))
    }


def test_neither_compiler_nor_linter_has_a_word(findings: Findings) -> None:
    """No error, no warning, no hint: warnings never change the compiler's exit code."""
    assert findings.diagnostics == []


def test_the_template_is_formatted(findings: Findings) -> None:
    """All Bicep files are as the compiler's own formatter writes them."""
    mended = findings.formatted
    assert len(mended) > 10
    unlike = [name for name, text in read_all(INFRA).items() if text != mended[name]]
    assert unlike == [], UPDATE


def test_the_compiled_template_is_current(findings: Findings) -> None:
    """infra/main.json is what infra/main.bicep compiles to, whichever compiler does it."""
    committed = (INFRA / "main.json").read_text(encoding="utf-8")
    assert json.loads(committed) == json.loads(findings.compiled), UPDATE


@pytest.mark.parametrize("name", SETS)
def test_the_snapshot_is_current(findings: Findings, name: str) -> None:
    """Each parameter set deploys what its committed snapshot shows."""
    assert findings.differences[name] == "", UPDATE


@pytest.mark.parametrize("breakage", IN_LINT, ids=lambda each: each.what)
def test_the_compiler_finds(findings: Findings, breakage: Breakage) -> None:
    """A broken copy of the template does not compile without a word."""
    said = [text for text in findings.of_lint if text.startswith(f"{breakage.guard}: ")]
    assert any(breakage.words in text for text in said), findings.of_lint


@pytest.mark.parametrize(
    ("copy", "breakage"),
    [
        *(("plain", each) for each in IN_PLAIN),
        *(("large", each) for each in IN_LARGE),
        *(("entra", each) for each in IN_COUNT),
    ],
    ids=lambda each: each.what if isinstance(each, Breakage) else "",
)
def test_a_guard_finds(findings: Findings, copy: str, breakage: Breakage) -> None:
    """A broken copy of the template is noticed by the guard that is there for it."""
    said = [text for text in findings.of_copies[copy] if text.startswith(f"{breakage.guard}: ")]
    assert any(breakage.words in text for text in said), findings.of_copies[copy]


def test_each_guard_is_itself_guarded() -> None:
    """For each guard there is a broken copy that it has to find."""
    assert {each.guard for each in (*IN_PLAIN, *IN_LARGE, *IN_COUNT)} == GUARDS.keys()


@pytest.mark.parametrize("assignment", OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused(findings: Findings, assignment: str) -> None:
    """A parameter beyond what Azure or the app takes does not compile."""
    line = list(OUT_OF_BOUNDS).index(assignment) + 1
    said = [text for text in findings.of_bounds.splitlines() if f"plain.bicepparam({line}," in text]
    for words in OUT_OF_BOUNDS[assignment]:
        assert any(" : Error " in text and words in text for text in said), findings.of_bounds


@pytest.mark.parametrize("number", range(len(NOT_TOGETHER)))
def test_what_cannot_be_together_is_refused(findings: Findings, number: int) -> None:
    """Parameters that Azure would refuse in the middle of a deployment are refused before it."""
    assert list(NOT_TOGETHER.values())[number] in findings.of_exclusions[number]
