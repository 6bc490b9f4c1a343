"""Taps by HTTP on Microsoft's runtime: the decision table, outages under each policy, many at once.

The app reaches its store through the fault proxy. There is one host for each policy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from shared.authorization.warming import CONNECTIONS
from shared.chargers.loaded import InventoryLoaded, note_inventory_loaded
from shared.identifiers import bucket_of, hash_tag, key_part
from shared.instants import system_clock
from shared.storage.azure import AzureTables
from shared.storage.azure_blobs import AzureBlobs
from shared.storage.containers import SNAPSHOTS
from shared.storage.rows import Row, Upsert, Value
from shared.storage.stamp import create_store
from shared.storage.tables import ALL_TABLES, AUTHORIZATIONS, CHARGERS, TAG_GROUPS, TAGS
from shared.tags.changing import set_blocked
from shared.tags.groups import Group, group_row
from shared.tags.records import Scope, Tag, tag_session_row
from shared.tags.snapshot_store import SnapshotStore
from tests.tagging import put_tags

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUE = "push-events"
SECRET = "correct horse battery staple 0123456789"
HASH_KEY = b"k" * 40
BUCKETS = 4
BUDGET_MS = 1000
POLICIES = ("defer", "deny", "last-known")
PATIENT = "patient"
"""A host more, whose budget is beyond what a busy machine needs: its taps are decided live."""
CANARY = "CANARY"
KNOWN, BLOCKED = f"{CANARY}-KNOWN", f"{CANARY}-BLOCKED"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, body, and what the worker's own line says."""

    status: int
    body: Mapping[str, Any]


@dataclass(slots=True)
class Site:
    """The app under each policy, its store, and what an operator and chargers put there."""

    azurite: Azurite
    proxy: FaultProxy
    tables: AzureTables
    hosts: dict[str, FunctionsHost]
    http: httpx.AsyncClient
    snapshots: SnapshotStore

    async def tap(self, tag: str, charger: str, host: str = PATIENT) -> Answer:
        answer = await self.http.post(
            f"{self.hosts[host].url}/api/emabler/push",
            content=json.dumps({"charger_id": charger, "rfid_tag_id": tag}),
        )
        return Answer(answer.status_code, answer.json() if answer.content else {})

    async def knows(self, *tags: Tag) -> None:
        await put_tags(self.tables, tags, HASH_KEY)

    async def has_charger(self, charger: str, site: str | None = None) -> None:
        columns: dict[str, Value] = {"schema": 1, "charger": charger}
        if site is not None:
            columns["boot_site"] = site
        row = Row(bucket_of(charger, BUCKETS), f"{key_part(charger)}|!", columns)
        await self.tables.write(CHARGERS, [Upsert(row)])

    async def charges(self, tag: str, charger: str, hours_ago: float = 1) -> None:
        start = datetime.now(UTC) - timedelta(hours=hours_ago)
        row = tag_session_row(hash_tag(tag, HASH_KEY), f"{charger}|7", "start", "d", start)
        await self.tables.write(TAGS, [Upsert(row)])

    async def audited(self, charger: str, count: int) -> list[Mapping[str, Any]]:
        """The audit's rows of a charger, when there are so many."""
        found: list[Mapping[str, Any]] = []

        async def there() -> bool:
            found[:] = [
                row.columns
                async for row in self.tables.scan(AUTHORIZATIONS, keys_from=f"{charger}|")
                if row.columns["charger"] == charger
            ]
            return len(found) >= count

        await until(there, within=60, what=f"{count} rows of the audit")
        assert len(found) == count
        return sorted(found, key=lambda columns: str(columns["at"]))

    def lines(self, host: str, charger: str) -> list[dict[str, Any]]:
        """What the worker's wide events say of taps at a charger."""
        found = []
        for line in self.hosts[host].log_text().splitlines():
            start = line.find('{"event":"invocation"')
            if start >= 0:
                fields = json.loads(line[start : line.rindex("}") + 1])
                found += [fields] if fields.get("charger") == charger else []
        return found


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("taps")
    async with (
        await Azurite.start(folder / "azurite") as azurite,
        await FaultProxy.start(azurite) as proxy,
        await ServiceBusBroker.start(queues=[Queue(QUEUE)]) as broker,
        httpx.AsyncClient(headers={"Authorization": SECRET}, timeout=60, trust_env=False) as http,
    ):
        tables = AzureTables(TableServiceClient.from_connection_string(azurite.connection_string))
        blobs = AzureBlobs(
            lambda: BlobServiceClient.from_connection_string(azurite.connection_string)
        )
        await create_store(tables, environment="test", buckets=BUCKETS)
        await blobs.create_container(SNAPSHOTS)
        hosts: dict[str, FunctionsHost] = {}
        snapshots = SnapshotStore(tables, blobs, system_clock)
        site = Site(azurite, proxy, tables, hosts, http, snapshots)
        await note_inventory_loaded(tables, InventoryLoaded(datetime.now(UTC), 1))
        await site.knows(Tag(tag=KNOWN), Tag(tag=BLOCKED, blocked=True))
        await snapshots.refresh()
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DataStorageConnection": proxy.connection_string,
            "ServiceBusConnection": broker.connection_string,
            "PUSH_QUEUE_NAME": QUEUE,
            "TAG_HASH_KEY": HASH_KEY.decode(),
            "WEBHOOK_AUTHORIZATION": SECRET,
            "EMABLER_ENVIRONMENT": "test",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
            "AUTHORIZATION_FACTS_SECONDS": "0",
        }
        try:
            for name in (*POLICIES, PATIENT):
                before = proxy.counts().passed
                hosts[name] = await FunctionsHost.start(
                    app=CHECKOUT,
                    settings=settings
                    | {
                        "AUTHORIZATION_FALLBACK": "defer" if name == PATIENT else name,
                        "AUTHORIZATION_BUDGET_MILLISECONDS": str(
                            60_000 if name == PATIENT else BUDGET_MS
                        ),
                    },
                    quiet=True,
                )

                async def warmed(before: int = before) -> bool:
                    return proxy.counts().passed >= before + CONNECTIONS

                # Connections are opened beside the start, before any tap comes.
                await until(warmed, within=30, what="connections to be warmed")
            yield site
        finally:
            for host in hosts.values():
                await host.stop()
            await blobs.close()
            await tables.close()


