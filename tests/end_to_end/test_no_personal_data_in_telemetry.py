"""A charging day with faults, captured: no tag, no name, no key, no secret in what left the app."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.app_insights.traces import spans_of
from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.fleet import FleetOnStack, write_fleet_tags
from local.commands.playing.operator import Operator
from local.commands.playing.sender import WEBHOOK, Sender
from local.commands.playing.watching import queue_counts, until_drained
from local.functions_host.process import FunctionFailedError
from local.processes import until
from local.stack import OPENTELEMETRY, LocalAzure, Part
from shared.identifiers import hash_tag
from tests import payloads

MODES = {"log": dict[str, str](), "opentelemetry": OPENTELEMETRY}
SOON = {"INGEST_LONGEST_WAIT_SECONDS": "0", "EMABLER_RETRY_SECONDS": "0"}
CHARGER = "HKI-JATKASAARI-12"
KNOWN, UNKNOWN = "CANARY-KNOWN-77", "CANARY-UNKNOWN-78"
NAME, CARD, SECRET = "Canary Kalevi", "canary-card-79", "canary-authorization-of-somebody-else"


@dataclass(frozen=True, slots=True)
class Day:
    """What left the app, and what must not be in it."""

    envelopes: list[dict[str, Any]]
    console: str
    tags: list[str]
    secrets: list[str]
    hash_key: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The content of the items of a base type."""
        data = [each["data"] for each in self.envelopes if each["data"]["baseType"] == kind]
        return [each["baseData"] for each in data]

    def lines(self) -> list[dict[str, Any]]:
        """The wide events that were captured."""
        texts = [each["message"] for each in self.of("MessageData")]
        return [json.loads(text) for text in texts if text.startswith('{"event":"invocation"')]


@pytest.fixture(scope="module", params=MODES)
async def day(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Day]:
    """A fleet's day with its faults, messages and taps with canaries, outages of store and REST."""
    folder = tmp_path_factory.mktemp("day")
    async with LocalAzure(
        data=folder / "data",
        parts=tuple(Part),
        overrides=MODES[request.param] | SOON,
        before_host=lambda azure: Operator(azure.settings, folder).create_store(),
    ) as azure:
        tags = await fleet_s_day(azure, folder)
        async with Sender(azure) as sender:
            await planted(azure, sender)
            await until_drained(azure, within=120)
            await outages(azure, sender)
        await until_drained(azure, within=120)
        await told(azure)
        await azure.host.stop()
        yield Day(
            azure.insights.envelopes(),
            azure.host.log_text(),
            [*tags, KNOWN, UNKNOWN],
            [azure.settings[name] for name in ("WEBHOOK_AUTHORIZATION", "EMABLER_API_KEY")],
            azure.settings["TAG_HASH_KEY"],
        )


async def fleet_s_day(azure: LocalAzure, folder: Path) -> list[str]:
    """Chargers live through a day; the operator knows their tags, and those of the canaries."""
    fleet = FleetOnStack(azure)
    tags = await fleet.prepare(seed=5, chargers=3, faults="default", speed=None, meter_minutes=60)
    operator = Operator(azure.settings, folder)
    listed = write_fleet_tags(folder / "fleet.csv", tags, datetime.now(UTC))
    await operator.run("tags", "import", listed)
    canaries = write_tags(folder / "canaries.csv", [CsvTag(KNOWN, type="TAG")])
    await operator.run("tags", "import", canaries)
    await fleet.begin()
    async for _ in fleet.progress():
        pass
    await until_drained(azure, within=180)
    await azure.host.run_function("reconcile")
    return [tag.id for tag in tags]


async def planted(azure: LocalAzure, sender: Sender) -> None:
    """Tags and names wherever a caller can put them: bodies good and bad, headers, the query."""
    now = datetime.now(UTC).isoformat()
    known = {"chargerId": CHARGER, "authorizedIdTag": KNOWN, "userName": NAME, "cardNumber": CARD}
    times = {"receivedTimestamp": now, "deviceTimeStamp": now}
    bodies = [
        payloads.start_v2(**known, **times),
        payloads.full_v2(**known, receivedTimestamp=now),
        payloads.state_v2(chargerId=CHARGER, message=f"{NAME} {KNOWN}", **times),
        payloads.start_v2(**known, receivedTimestamp=NAME, deviceTimeStamp=KNOWN, socketId=NAME),
        f'{{"authorizedIdTag": "{KNOWN}", "userName": "{NAME}"'.encode(),
        f"{KNOWN} {NAME}".encode(),
        json.dumps([{"authorizedIdTag": KNOWN, "name": NAME}]).encode(),
    ]
    await sender.to_queue(bodies)
    await sender.to_webhook(bodies[:4])
    for tag in (KNOWN, UNKNOWN, KNOWN.lower(), f" {KNOWN}", "x" * 300 + KNOWN):
        await sender.tap(CHARGER, tag)
    await sender.check()
    right = {"authorization": azure.settings["WEBHOOK_AUTHORIZATION"]}
    async with httpx.AsyncClient(base_url=azure.host.url, trust_env=False, timeout=60) as client:
        for content, headers in (
            (bodies[0], {"authorization": SECRET}),
            (bodies[0], {"authorization": f"{NAME} {KNOWN}"}),
            (json.dumps({"rfid_tag_id": [KNOWN], "charger_id": 7}).encode(), right),
            (json.dumps({"rfid_tag_id": KNOWN, "charger_id": {"name": NAME}}).encode(), right),
            (json.dumps({"rfid_tag_id": KNOWN, "user": NAME}).encode() + b"}", right),
            (bodies[0] + b" " * 200_000, right),
        ):
            asked = {"rfid_tag_id": KNOWN, "name": NAME}
            await client.post(WEBHOOK, content=content, headers=headers, params=asked)


