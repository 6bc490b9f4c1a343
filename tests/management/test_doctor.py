"""The doctor: each part checked for real, with what to do where it is not well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.storage.containers import BACKUPS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, TAGS
from tests.emabler.rest import client, page_of
from tests.management.operator import Operator, Ran

DESCRIPTION = Path(__file__).resolve().parents[2] / "local" / "emabler" / "openapi.json"


async def test_the_doctor_finds_what_is_missing(operator: Operator) -> None:
    """Each setting that is missing or wrong is a finding of its own with what to do: exit 1."""
    operator.settings = {"EMABLER_ENVIRONMENT": "prod", "TAG_HASH_KEY": "short"}

    ran = await operator.run("doctor", "--json")

    assert ran.code == 1
    assert [row for row in ran.rows if row["well"]] == []
    found = {row["check"]: row["detail"] for row in ran.rows}
    assert {"DataStorageConnection", "TAG_HASH_KEY", "EMABLER_ENVIRONMENT"} <= found.keys()
    assert "Example: " in found["DataStorageConnection"]
    assert ran.err == f"{len(found)} of {len(found)} checks found something\n"


async def test_the_doctor_looks_at_the_store_for_real(operator: Operator) -> None:
    """Tables are read one by one, and the stamp is compared."""
    operator.tables = MemoryTables(*(name for name in ALL_TABLES if name != TAGS))

    missing = await operator.run("doctor", "--json")
    await operator.run("store", "create")
    well = await operator.run("doctor", "--json")
    operator.settings["EMABLER_ENVIRONMENT"] = "production"
    other = await operator.run("doctor", "--json")

    def of(ran: Ran, check: str) -> dict[str, Any]:
        (row,) = [row for row in ran.rows if row["check"] == check]
        return row

    assert of(missing, "tables")["detail"] == "table_missing: there is no table tags"
    assert of(well, "tables")["well"]
    assert of(well, "store's stamp")["well"]
    assert of(other, "store's stamp")["detail"].startswith("other_store: ")


async def test_the_doctor_looks_at_the_backups(operator: Operator) -> None:
    """None yet, a fresh one, one that is too old, none wanted; a container that is missing."""

    async def backups() -> tuple[bool, str]:
        ran = await operator.run("doctor", "--json")
        (row,) = [row for row in ran.rows if row["check"] == "backups"]
        return row["well"], row["detail"]

    none = await backups()
    await operator.run("backup", "take")
    fresh = await backups()
    (name,) = [name async for name in operator.blobs.names(BACKUPS, "manifests/")]
    await operator.blobs.delete(BACKUPS, name)
    await operator.blobs.put(BACKUPS, "manifests/20200101T000000Z.json", b"{}")
    old = await backups()
    operator.settings["BACKUP_EVERY_HOURS"] = "0"
    unwanted = await backups()
    operator.blobs = MemoryBlobs()
    missing = await operator.run("doctor", "--json")

    assert (none[0], fresh[0], old[0], unwanted[0]) == (True, True, False, True)
    assert none[1].startswith("none is whole yet")
    assert fresh[1].startswith("1 whole backup; the latest whole one began ")
    assert old[1].startswith("backup_old: ")
    assert unwanted[1] == "none are taken: BACKUP_EVERY_HOURS is 0"
    (row,) = [row for row in missing.rows if row["check"] == "containers"]
    assert row["detail"].startswith("container_missing: ")


class Rest:
    """eMabler's REST, which answers some paths with a status of their own."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.asked: list[str] = []
        self.description: dict[str, Any] | None = json.loads(DESCRIPTION.read_bytes())

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2/cpo/")
        if path.endswith("swagger.json"):
            described = self.description
            return httpx.Response(404) if described is None else httpx.Response(200, json=described)
        self.asked.append(path)
        if path in self.statuses:
            return httpx.Response(self.statuses[path])
        return page_of({"id": 1}, more=True, totalRecords=7)


@pytest.fixture
def rest(operator: Operator) -> Rest:
    rest = Rest()
    operator.settings |= {"EMABLER_API_KEY": "key", "RECONCILE_SCHEDULE": "0 */15 * * * *"}
    operator.emabler = lambda: client(rest, retry_seconds=0)
    return rest


CALLS = [
    "v3/transactions",
    "v2/ongoing-transactions",
    "v2/chargers",
    "v2/tags",
    "v2/push-integrations/configurations",
]