NOW = datetime.now(UTC)
CASES: dict[str, tuple[Tag | None, Group | None, str | None]] = {
    "stop": (Tag(tag="", blocked=True), None, None),
    "unknown_charger": (Tag(tag=""), None, "UNKNOWN_CHARGER_ID"),
    "unknown_tag": (None, None, "UNKNOWN_RFID_TAG_ID"),
    "blocked": (Tag(tag="", blocked=True), None, "UNAUTHORIZED_RFID_TAG_ID"),
    "expired": (Tag(tag="", valid_until=NOW - DAY), None, "EXPIRED_RFID_TAG_ID"),
    "not_yet_valid": (Tag(tag="", valid_from=NOW + DAY), None, "UNAUTHORIZED_RFID_TAG_ID"),
    "group_unknown": (Tag(tag="", group="none"), None, "UNAUTHORIZED_RFID_TAG_ID"),
    "group_blocked": (Tag(tag=""), Group(name="", blocked=True), "UNAUTHORIZED_RFID_TAG_ID"),
    "group_expired": (Tag(tag=""), Group(name="", valid_until=NOW - DAY), "EXPIRED_RFID_TAG_ID"),
    "site_unknown": (Tag(tag="", scope=Scope(sites=("S",))), None, "UNAUTHORIZED_RFID_TAG_ID"),
    "out_of_scope": (
        Tag(tag=""),
        Group(name="", scope=Scope(chargers=("CH-other",))),
        "UNAUTHORIZED_RFID_TAG_ID",
    ),
    "tag_limit": (Tag(tag="", most_sessions=1), None, "UNAUTHORIZED_RFID_TAG_ID"),
    "group_limit": (Tag(tag=""), Group(name="", most_sessions=1), "UNAUTHORIZED_RFID_TAG_ID"),
    "known_tag": (Tag(tag="", kind="VIN", scope=Scope(sites=("S",))), Group(name=""), None),
}


