"""The status and the liveness answer of the app as it runs, through Microsoft's runtime."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.azurite import Azurite
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from management.push_checks import endpoint_findings
from shared.rooms import Rooms
from shared.storage.stamp import create_containers, create_store
from tests import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
KEY = "a function key, made up"


@dataclass(frozen=True, slots=True)
class App:
    """The app behind its host, and a client that knows no key."""

    host: FunctionsHost
    http: httpx.AsyncClient
    broker: ServiceBusBroker

    async def status(self) -> tuple[int, dict[str, Any]]:
        answer = await self.http.get("/api/status", headers={"x-functions-key": KEY})
        return answer.status_code, answer.json()


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder = tmp_path_factory.mktemp("status")
    async with (
        await Azurite.start(folder / "azurite") as azurite,
        await ServiceBusBroker.start(queues=[Queue("push-events")]) as broker,
    ):
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DataStorageConnection": azurite.connection_string,
            "ServiceBusConnection": broker.connection_string,
            "PUSH_QUEUE_NAME": "push-events",
            "TAG_HASH_KEY": "k" * 40,
            "WEBHOOK_AUTHORIZATION": "w" * 40,
            "EMABLER_ENVIRONMENT": "test",
            "EMABLER_API_KEY": "made up",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
            "RETENTION_JOURNAL_DAYS": "3660",
        }
        rooms = Rooms(settings)
        await create_store(rooms.tables, environment="test", buckets=4)
        await create_containers(rooms.blobs)
        await rooms.close()
        async with (
            await FunctionsHost.start(
                app=CHECKOUT, settings=settings, quiet=True, function_key=KEY
            ) as host,
            httpx.AsyncClient(base_url=host.url, trust_env=False, timeout=30) as http,
        ):
            yield App(host, http, broker)


async def test_anybody_is_told_that_it_is_alive_and_no_more(app: App) -> None:
    """GET and HEAD answer 200 without a key, alike, and nothing may be kept of it."""
    answer = await app.http.get("/api/live")
    head = await app.http.head("/api/live")

    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer.headers["cache-control"] == "no-store"
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("headers", [{}, {"x-functions-key": "another"}])
async def test_without_the_key_nothing_is_told(app: App, headers: dict[str, str]) -> None:
    """401 without a word."""
    answer = await app.http.get("/api/status", headers=headers)

    assert (answer.status_code, answer.content) == (401, b"")


async def test_with_the_key_all_of_it_is_told(app: App) -> None:
    """Store and queue are looked at for real; what ran is there soon after it ran."""
    status, told = await app.status()
    assert (status, told["well"]) == (200, True)
    assert told["store"]["stamped"] is True
    assert told["reconciliation"]["began"] is None

    body = payloads.state_v2()
    sent = await app.http.post(
        "/api/emabler/push", content=body, headers={"Authorization": "w" * 40}
    )
    assert sent.status_code == 200
    await app.host.run_function("retain")

    async def all_told() -> bool:
        _, told = await app.status()
        ran = set(told["functions"]["last_runs"])
        return ran >= {
            *("ingest_push_events", "push_webhook", "retain"),
        }

    # An answer is given again for fifteen seconds.
    await until(all_told, within=60, what="what ran to be told", every=1)


async def test_the_doctor_finds_the_endpoint_well(app: App) -> None:
    """What eMabler's check asks is answered 200, and a stranger's event is refused."""
    found = await endpoint_findings(f"{app.host.url}/api/emabler/push")

    assert [(each.check, each.well) for each in found] == [
        ("endpoint: GET", True),
        ("endpoint: POST", True),
        ("endpoint: a stranger", True),
    ]


async def test_the_status_names_no_secret(app: App) -> None:
    """Neither key, nor connection, nor charger is in the answer or in the log."""
    _, told = await app.status()

    text = json.dumps(told)
    assert not any(word in text for word in ("AccountKey", "Endpoint=", "kkkk", "made up", "CH-"))
    assert KEY not in app.host.log_text()
