"""The doctor where push is silent: endpoint, dead letters, rotation, configuration, chargers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from management.app_references import references_finding
from management.checks import Finding
from management.push_checks import endpoint_findings, switched_off
from management.vault import NOTICE, vault_finding
from shared.chargers.inventory import listings_of, merge_listing
from shared.emabler.models.inventory import read_charger
from shared.errors import QueueUnavailableError
from shared.messaging.dead_letters import DeadLetter
from shared.rooms import Rooms
from shared.storage.rows import Row, Upsert
from shared.storage.tables import CHARGERS
from tests.emabler.rest import client
from tests.management.operator import Operator

URL = "https://app.example/api/emabler/push"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PUSH = "v2/push-integrations/configurations"


class Endpoint:
    """What stands at the address: it answers by method and by whether there is a body."""

    def __init__(self, get: int = 200, empty: int = 200, stranger: int = 401) -> None:
        self.answers = {("GET", False): get, ("POST", False): empty, ("POST", True): stranger}
        self.bodies: list[bytes] = []

    async def findings(self) -> dict[str, Finding]:
        def handle(request: httpx.Request) -> httpx.Response:
            self.bodies.append(request.content)
            assert "authorization" not in request.headers
            return httpx.Response(self.answers[request.method, bool(request.content)])

        found = await endpoint_findings(URL, transport=httpx.MockTransport(handle))
        return {each.check: each for each in found}


async def test_an_endpoint_that_answers_is_well() -> None:
    """GET and an empty POST with 200, as eMabler's check asks it, and a stranger with 401."""
    endpoint = Endpoint()

    found = await endpoint.findings()

    assert [each.well for each in found.values()] == [True, True, True]
    assert list(found) == ["endpoint: GET", "endpoint: POST", "endpoint: a stranger"]
    assert endpoint.bodies == [b"", b"", b'{"doctor": true}']


@pytest.mark.parametrize(
    ("answers", "check", "advice"),
    [
        ({"get": 403}, "endpoint: GET", "emablerAddresses"),
        ({"empty": 404}, "endpoint: POST", "azd deploy"),
        ({"get": 401}, "endpoint: GET", "asks for a sign-in"),
        ({"empty": 500}, "endpoint: POST", "push_webhook"),
        ({"stranger": 503}, "endpoint: a stranger", "WEBHOOK_AUTHORIZATION is not set"),
        ({"stranger": 200}, "endpoint: a stranger", "anybody may send events"),
    ],
)
async def test_what_the_endpoint_answers_wrong_is_told_with_what_to_do(
    answers: dict[str, int], check: str, advice: str
) -> None:
    """Each status has its likely cause; the other checks go on."""
    found = await Endpoint(**answers).findings()

    assert [name for name, each in found.items() if not each.well] == [check]
    assert found[check].detail.startswith("endpoint_wrong: answered ")
    assert advice in found[check].detail


async def test_an_address_that_leads_nowhere_is_told_once() -> None:
    """Without a connection the other two checks would say the same."""

    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such host", request=request)

    (found,) = await endpoint_findings(URL, transport=httpx.MockTransport(gone))
    (nonsense,) = await endpoint_findings("no address", transport=None)

    assert found.detail == f"endpoint_away: ConnectError: does {URL} lead to the app?"
    assert not nonsense.well


class Rest:
    """eMabler's REST with push configurations of our own."""

    def __init__(self, *configurations: Mapping[str, Any]) -> None:
        self.lists: dict[str, list[Any]] = {
            PUSH: [
                {k: v for k, v in c.items() if k not in ("ends", "sends")} for c in configurations
            ]
        }
        for each in configurations:
            self.lists[f"{PUSH}/{each['id']}/endpoints"] = each.get("ends", [])
            self.lists[f"{PUSH}/{each['id']}/messages"] = each.get("sends", [])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2/cpo/")
        items = self.lists.get(path, [])
        body = {"items": items, "totalRecords": len(items), "hasNextPage": False, "pageNumber": 1}
        return httpx.Response(200, json=body)


BUS = {"id": 1, "endpointType": "AzureServiceBus", "url": "sb://bus.example/secret?key=k"}
START = {"messageType": "ChargingTransaction", "enabled": True}
STATE = {"messageType": "ChargerState", "enabled": False}


async def of_push(operator: Operator, rest: Rest) -> dict[str, tuple[bool, str]]:
    operator.settings |= {"EMABLER_API_KEY": "key", "RECONCILE_SCHEDULE": "0 */15 * * * *"}
    operator.emabler = lambda: client(rest, retry_seconds=0)
    ran = await operator.run("doctor", "--json")
    return {
        row["check"]: (row["well"], row["detail"])
        for row in ran.rows
        if row["check"].startswith("push configuration")
    }


