"""manage.py as an operator runs it: a process with arguments, settings, streams, an exit code."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.sessions.writer import SessionWriter
from shared.settings import SETTINGS
from shared.storage.azure import AzureTables
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, TAGS
from tests import payloads

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MANAGE = CHECKOUT / "manage.py"
SECRET = "correct horse battery staple 0123456789"
NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Ended:
    """An exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.split("\n") if line]


@dataclass(frozen=True)
class Operator:
    """Somebody in a folder without local settings, with some in the environment."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def environ(self) -> dict[str, str]:
        ours = {setting.name for setting in SETTINGS}
        # As on an operator's machine: output is buffered, and compiled code is kept.
        ours |= {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
        inherited = {k: v for k, v in os.environ.items() if k not in ours}
        kept = {"PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}
        return inherited | kept | dict(self.settings)

    async def run(
        self, *arguments: str, python: str = sys.executable, manage: Path = MANAGE
    ) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(python, str(manage), *arguments),
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    """An operator with a store of real tables: made by manage.py, filled by ingestion."""
    node = os.environ.get("NODE", "node")
    async with await Azurite.start(tmp_path_factory.mktemp("azurite"), node=node) as azurite:
        operator = Operator(
            tmp_path_factory.mktemp("operator"),
            {
                "DataStorageConnection": azurite.connection_string,
                "EMABLER_ENVIRONMENT": "test",
                "TAG_HASH_KEY": SECRET,
            },
        )
        missing = await operator.run("events", "list")
        assert (missing.code, missing.out) == (1, "")
        assert missing.err.startswith("error: table_missing: there is no table store. What to do")
        made = await operator.run("store", "create", "--json")
        assert (made.code, made.err) == (
            0,
            f"{len(ALL_TABLES)} tables and 3 containers made; the others were there\n",
        )
        assert tuple(row["name"] for row in made.rows) == (*ALL_TABLES, *ALL_CONTAINERS)
        await fill(azurite.connection_string)
        yield operator


async def fill(connection: str) -> None:
    tables = AzureTables(TableServiceClient.from_connection_string(connection))
    writer = SessionWriter(tables, buckets=4, tag_hash_key=SECRET.encode())
    ingestion = Ingestion(
        tables, MemoryBlobs(*ALL_CONTAINERS), buckets=4, sessions=writer, clock=lambda: NOW
    )
    bodies = [
        payloads.boot_v2(),
        payloads.start_v2(),
        payloads.full_v2(),
        payloads.start_v2(chargerId="CH/Säule 🚗", transactionId="7"),
        b"not json",
        # More than a pipe holds, for a reader who has enough of it.
        *(payloads.state_v2(chargerId="BUSY", socketId=n, message="x" * 800) for n in range(90)),
    ]
    try:
        await ingestion.ingest([IncomingMessage(body=body) for body in bodies])
    finally:
        await tables.close()


async def test_each_list_reads_the_real_tables(store: Operator) -> None:
    """Lists print their rows on standard output and how many on standard error, and exit 0."""
    events, sessions, chargers, parked = await asyncio.gather(
        store.run("events", "list", "--charger", "CH-0042", "--from", "2026-11-02"),
        store.run("sessions", "list", "--json", "--state", "open"),
        store.run("chargers", "list", "--json", "--charger", "CH/Säule 🚗"),
        store.run("parked", "list", "--json"),
    )

    assert {each.code for each in (events, sessions, chargers, parked)} == {0}
    assert events.err == "3 events\n"
    types = [line.split()[1] for line in events.out.splitlines()[1:]]
    assert types == ["ChargerBoot", "ChargingTransaction", "FullChargingTransaction"]
    assert [(row["charger"], row["transaction"]) for row in sessions.rows] == [("CH/Säule 🚗", "7")]
    assert [row["last_seen"] for row in chargers.rows] == ["2026-11-02T09:00:00.000000Z"]
    assert [(row["reason"], row["body"]) for row in parked.rows] == [("not_json", "not json")]


async def test_tags_are_imported_whole_or_as_asked(store: Operator) -> None:
    """Right files exit 0, wrong lines 1, and what was written is in the table."""
    (store.folder / "right.csv").write_text("tag\nA\nB\n", encoding="utf-8")
    (store.folder / "wrong.csv").write_text("tag,blocked\nC,no\nD,maybe\n", encoding="utf-8")

    right, wrong, dry, skipping = await asyncio.gather(
        store.run("tags", "import", "right.csv"),
        store.run("tags", "import", "wrong.csv"),
        store.run("tags", "import", "wrong.csv", "--dry-run", "--json"),
        store.run("tags", "import", "wrong.csv", "--skip-invalid"),
    )

    assert (right.code, right.out, right.err) == (0, "", "2 tags: 2 new, 0 changed, 0 same\n")
    assert (wrong.code, wrong.out.splitlines()[0].split()) == (1, ["LINE", "FAULT"])
    assert wrong.err.startswith("error: lines_wrong: wrong lines: 1 of 2, so")
    assert (dry.code, [row["line"] for row in dry.rows]) == (1, [3])
    assert (skipping.code, skipping.err) == (1, "1 tag: 1 new, 0 changed, 0 same\n")
    connection = store.settings["DataStorageConnection"]
    tables = AzureTables(TableServiceClient.from_connection_string(connection))
    try:
        rows = [row async for row in tables.scan(TAGS) if row.key.startswith("tag|")]
    finally:
        await tables.close()
    assert {row.columns["spelling"] for row in rows} == {"A", "B", "C"}


async def test_what_is_wrong_is_told_on_standard_error(store: Operator) -> None:
    """Exit 1 where something was found wrong, 2 for wrong usage and settings, and no traceback."""
    unset = Operator(store.folder, {"EMABLER_ENVIRONMENT": "test"})
    other = Operator(store.folder, {**store.settings, "EMABLER_ENVIRONMENT": "production"})

    doctor, usage, settings, stamp, other_list = await asyncio.gather(
        store.run("doctor", "--json"),
        store.run("events", "list", "--from", "yesterday"),
        unset.run("events", "list", "--json"),
        other.run("store", "create"),
        other.run("sessions", "list"),
    )

    checks = {row["check"]: row["well"] for row in doctor.rows}
    assert doctor.code == 1
    assert (checks["tables"], checks["store's stamp"]) == (True, True)
    assert checks["EMABLER_API_KEY"] is checks["WEBHOOK_AUTHORIZATION"] is False
    assert (usage.code, usage.out) == (2, "")
    assert "'yesterday' is no instant. Example: 2026-11-01" in usage.err
    assert (settings.code, settings.out) == (2, "")
    assert settings.err.startswith("error: setting_missing: DataStorageConnection is not set.")
    for ended in (stamp, other_list):
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("error: other_store: the store has environment 'test'")
    for ended in (doctor, usage, settings, stamp):
        assert "Traceback" not in ended.err
        assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "list", "--json", "--charger", "BUSY"),
        ("events", "list", "--charger", "CH-0042"),
    ],
    ids=["in the middle", "at the end"],
)
async def test_a_reader_who_has_enough_is_no_fault(
    store: Operator, arguments: tuple[str, ...]
) -> None:
    """Rows that nobody reads any more, as after `| head -1`, end the command quietly: exit 0."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(MANAGE), *arguments),
        cwd=store.folder,
        env=store.environ,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    if "--json" in arguments:
        # A pipe holds less than all rows: the command is still writing when it is closed.
        assert len(await asyncio.to_thread(os.read, reading, 1000)) == 1000
    os.close(reading)

    _, err = await process.communicate()

    assert process.returncode == 0
    assert err.decode().strip() in ("", "3 events")


