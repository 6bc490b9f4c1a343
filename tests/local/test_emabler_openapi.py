"""The simulated eMabler and the OpenAPI description of the documented contract agree.

Schemathesis makes calls from the description, fitting ones and others, and holds each answer of
the running server against it: status, content type, schema, refusal of what does not fit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from local.emabler import BASE_PATH
from local.emabler.books import Books
from local.emabler.examples import load
from local.emabler.faults.values import STATES
from local.emabler.process import EmablerServer
from local.emabler.records import (
    Charger,
    FinishedSession,
    OngoingSession,
    PushConfiguration,
    PushEndpoint,
    PushMessage,
    Socket,
    Tag,
)
from local.emabler.rest.chargers import SORT_KEYS as CHARGER_KEYS
from local.emabler.rest.ongoing import SORT_KEYS as ONGOING_KEYS
from local.emabler.rest.push_integrations import SORT_KEYS as PUSH_KEYS
from local.emabler.rest.tags import SORT_KEYS as TAG_KEYS
from local.emabler.rest.transactions import MOST_ROWS, TransactionQuery
from local.emabler.rest.transactions import SORT_KEYS as SESSION_KEYS
from local.emabler.server import make_app

DESCRIPTION = Path(__file__).resolve().parents[2] / "local" / "emabler" / "openapi.json"
KEY = "the-key"

described: dict[str, Any] = json.loads(DESCRIPTION.read_text("utf-8"))
schemas: dict[str, Any] = described["components"]["schemas"]
schema = schemathesis.openapi.from_path(
    DESCRIPTION,
    config=schemathesis.Config.from_dict(
        {
            "auth": {"openapi": {"apiKey": {"api_key": KEY}}},
            # Words of the test's own code are no calls of a stranger, and differ from run to run.
            "analysis": {"constants": {"enabled": False}},
            "generation": {
                "deterministic": True,
                "max-examples": 20,
                # What it does not know, the service ignores: that is no refusal.
                "allow-extra-parameters": False,
                "with-security-parameters": False,
            },
        }
    ),
)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmablerServer]:
    """The server as a process, with the example story in its books."""
    log = tmp_path_factory.mktemp("emabler") / "log"
    async with await EmablerServer.start(api_key=KEY, log=log) as server:
        for shelf, records in load(datetime.now(UTC)).books.items():
            await server.put(shelf, records)
        yield server


@pytest.fixture(scope="module")
def answered() -> Iterator[Counter[tuple[str, int]]]:
    """Counts answers by operation and status: each must have been answered and refused."""
    counts: Counter[tuple[str, int]] = Counter()
    yield counts
    for operation, _ in set(counts):
        assert counts[operation, 200], f"{operation} was never answered with a page"
        assert counts[operation, 400], f"{operation} never refused anything"


@schema.parametrize()
def test_answers_are_as_described(
    case: schemathesis.Case[Any], server: EmablerServer, answered: Counter[tuple[str, int]]
) -> None:
    """Whatever is asked, fitting or not, the answer is one that the description has for it."""
    answer = case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}{BASE_PATH}")
    answered[case.operation.label, answer.status_code] += 1


def test_the_description_has_the_operations_of_the_server() -> None:
    """Below the base path the server answers what is described, and its description."""
    operations = {
        (method.upper(), BASE_PATH + path)
        for path, methods in described["paths"].items()
        for method in methods
    }
    app = make_app(Books(), KEY)
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
        and route.resource.canonical.startswith(BASE_PATH)
        and route.method != "HEAD"
    }

    assert described["servers"] == [{"url": BASE_PATH}]
    assert routes == operations | {("GET", f"{BASE_PATH}/swagger.json")}


async def test_the_description_is_served_in_both_places(server: EmablerServer) -> None:
    """It lies below the base path and beside it, and needs no key."""
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
        for path in ("/swagger.json", f"http://127.0.0.1:{server.port}/swagger.json"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (200, described)


@pytest.mark.parametrize(
    ("name", "record", "left_out"),
    [
        ("FinishedSession", FinishedSession, set()),
        ("OngoingSession", OngoingSession, {"externalDriverId", "externalUserId"}),
        ("Charger", Charger, set()),
        ("Socket", Socket, set()),
        ("Tag", Tag, set()),
        ("PushConfiguration", PushConfiguration, {"endpoints", "messages"}),
        ("PushEndpoint", PushEndpoint, set()),
        ("PushMessage", PushMessage, set()),
        ("FinishedSessionQueryV2", TransactionQuery, set()),
        ("FinishedSessionQueryV3", TransactionQuery, set()),
    ],
)
def test_records_have_the_described_fields(name: str, record: Any, left_out: set[str]) -> None:
    """A record of the books has the fields of its item, and of a request none is forgotten."""
    assert set(record.__struct_encode_fields__) - left_out == schemas[name]["properties"].keys()


def test_limits_keys_and_states_are_described() -> None:
    """Page sizes, sort keys and a charger's states are those of the code."""

    def parameter(path: str, name: str) -> Any:
        [found] = [p for p in described["paths"][path]["get"]["parameters"] if p["name"] == name]
        return found["schema"]

    for version, most in MOST_ROWS.items():
        query = schemas[f"FinishedSessionQuery{version.upper()}"]["properties"]
        assert query["limit"]["maximum"] == most
        assert query["sortKey"]["enum"] == [*SESSION_KEYS, None]
    for path, keys in (
        ("/v2/ongoing-transactions", ONGOING_KEYS),
        ("/v2/chargers", CHARGER_KEYS),
        ("/v2/tags", TAG_KEYS),
        ("/v2/push-integrations/configurations", PUSH_KEYS),
    ):
        assert parameter(path, "limit")["maximum"] == 100
        assert parameter(path, "sortKey")["enum"] == list(keys)
    assert schemas["Charger"]["properties"]["state"]["enum"] == list(STATES)
