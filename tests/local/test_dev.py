"""The entry command: what it installs and when, whom it hands over to, and how it fails.

Nothing is installed here. Each test has a checkout of its own with the entry and its lock files,
and a PATH on which Python, Node and npm are small scripts that write down how they were called.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = (
    "dev.py",
    "requirements-dev.txt",
    "local/__init__.py",
    "local/package.json",
    "local/package-lock.json",
    "local/requirements-node.txt",
    "local/installation/__init__.py",
    "local/installation/node.py",
    "local/installation/python.py",
    "local/installation/steps.py",
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@dataclass(frozen=True)
class Machine:
    """A checkout, a PATH and a home folder with nothing in them but what a test puts there."""

    checkout: Path
    path: Path
    home: Path
    calls: Path

    def put(self, name: str, script: str) -> Path:
        """Put a program on PATH that notes its arguments, then does what `script` says."""
        return program(self.path / name, f'echo "{name} $*" >> "{self.calls}"\n{script}')

    def dev(self, *words: str, prelude: str = "") -> subprocess.CompletedProcess[str]:
        """Run dev.py; `prelude` is Python that runs before it in the same process."""
        code = f"import sys; sys.argv = {['dev.py', *words]!r}\n{prelude}\n"
        code += "import dev; sys.exit(dev.main(sys.argv[1:]))"
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.checkout,
            env={"PATH": str(self.path), "HOME": str(self.home), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def called(self) -> list[str]:
        """What was called since the last question."""
        if not self.calls.exists():
            return []
        lines = self.calls.read_text().splitlines()
        self.calls.unlink()
        return lines


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with a Python that is new enough, Node 22, npm, and a registry that has all."""
    checkout = tmp_path / "checkout"
    for name in FILES:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, checkout / name)
    machine = Machine(checkout, tmp_path / "bin", tmp_path / "home", tmp_path / "calls")
    machine.path.mkdir()
    machine.home.mkdir()
    for name in ("sh", "mkdir", "rm"):
        (machine.path / name).symlink_to(str(shutil.which(name)))
    machine.put("node", "echo v22.1.0")
    machine.put("npm", "rm -rf node_modules; mkdir node_modules")
    venv_with(machine, pip="exit 0")
    return machine


def venv_with(machine: Machine, *, pip: str, command: str = "exit 0") -> None:
    """Give the checkout a virtual environment whose pip and whose commands do as told."""
    venv = machine.checkout / ".venv"
    program(
        venv / "bin" / "python",
        f"""
case "$*" in
  "-m pip install"*) echo "pip $*" >> "{machine.calls}"; {pip} ;;
  "-m local.commands"*) echo "$*" >> "{machine.calls}"; {command} ;;
  *) exec "{sys.executable}" "$@" ;;
esac""",
    )
    (venv / "pyvenv.cfg").write_text("version = 3.13.0\n")


def test_it_reads_on_old_pythons() -> None:
    """The entry and its installation keep to the grammar of Python 3.8."""
    for path in (CHECKOUT / "dev.py", *(CHECKOUT / "local" / "installation").glob("*.py")):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