async def test_what_emabler_is_set_to_push_is_told(operator: Operator) -> None:
    """Types of messages and where they go, by kind and host; no path and no key of an address."""
    found = await of_push(operator, Rest({"id": 7, "ends": [BUS], "sends": [START, STATE]}))

    assert found == {
        "push configuration 7": (
            True,
            (
                "sends ChargingTransaction to AzureServiceBus (bus.example); "
                "switched off: ChargerState"
            ),
        )
    }


@pytest.mark.parametrize(
    ("configuration", "what"),
    [
        ({"id": 7, "isEnabled": False, "ends": [BUS], "sends": [START]}, "it is switched off"),
        ({"id": 7, "sends": [START]}, "it has no endpoint"),
        (
            {"id": 7, "ends": [BUS | {"enabled": False}], "sends": [START]},
            "no endpoint is switched",
        ),
        ({"id": 7, "ends": [BUS]}, "it sends no message"),
        ({"id": 7, "ends": [BUS], "sends": [STATE]}, "no type of message is switched on"),
    ],
)
async def test_a_configuration_that_sends_nothing_is_found(
    operator: Operator, configuration: dict[str, Any], what: str
) -> None:
    """Switched off, without an endpoint, or without a type of message."""
    found = await of_push(operator, Rest(configuration))

    well, detail = found["push configuration 7"]
    assert not well
    assert detail.startswith("push_off: ")
    assert what in detail


async def test_no_configuration_at_all_is_found(operator: Operator) -> None:
    """Push was never set up, or was taken away."""
    found = await of_push(operator, Rest())

    well, detail = found["push configuration"]
    assert not well
    assert detail.startswith("push_not_configured: ")


def test_a_switch_is_known_by_its_name() -> None:
    """The field that switches is not documented: its usual names are read, others say nothing."""
    assert switched_off({"IsEnabled": False})
    assert switched_off({"active": False})
    assert not switched_off({"enabled": True, "archived": False})


async def list_charger(operator: Operator, name: str, *, pushes: bool | None) -> None:
    item = {"chargerId": name, "id": 1, "sockets": []}
    if pushes is not None:
        item["pushIntegrationEnabled"] = pushes
    listed = read_charger(item)
    assert listed is not None
    for listing in listings_of(listed, NOW):
        columns = merge_listing(None, listing)
        assert columns is not None
        await operator.tables.write(CHARGERS, [Upsert(Row("0", listing.key, columns))])


async def chargers(operator: Operator) -> tuple[bool, str]:
    ran = await operator.run("doctor", "--json")
    (row,) = [row for row in ran.rows if row["check"] == "chargers that push"]
    return row["well"], row["detail"]


async def test_chargers_that_emabler_does_not_push_for_are_found(operator: Operator) -> None:
    """How many of the inventory, and some of them by name."""
    assert await chargers(operator) == (
        True,
        "not known: the inventory tells it of no charger (manage.py chargers refresh)",
    )
    for number in range(9):
        await list_charger(operator, f"A-{number}", pushes=True)
    assert await chargers(operator) == (True, "all 9 of the inventory")
    for number in range(7):
        await list_charger(operator, f"B-{number}", pushes=False)
    await list_charger(operator, "C", pushes=None)

    well, detail = await chargers(operator)

    assert not well
    assert "does not push for 7 of 16 chargers: B-0, B-1, B-2, B-3, B-4 …" in detail


class Letters:
    """A queue with dead letters."""

    def __init__(self, count: int, *, away: bool = False) -> None:
        self._count = count
        self._away = away

    async def peek(self, most: int, after: int) -> tuple[list[DeadLetter], int]:
        if self._away:
            raise QueueUnavailableError("dead letters of queue push-events: OSError")
        letter = DeadLetter(
            body=b"",
            reason="MaxDeliveryCountExceeded",
            description=None,
            delivery_count=100,
            message_id=None,
            enqueued=NOW,
            properties={},
        )
        return [letter] * min(most, self._count), after


@pytest.mark.parametrize(
    ("letters", "well", "words"),
    [
        (Letters(0), True, "none"),
        (
            Letters(3),
            False,
            "dead_letters: the queue has 3 dead letters (MaxDeliveryCountExceeded)",
        ),
        (Letters(500), False, "dead_letters: the queue has 100 dead letters or more"),
        (Letters(1, away=True), False, "queue_unavailable: dead letters of queue"),
    ],
)
async def test_dead_letters_are_found(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, letters: Letters, *, well: bool, words: str
) -> None:
    """They are looked at, not taken out, and what to do is told."""

    @asynccontextmanager
    async def opened(_rooms: Rooms) -> AsyncIterator[Letters]:
        yield letters

    monkeypatch.setattr(Rooms, "dead_letters", opened)
    operator.settings |= {"ServiceBusConnection": "wrong", "PUSH_QUEUE_NAME": "push-events"}

    ran = await operator.run("doctor", "--json")

    (row,) = [row for row in ran.rows if row["check"] == "dead letters"]
    assert row["well"] is well
    assert row["detail"].startswith(words)


