"""The doctor: each part checked for real, with what to do where it is not well."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, TAGS
from tests.management.operator import Operator, Ran


class Rest(HTTPServer):
    """A REST API on a free port of this machine that answers one status."""

    status = 200


@pytest.fixture
def rest() -> Iterator[Rest]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer = json.dumps({"items": [], "totalRecords": 7, "hasNextPage": False}).encode()
            self.send_response(server.status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_request(self, *_: object) -> None:
            """Print nothing: the tests' own output is read by people."""

    server = Rest(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


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


async def test_the_doctor_asks_emabler_for_real(operator: Operator, rest: Rest) -> None:
    """A key that eMabler takes is well; one that it refuses comes with advice."""
    operator.settings |= {
        "EMABLER_BASE_URL": f"http://127.0.0.1:{rest.server_port}/api/",
        "EMABLER_API_KEY": "key",
        "RECONCILE_SCHEDULE": "0 */15 * * * *",
    }

    well = await operator.run("doctor", "--json")
    rest.status = 401
    refused = await operator.run("doctor", "--json")

    assert well.rows[-1] == {
        "check": "eMabler's REST",
        "well": True,
        "detail": "POST v3/transactions answers, 7 finished sessions",
    }
    assert refused.rows[-1]["detail"] == (
        "rest_refused: POST v3/transactions: 401: the API key is wrong or revoked: "
        "check EMABLER_API_KEY"
    )


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
    assert any(line.startswith("tables                    yes") for line in ran.lines)
    assert any(line.startswith("EMABLER_API_KEY           no ") for line in ran.lines)