@pytest.mark.parametrize("cause", CASES)
async def test_each_rule_answers_by_http(site: Site, cause: str) -> None:
    """The reason on the wire, and the cause in the audit and in the worker's line."""
    tag, group, reason = CASES[cause]
    name, charger = f"{CANARY}:{cause}'s %*", f"CH-{cause}"
    if group is not None:
        await site.tables.write(TAG_GROUPS, [Upsert(group_row(replace(group, name=cause)))])
    if tag is not None:
        await site.knows(replace(tag, tag=name, group=cause if group else tag.group))
    if cause != "unknown_charger":
        await site.has_charger(charger, site="S" if cause == "known_tag" else None)
    if cause == "stop":
        await site.charges(name, charger)
    if cause in ("tag_limit", "group_limit"):
        await site.charges(name, "CH-elsewhere")

    answer = await site.tap(name.lower(), charger)

    kind = {"rfid_tag_type": "VIN"} if cause == "known_tag" else {}
    denied = {"reason": reason} if reason else {}
    assert answer == Answer(200, {"charging_allowed": reason is None} | kind | denied)
    row = (await site.audited(charger, 1))[0]
    assert (row["cause"], row["source"], row.get("reason")) == (cause, "live", reason)
    assert row["tag_hash"] == hash_tag(name, HASH_KEY)
    (line,) = site.lines(PATIENT, charger)
    assert (line["cause"], line.get("reason"), line["status"]) == (cause, reason, 200)


@pytest.mark.parametrize(
    "body",
    [
        b'{"charger_id": "CH-invalid"}',
        b'{"charger_id": "CH-invalid", "rfid_tag_id": ""}',
        b'{"charger_id": "CH-invalid", "rfid_tag_id": 7}',
        b'{"charger_id": "CH-invalid", "rfid_tag_id": "\\ud800"}',
        b'{"charger_id": "CH-invalid", "rfid_tag_id": "' + b"x" * 256 + b'"}',
    ],
)
async def test_an_invalid_tap_is_denied_and_audited(site: Site, body: bytes) -> None:
    """200 and not allowed, so that no fallback decides; the audit has it."""
    before = len(site.lines(PATIENT, "CH-invalid"))

    answer = await site.http.post(f"{site.hosts[PATIENT].url}/api/emabler/push", content=body)

    assert (answer.status_code, answer.json()["charging_allowed"]) == (200, False)
    assert (await site.audited("CH-invalid", before + 1))[-1]["cause"] == "invalid_tap"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_answered_405(site: Site, method: str) -> None:
    """With the methods that there are."""
    answer = await site.http.request(method, f"{site.hosts[PATIENT].url}/api/emabler/push")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


FAULTS = ("stopped", "paused", "slow", "busy", "absent")


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_policy_answers_while_the_store_does_not(site: Site, fault: str) -> None:
    """Within the budget and 100 ms of the worker's own clock, under each policy; then as before."""
    charger = f"CH-{fault}"
    await site.has_charger(charger)
    for policy in POLICIES:
        assert (await site.tap(KNOWN, charger, policy)).body["charging_allowed"]
        assert (await site.tap(BLOCKED, charger, policy)).body["charging_allowed"] is False

    await _begin(site, fault)
    try:
        answers = {
            policy: [await site.tap(tag, charger, policy) for tag in (KNOWN, BLOCKED) * 2]
            for policy in POLICIES
        }
    finally:
        await _end(site, fault)

    denied = {"charging_allowed": False, "reason": "UNAUTHORIZED_RFID_TAG_ID"}
    assert answers["defer"] == [Answer(503, {})] * 4
    assert answers["deny"] == [Answer(200, denied)] * 4
    assert (
        answers["last-known"] == [Answer(200, {"charging_allowed": True}), Answer(200, denied)] * 2
    )
    for policy in POLICIES:
        lines = [line for line in site.lines(policy, charger) if line["source"] != "live"]
        assert len(lines) == 4
        assert median(line["duration_ms"] for line in lines) <= BUDGET_MS + 100

        async def back(policy: str = policy) -> bool:
            answer = await site.tap(KNOWN, charger, policy)
            lines = site.lines(policy, charger)
            return answer.status == 200 and lines[-1]["source"] == "live"

        await until(back, within=30, what="live answers without a restart")
    written = {row["source"] for row in await site.audited(charger, _count(site, charger))}
    assert written == {"live", "policy", "last_known"}