def test_it_needs_the_standard_library_only() -> None:
    """The entry imports nothing but its own installation and the standard library."""
    for path in (CHECKOUT / "dev.py", *(CHECKOUT / "local" / "installation").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith(
                    "local.installation"
                ), f"{path} imports {name}"


def test_help_installs_nothing(machine: Machine) -> None:
    """Help shows every command with examples, and touches nothing."""
    for words in (("--help",), ("up", "--help"), ("up", "--port", "8000", "--help")):
        shown = machine.dev(*words)
        assert shown.returncode == 0
        assert "python dev.py up --port 8000" in shown.stdout
    for command in ("setup", "demo", "up", "test", "prove", "lock", "sbom", "format"):
        assert f"\n{command}" in machine.dev("--help").stdout
    assert machine.dev().returncode == 2
    assert not (machine.checkout / ".local").exists()
    assert machine.called() == []


def test_a_reader_of_the_help_who_has_enough_is_no_fault(machine: Machine) -> None:
    """Help that nobody reads to its end, as after `| head -1`, leaves no traceback: exit 0."""
    into_nothing = "import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1)"

    for words in (("--help",), ("demo", "--help")):
        shown = machine.dev(*words, prelude=into_nothing)
        assert (shown.returncode, shown.stderr) == (0, "")


def test_an_unknown_command_is_told_which_there_are(machine: Machine) -> None:
    """A typing error gives exit code 2 and one line with the list."""
    answer = machine.dev("demmo")

    assert answer.returncode == 2
    assert answer.stderr.startswith("error: command_unknown: 'demmo' is no command. What to do: ")
    assert "setup, demo, up, test, prove, bench, simulate, lock, sbom, format" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_setup_takes_no_further_word(machine: Machine) -> None:
    """What it would leave aside is wrong use, told before anything is installed."""
    answer = machine.dev("setup", "x")

    assert (answer.returncode, answer.stdout, machine.called()) == (2, "", [])
    assert answer.stderr == (
        "error: usage_wrong: setup takes nothing, and was given 'x'. What to do: leave it out.\n"
    )


def test_what_was_installed_is_not_installed_again(machine: Machine) -> None:
    """The second run asks neither pip nor npm nor Node, and goes straight to the command."""
    first = machine.dev("test", "-k", "boot")
    assert first.returncode == 0, first.stderr
    assert "Python packages" in first.stdout
    assert "Node packages" in first.stdout
    called = machine.called()
    assert any("--require-hashes --only-binary :all:" in call for call in called)
    assert "npm ci --ignore-scripts" in called
    assert called[-1] == "-m local.commands.test -k boot"

    second = machine.dev("test")

    assert (second.returncode, second.stdout) == (0, "")
    assert machine.called() == ["-m local.commands.test"]


def test_a_changed_lock_file_is_installed(machine: Machine) -> None:
    """What changed is installed anew, and only that."""
    machine.dev("setup")
    machine.called()

    with (machine.checkout / "local" / "package-lock.json").open("a") as file:
        file.write("\n")
    machine.dev("setup")
    assert [call for call in machine.called() if not call.startswith("node")] == [
        "npm ci --ignore-scripts"
    ]

    with (machine.checkout / "requirements-dev.txt").open("a") as file:
        file.write("\n")
    machine.dev("setup")
    [call] = machine.called()
    assert call.startswith("pip -m pip install")


def test_tools_are_installed_when_they_are_needed(machine: Machine) -> None:
    """The demo leaves out what only tests need; what is there already is kept for it."""
    machine.dev("demo")
    assert "npm ci --ignore-scripts --omit=dev" in machine.called()
    machine.dev("test")
    assert "npm ci --ignore-scripts" in machine.called()
    machine.dev("demo")
    assert machine.called() == ["-m local.commands.demo"]


def test_the_command_finds_the_same_python_and_node(machine: Machine) -> None:
    """The command runs in .venv, with its programs and the Node that was found first on PATH."""
    venv_with(machine, pip="exit 0", command=f'echo "$PATH" > "{machine.home}/path"; exit 7')

    assert machine.dev("up").returncode == 7

    first, second, *_ = (machine.home / "path").read_text().strip().split(os.pathsep)
    assert (first, second) == (str(machine.checkout / ".venv" / "bin"), str(machine.path))


def test_no_python_that_is_new_enough(machine: Machine) -> None:
    """Without any Python of 3.13 or later the message says how to get one."""
    shutil.rmtree(machine.checkout / ".venv")
    old = machine.put("python3", "echo cpython 3 11")

    answer = machine.dev("setup", prelude=f"sys.executable = {str(old)!r}")

    assert answer.returncode == 2
    assert answer.stderr.startswith("error: python_missing: no Python 3.13 or later was found")
    assert "pyenv install 3.13" in answer.stderr


@pytest.mark.parametrize("place", ["PATH", "pyenv", "py"])
def test_a_python_beside_the_old_one_is_found(machine: Machine, place: str) -> None:
    """A newer Python is found where it usually stands, past shims that refuse to run."""
    shutil.rmtree(machine.checkout / ".venv")
    old = machine.put("python", "echo cpython 3 11")
    machine.put("python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    real = f'exec "{sys.executable}" "$@"'
    if place == "PATH":
        machine.put("python3.14", real)
    elif place == "pyenv":
        versions = machine.home / ".pyenv" / "versions"
        program(versions / "3.11.7" / "bin" / "python", "exit 1")
        program(versions / "3.13.0" / "bin" / "python", real)
    else:
        machine.put("py", f'shift; {real}')  # fmt: skip
    prelude = f"""
sys.executable = {str(old)!r}
from local.installation import python
print(python.find_python())
sys.exit()"""

    assert Path(machine.dev(prelude=prelude).stdout.strip()).samefile(sys.executable)


def test_a_python_without_venv_is_told(machine: Machine) -> None:
    """A Python that cannot make virtual environments, as Debian's, gets advice of its own."""
    shutil.rmtree(machine.checkout / ".venv")
    crippled = machine.put(
        "python3", 'case "$*" in *ensurepip*) exit 1 ;; *) echo cpython 3 13 ;; esac'
    )

    answer = machine.dev("setup", prelude=f"sys.executable = {str(crippled)!r}")

    assert answer.returncode == 2
    assert answer.stderr.startswith("error: python_missing: ")
    assert "apt install python3.13-venv" in answer.stderr


@pytest.mark.parametrize("node", ["exit 127", "echo v18.20.4", None])
def test_no_node(machine: Machine, node: str | None) -> None:
    """Without Node 20 or later, and none from PyPI, the message says how to get one."""
    (machine.path / "node").unlink()
    if node is not None:
        machine.put("node", node)
    venv_with(machine, pip='case "$*" in *requirements-node.txt) exit 1 ;; *) exit 0 ;; esac')

    answer = machine.dev("up")

    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith("error: node_missing: no Node 20 or later")
    assert "nodejs.org" in answer.stderr
    assert not any("npm" in call for call in machine.called() if not call.startswith("pip"))


def test_lock_needs_no_node(machine: Machine) -> None:
    """Where no Node is needed none is looked for."""
    (machine.path / "node").unlink()
    assert machine.dev("lock").returncode == 0
    assert machine.called()[-1] == "-m local.commands.lock"


@pytest.mark.parametrize("failing", ["pip", "npm"])
def test_an_installation_that_fails(machine: Machine, failing: str) -> None:
    """The end of the log is shown, then one line with the code; the next run tries again."""
    script = f"echo '{failing} says: no route to host'; exit 3"
    if failing == "pip":
        venv_with(machine, pip=script)
    else:
        machine.put("npm", script)

    answer = machine.dev("demo")

    assert answer.returncode == 2
    *log, error = answer.stderr.splitlines()
    assert log == [f"    | {failing} says: no route to host"]
    assert error.startswith("error: install_failed: ")
    assert "exit code 3" in error
    assert f"setup-{failing}.log" in error
    assert "Traceback" not in answer.stderr
    machine.called()
    machine.dev("demo")
    assert any(failing in call for call in machine.called())


def test_ctrl_c_while_installing(machine: Machine) -> None:
    """Ctrl-C ends an installation with exit code 130, without a traceback and without a stamp."""
    venv_with(machine, pip="kill -INT $PPID; sleep 30")
    (machine.path / "sleep").symlink_to(str(shutil.which("sleep")))

    answer = machine.dev("demo")

    assert answer.returncode == 130
    assert answer.stderr == "\nstopped\n"
    assert not (machine.checkout / ".local" / "stamps").exists()