async def test_a_rotation_under_way_is_told(operator: Operator) -> None:
    """While the value before counts as well, the doctor says so; it is no fault."""
    quiet = await operator.run("doctor", "--json")
    operator.settings["WEBHOOK_AUTHORIZATION_PREVIOUS"] = "p" * 40
    ran = await operator.run("doctor", "--json")

    assert [row for row in quiet.rows if row["check"] == "rotation"] == []
    (row,) = [row for row in ran.rows if row["check"] == "rotation"]
    assert row["well"]
    assert row["detail"].startswith("WEBHOOK_AUTHORIZATION_PREVIOUS is set")


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH where a test puts an `az`."""
    if os.name == "nt":
        pytest.skip("the stand-in is a script of a Unix shell")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def answer(folder: Path, text: str, code: int = 0, error: str = "") -> None:
    path = folder / "az"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nprint({text!r})\n"
        f"print({error!r}, file=sys.stderr)\nsys.exit({code})\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def ends(**secrets: datetime | None) -> str:
    return json.dumps(
        [
            {"name": name.replace("_", "-"), "end": end and end.isoformat()}
            for name, end in secrets.items()
        ]
    )


def test_secrets_that_end_soon_are_found(vault: Path) -> None:
    """Thirty days before its end, as Azure gives notice; and when it has ended."""
    answer(vault, ends(tag_hash_key=NOW + NOTICE + timedelta(days=1), emabler_api_key=None))
    far = vault_finding("kv-1", NOW)
    answer(vault, ends(tag_hash_key=NOW + NOTICE, emabler_api_key=NOW - timedelta(days=1)))
    near = vault_finding("kv-1", NOW)

    assert (far.well, far.detail) == (
        True,
        "the first on 2026-12-27; without an end: emabler-api-key",
    )
    assert not near.well
    assert near.detail == (
        "secret_expiring: emabler-api-key ended on 2026-11-25, tag-hash-key ends on 2026-12-26. "
        "What to do: docs/runbooks/secret_expiring.md"
    )


APP = {
    "AZURE_SUBSCRIPTION_ID": "s-1",
    "AZURE_RESOURCE_GROUP": "rg-1",
    "AZURE_FUNCTION_APP_NAME": "func-1",
}


def references(**states: str) -> str:
    listed = [{"name": n, "properties": {"status": state}} for n, state in states.items()]
    return json.dumps({"value": listed})


def test_a_secret_that_the_app_does_not_get_is_found(vault: Path) -> None:
    """Azure tells of each reference whether the app's identity could follow it."""
    answer(vault, references(TAG_HASH_KEY="Resolved", EMABLER_API_KEY="Resolved"))
    well = references_finding(APP)
    answer(vault, references(TAG_HASH_KEY="AccessToKeyVaultDenied", EMABLER_API_KEY="Resolved"))
    denied = references_finding(APP)

    assert (well.well, well.detail) == (True, "2 references, each resolved")
    assert not denied.well
    assert denied.detail.startswith(
        "reference_unresolved: TAG_HASH_KEY AccessToKeyVaultDenied. What to do: "
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_who_may_not_ask_for_references_is_told_where_it_stands(vault: Path, text: str) -> None:
    """It takes a role on the app; the app's own status says it as well."""
    without = references_finding(APP)
    answer(vault, text, code=1, error="one\n(AuthorizationFailed) no")
    refused = references_finding(APP)

    assert "az is not on PATH" in without.detail
    assert refused.well
    assert refused.detail.startswith("not looked at: (AuthorizationFailed) no. The app says it in ")


@pytest.mark.parametrize("text", ["", "{}", "no json"])
def test_a_vault_that_cannot_be_listed_is_told(vault: Path, text: str) -> None:
    """The reason is the tool's own; without the tool, what to install."""
    without = vault_finding("kv-1", NOW)
    answer(vault, text, code=1, error="one\n(Forbidden) no")
    found = vault_finding("kv-1", NOW)

    assert "az is not on PATH" in without.detail
    assert (found.well, found.detail) == (False, "vault_unreadable: (Forbidden) no")


async def test_the_doctor_of_a_deployed_environment_asks_both(
    operator: Operator, vault: Path
) -> None:
    """With what azd knows, endpoint and vault are checked; without it, neither."""
    answer(vault, ends(tag_hash_key=NOW + timedelta(days=9_999)))
    here = await operator.run("doctor", "--json")
    address = {"EMABLER_PUSH_URL": "http://127.0.0.1:1/"}
    operator.environ = {"AZURE_KEY_VAULT_NAME": "kv-1"} | address | APP
    there = await operator.run("doctor", "--json")

    def of_azure(rows: list[dict[str, Any]]) -> list[str]:
        of_azure = ("endpoint", "secrets'", "the app's")
        return [row["check"] for row in rows if row["check"].startswith(of_azure)]

    assert of_azure(here.rows) == []
    assert of_azure(there.rows) == ["endpoint: GET", "secrets' ends", "the app's secrets"]