def _count(site: Site, charger: str) -> int:
    return sum(len(site.lines(policy, charger)) for policy in POLICIES)


async def _begin(site: Site, fault: str) -> None:
    match fault:
        case "stopped":
            await site.azurite.stop()
        case "paused":
            site.azurite.pause()
        case "slow":
            site.proxy.add("slow service=table seconds=3")
        case "busy":
            site.proxy.add("busy service=table")
        case _:
            site.proxy.add("absent service=table")


async def _end(site: Site, fault: str) -> None:
    match fault:
        case "stopped":
            await site.azurite.restart()
        case "paused":
            site.azurite.resume()
        case _:
            site.proxy.clear()
            await site.proxy.settle()


async def test_the_timer_makes_the_snapshot_anew(site: Site) -> None:
    """Under last-known alone there is such a function; it says how many tags the snapshot holds."""
    tag = f"{CANARY}-NEW"
    await site.knows(Tag(tag=tag))
    host = site.hosts["last-known"]

    await host.run_function("refresh_tag_snapshot")

    snapshot, _ = await site.snapshots.read()
    assert snapshot is not None
    validity = snapshot.validity(hash_tag(tag, HASH_KEY))
    assert validity is not None
    assert validity.holds(system_clock())
    assert f'"snapshot_tags":{len(snapshot)}' in host.log_text()
    assert "refresh_tag_snapshot" not in site.hosts["defer"].log_text()


async def test_a_hundred_taps_at_once_with_a_limit_of_one_session(site: Site) -> None:
    """As documented: a tap makes no session, so all pass until the first start is known."""
    tag = f"{CANARY}-LIMITED"
    await site.knows(Tag(tag=tag, most_sessions=1))
    await site.has_charger("CH-many")

    before = await _live_taps(site, tag, 100)
    await site.charges(tag, "CH-elsewhere")
    after = await _live_taps(site, tag, 100)

    assert before == {"known_tag"}
    assert after == {"tag_limit"}


async def test_no_tap_that_arrives_after_a_block_is_allowed(site: Site) -> None:
    """In a stream of taps the block's write divides those that may pass from those that may not."""
    tag = f"{CANARY}-STOLEN"
    await site.knows(Tag(tag=tag))
    await site.has_charger("CH-many")
    early = [asyncio.create_task(site.tap(tag, "CH-many")) for _ in range(30)]

    await set_blocked(site.tables, [hash_tag(tag, HASH_KEY)], HASH_KEY, blocked=True)
    late = [asyncio.create_task(site.tap(tag, "CH-many")) for _ in range(30)]

    allowed = [
        answer
        for answer in await asyncio.gather(*late)
        if answer.status == 200 and answer.body["charging_allowed"]
    ]
    assert allowed == []
    assert any([(await task).status == 200 for task in early])


async def _live_taps(site: Site, tag: str, count: int) -> set[str]:
    """The causes of so many taps at once, all of them decided live."""
    before = len(site.lines(PATIENT, "CH-many"))
    await asyncio.gather(*(site.tap(tag, "CH-many") for _ in range(count)))
    lines = site.lines(PATIENT, "CH-many")[before:]
    assert [line["source"] for line in lines] == ["live"] * count
    return {line["cause"] for line in lines}


async def test_no_tag_is_told_anywhere(site: Site) -> None:
    """Neither in a line of the hosts and workers, nor in a key of the store."""
    hostile = [f"{CANARY}{more}" for more in ("' or PartitionKey ne '", "\ud83d", "\n", "/?#%")]
    for tag in (KNOWN, BLOCKED, *hostile):
        await site.tap(tag, f"CH-{len(tag)}")

    logs = [host.log_text() for host in site.hosts.values()]
    keys = [
        f"{row.partition}|{row.key}"
        for table in ALL_TABLES
        async for row in site.tables.scan(table)
    ]
    assert len(keys) > 5
    assert all('"decision"' in log for log in logs)
    for text in (*logs, *keys):
        assert CANARY.casefold() not in text.casefold()