def of_emabler(ran: Ran) -> dict[str, tuple[bool, str]]:
    return {
        row["check"].removeprefix("eMabler: "): (row["well"], row["detail"])
        for row in ran.rows
        if row["check"].startswith("eMabler: ")
    }


async def test_the_doctor_makes_each_call_of_emabler(operator: Operator, rest: Rest) -> None:
    """What the key may read is told call by call, with how much there is of it."""
    ran = await operator.run("doctor", "--json")

    assert rest.asked[: len(CALLS)] == CALLS
    assert of_emabler(ran) == {
        "finished sessions": (True, "POST v3/transactions answers, 7 finished sessions"),
        "ongoing sessions": (True, "GET v2/ongoing-transactions answers, 7 ongoing sessions"),
        "chargers": (True, "GET v2/chargers answers, 7 chargers"),
        "tags": (True, "GET v2/tags answers, 7 tags"),
        "push configurations": (True, f"GET {CALLS[-1]} answers, 1 push configurations"),
        "contract": (True, "its description has all that is relied on"),
    }


async def test_the_doctor_compares_the_contract(operator: Operator, rest: Rest) -> None:
    """Each thing that eMabler's description has otherwise is a finding with what to do: exit 1."""
    assert rest.description is not None
    del rest.description["components"]["schemas"]["FinishedSession"]["properties"]["timestampEnd"]
    del rest.description["paths"]["/v2/tags"]

    ran = await operator.run("doctor", "--json")

    found = [row["detail"] for row in ran.rows if row["check"] == "eMabler: contract"]
    assert ran.code == 1
    assert [each.rpartition(": ")[0].rpartition(": ")[0] for each in found] == [
        "POST v3/transactions: finished_session.timestampEnd missing",
        "GET v2/tags: path missing",
    ]
    assert "look for a newer version" in found[0]
    assert "check EMABLER_TAGS_PATH" in found[1]


async def test_a_description_that_is_not_found_is_no_fault(operator: Operator, rest: Rest) -> None:
    """Where eMabler keeps it is not documented: then nothing is compared, and that is told."""
    rest.description = None

    found = of_emabler(await operator.run("doctor", "--json"))

    assert found["contract"] == (
        True,
        "not compared, since its description is not where it is looked for (rest_not_found)",
    )


async def test_the_doctor_names_what_each_call_lacks(operator: Operator, rest: Rest) -> None:
    """One permission that is missing is one finding; the other calls are checked all the same."""
    rest.statuses = {"v2/tags": 403, "v2/chargers": 404}

    found = of_emabler(await operator.run("doctor", "--json"))

    assert [name for name, (well, _) in found.items() if not well] == ["chargers", "tags"]
    assert found["chargers"][1].startswith("rest_not_found: GET v2/chargers: 404: ")
    assert "EMABLER_CHARGERS_PATH" in found["chargers"][1]
    assert found["tags"][1].startswith("rest_permission_missing: GET v2/tags: 403: ")
    assert "probably ReadTags: grant it" in found["tags"][1]


async def test_a_key_that_is_refused_is_told_once(operator: Operator, rest: Rest) -> None:
    """With a wrong key every call would say the same."""
    rest.statuses = dict.fromkeys(CALLS, 401)

    ran = await operator.run("doctor", "--json")

    assert of_emabler(ran) == {
        "finished sessions": (
            False,
            (
                "rest_key_refused: POST v3/transactions: 401: the API key is wrong or revoked: "
                "check EMABLER_API_KEY"
            ),
        )
    }
    assert ran.code == 1


async def test_the_doctor_tells_a_queue_that_cannot_be_reached(operator: Operator) -> None:
    """A connection string that is none is a finding, with what to check, and without its text."""
    operator.settings |= {"ServiceBusConnection": "hidden", "PUSH_QUEUE_NAME": "push-events"}

    ran = await operator.run("doctor", "--json")

    (queue,) = [row for row in ran.rows if row["check"] == "queue"]
    assert queue["detail"].startswith(
        "queue_unavailable: queue push-events: ValueError. What to do"
    )
    assert "hidden" not in ran.out + ran.err


async def test_the_doctor_writes_a_table_for_people(operator: Operator) -> None:
    """A line a check, yes or no, and what was found."""
    ran = await operator.run("doctor")

    assert ran.lines[0].split() == ["CHECK", "WELL", "DETAIL"]
    assert any(line.startswith("tables                        yes") for line in ran.lines)
    assert any(line.startswith("EMABLER_API_KEY               no ") for line in ran.lines)