async def test_each_character_is_written_whatever_the_locale(store: Operator) -> None:
    """Where the locale names another encoding, pipes and files get UTF-8 all the same."""
    bare = Operator(store.folder, {**store.settings, "PYTHONIOENCODING": "ascii"})

    listed, exported = await asyncio.gather(
        bare.run("sessions", "list", "--json", "--charger", "CH/Säule 🚗"),
        bare.run("sessions", "export", "--charger", "CH/Säule 🚗"),
    )

    assert (listed.code, listed.rows[0]["charger"]) == (0, "CH/Säule 🚗")
    assert exported.code == 0
    assert exported.out.splitlines()[1].startswith("CH/Säule 🚗,7,")


async def test_json_is_asked_of_exports_too(store: Operator) -> None:
    """`--json` makes an export JSON lines; together with another format it is refused."""
    sessions, tags, both = await asyncio.gather(
        store.run("sessions", "export", "--json"),
        store.run("tags", "export", "-", "--json"),
        store.run("sessions", "export", "--json", "--format", "csv"),
    )

    assert (sessions.code, tags.code) == (0, 0)
    assert {row["charger"] for row in sessions.rows} == {"CH-0042", "CH/Säule 🚗"}
    assert all("blocked" in row for row in tags.rows)
    assert (both.code, both.out) == (2, "")
    assert both.err.startswith("error: wrong_format: csv is no JSON. What to do: ")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize("ending", [">/dev/full", ">&-"])