async def outages(azure: LocalAzure, sender: Sender) -> None:
    """REST fails, then the store goes: runs, batches and taps fail, with all that they had."""
    await azure.emabler.put_faults("failing=1 status=500")
    with suppress(FunctionFailedError):
        await azure.host.run_function("reconcile")
    await azure.emabler.put_faults()
    await azure.azurite.stop()
    now = datetime.now(UTC).isoformat()
    start = payloads.start_v2(
        chargerId=CHARGER, authorizedIdTag=KNOWN, receivedTimestamp=now, deviceTimeStamp=now
    )
    await sender.to_queue([start])
    await sender.tap(CHARGER, KNOWN)

    async def came_back() -> bool:
        return '"function":"ingest_push_events","outcome":"failed"' in azure.host.log_text()

    await until(came_back, within=120, what="a batch to fail")
    with suppress(FunctionFailedError):
        await azure.host.run_function("retain")
    await azure.azurite.restart()


async def told(azure: LocalAzure) -> None:
    """Wait until each line that was printed is captured, and each span of an invocation."""

    async def arrived() -> bool:
        day = Day(azure.insights.envelopes(), azure.host.log_text(), [], [], "")
        printed, lines = day.console.count('{"event":"invocation"'), len(day.lines())
        spans = [span for span in spans_of(day.envelopes) if span.kind == "InProc"]
        return printed == lines == len(day.of("RequestData")) and len(spans) in (0, lines)

    await until(arrived, within=120, what="the capture")
    assert (await queue_counts(azure)).dead_lettered == 0


def test_the_day_was_told(day: Day) -> None:
    """The capture holds what is looked for canaries in: lines, failures, denials, exceptions."""
    lines = day.lines()
    functions = {(line["function"], line["outcome"]) for line in lines}
    decisions = {line.get("decision") for line in lines}

    assert {
        ("ingest_push_events", "ok"),
        ("ingest_push_events", "failed"),
        ("reconcile", "ok"),
        ("reconcile", "failed"),
        ("retain", "failed"),
        ("push_webhook", "ok"),
        ("push_webhook", "refused"),
    } <= functions
    assert {"allowed", "denied", "deferred"} <= decisions
    assert any(line.get("parked") for line in lines)
    assert len(day.of("RequestData")) > 50
    assert len(day.of("ExceptionData")) >= 3
    assert all("Traceback" in str(each) or "File " in str(each) for each in day.of("ExceptionData"))


def test_no_tag_and_no_name_left_the_app(day: Day) -> None:
    """Whatever was sent, tapped, refused, parked or failed: neither told nor printed."""
    texts = {"capture": json.dumps(day.envelopes).casefold(), "console": day.console.casefold()}
    personal = [*day.tags, "canary", NAME, CARD]

    assert len(day.tags) > 5
    for word in personal:
        for where, text in texts.items():
            assert word.casefold() not in text, f"{word} is in the {where}"


def test_no_key_of_a_row_and_no_secret_left_the_app(day: Day) -> None:
    """Hashes of tags are keys; keys, addresses of the store and secrets stay where they are."""
    text = json.dumps(day.envelopes) + day.console
    hashes = [hash_tag(tag, day.hash_key.encode()) for tag in day.tags]

    for word in (*hashes, *day.secrets, day.hash_key):
        assert word not in text
    for word in ("PartitionKey", "RowKey", "devstoreaccount1", "SharedAccessKey", "$filter"):
        assert word not in json.dumps(day.envelopes), word


def test_no_foreign_text_is_in_an_exception(day: Day) -> None:
    """What led to our errors is left out: texts of SDKs may hold addresses, and so keys."""
    told = json.dumps(day.of("ExceptionData"))

    assert "StoreUnavailableError" in told
    assert "RestUnavailableError" in told
    for word in ("direct cause of the following", "During handling of the above", "aiohttp"):
        assert word not in told


def test_addresses_are_those_of_requests_without_their_query(day: Day) -> None:
    """The only URL in telemetry is that of the webhook, and nothing of what is asked with it."""
    for each in day.of("RequestData"):
        assert each.get("url", WEBHOOK).endswith(WEBHOOK)
    for span in spans_of(day.envelopes):
        assert "/" not in span.name
    for each in day.of("RemoteDependencyData"):
        told = {name: each[name] for name in ("name", "data", "target", "type") if name in each}
        assert "://" not in json.dumps(told)