async def test_rows_that_cannot_be_written_leave_no_traceback(store: Operator, ending: str) -> None:
    """A full disk is told with a code, exit 1; a closed standard output takes nothing, exit 0."""
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} {MANAGE} events list {ending}",
        cwd=store.folder,
        env=store.environ,
        stderr=subprocess.PIPE,
    )
    _, told = await process.communicate()

    last = told.decode().splitlines()[-1]
    if ending == ">&-":
        assert (process.returncode, last.split()[1]) == (0, "events")
    else:
        assert process.returncode == 1
        assert last.startswith("error: file_unusable: standard output: No space left on device. ")
    assert "Traceback" not in told.decode()


async def test_an_error_says_once_what_to_do(store: Operator) -> None:
    """An error that brings a remedy of its own gets no second one."""
    ended = await store.run("backup", "restore", "20200101T000000Z", "--compare")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: backup_missing: ")
    assert ended.err.count("What to do:") == 1


def older_python() -> str | None:
    """A Python of this machine that is too old for the packages, or none."""
    names = ["/usr/bin/python3", *(f"python3.{minor}" for minor in range(12, 7, -1))]
    asking = "import sys; sys.exit(not (3, 8) <= sys.version_info < (3, 13))"
    for name in names:
        found = shutil.which(name)
        if (
            found
            and not subprocess.run(
                [found, "-c", asking], check=False, capture_output=True
            ).returncode
        ):
            return found
    return None


async def test_any_python_will_do(store: Operator) -> None:
    """An older Python hands over to the environment, with arguments, streams and exit code."""
    python = older_python()
    if python is None or not (CHECKOUT / ".venv").exists():
        pytest.skip("no Python older than 3.13 here, or no environment to hand over to")
    operator = Operator(store.folder, {"EMABLER_ENVIRONMENT": "test"})

    helped, failed = await asyncio.gather(
        operator.run("--help", python=python),
        operator.run("events", "list", "--charger", "a b", python=python),
    )

    assert (helped.code, helped.err) == (0, "")
    assert helped.out.startswith("usage: manage.py")
    assert (failed.code, failed.out) == (2, "")
    assert failed.err.startswith("error: setting_missing: DataStorageConnection is not set.")


async def test_without_an_environment_the_operator_is_told(tmp_path: Path) -> None:
    """A Python without the packages, and no environment beside manage.py: what to do, exit 2."""
    copy = tmp_path / "manage.py"
    copy.write_bytes(MANAGE.read_bytes())
    bare = tmp_path / "bare.py"
    # As a Python whose site-packages are empty would find them.
    bare.write_text(
        "import runpy, sys\n"
        "sys.path = [each for each in sys.path if 'site-packages' not in each]\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n",
        encoding="utf-8",
    )
    operator = Operator(tmp_path, {})

    ended = await operator.run(str(copy), "doctor", manage=bare)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: environment_missing: ")
    assert "python dev.py setup" in ended.err
