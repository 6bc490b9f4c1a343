"""Reconciliation by workers that are killed, or put to sleep past their lease; real processes.

Where they are stopped is chosen by the calls that they make to the store, drawn by a seed that is
printed; `STOPPED_SEED` draws the same again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import httpx
import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from local.emabler.process import EmablerServer
from local.fault_proxy.proxy import FaultProxy
from local.functions_host.process import FunctionFailedError
from local.processes import ChildProcess, until
from shared.instants import format_instant
from shared.reconciliation.ledger import read_standing
from shared.sessions.claims import claim_from_row
from shared.sessions.writer import SessionWriter
from shared.settings import SETTINGS as ALL_SETTINGS
from shared.storage.azure import AzureTables
from shared.storage.ledger_keys import LEASE, PARTITION
from shared.storage.rows import Replace, Tables
from shared.storage.stamp import create_store
from shared.storage.tables import RECONCILIATION, SESSIONS, TAGS
from tests.end_to_end.app import BUCKETS, CHECKOUT, HASH_KEY, App, running_app
from tests.end_to_end.books import SETTINGS, Books, Seen, equals_the_books, is_true, look, runs_of
from tests.stores import is_claim

KEY = "k" * 40
KILLS = 10
MOST_CALLS = 100
"""Ten kills after so many calls at most leave something for the run that nobody kills."""

PATIENCE = 240


@pytest.fixture
def chance() -> Random:
    seed = int(os.environ.get("STOPPED_SEED") or secrets.randbelow(1_000_000))
    print(f"STOPPED_SEED={seed}")  # noqa: T201 - whoever meets a failure draws the same again
    return Random(seed)


@pytest.fixture
async def emabler(tmp_path: Path) -> AsyncIterator[EmablerServer]:
    async with await EmablerServer.start(api_key=KEY, log=tmp_path / "emabler.log") as server:
        yield server


@pytest.fixture
async def books(emabler: EmablerServer) -> Books:
    books = Books(emabler)
    await books.fill()
    return books


def of_emabler(emabler: EmablerServer) -> dict[str, str]:
    """The settings of an app that asks this eMabler."""
    return {"EMABLER_BASE_URL": emabler.base_url, "EMABLER_API_KEY": KEY, **SETTINGS}


async def push(tables: Tables, books: Books) -> None:
    """Let push have told what it told, before reconciliation begins."""
    writer = SessionWriter(tables, buckets=BUCKETS, tag_hash_key=HASH_KEY.encode())
    await writer.write(books.pushed)


async def end_the_lease(tables: Tables) -> None:
    """Let the lease's time be over now: ten leases of ten seconds would be long to wait for."""
    row = await tables.get(RECONCILIATION, PARTITION, LEASE)
    if row is not None:
        columns = {**row.columns, "until": format_instant(await tables.now())}
        await tables.write(RECONCILIATION, [Replace(replace(row, columns=columns))])


async def killed(app: App, nth: int, moment: str) -> None:
    """Run reconciliation in the worker and kill that at its n-th call to the tables."""
    # A worker that answered something was well: the host starts the next one without a pause.
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        (await http.get(f"{app.host.url}/api/live")).raise_for_status()
    rule = app.proxy.add(f"slow service=table nth={nth} before={moment}")
    run = asyncio.create_task(app.host.run_function("reconcile", within=PATIENCE))

    async def stopped() -> bool:
        (state,) = app.proxy.counts().rules
        return bool(state.happened) or run.done()

    await until(stopped, within=PATIENCE, what=f"call {nth}", every=0.02)
    assert not run.done(), "the run ended before"
    for pid in await app.host.worker_pids():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(FunctionFailedError):
        await run
    app.proxy.remove(rule)


async def undisturbed(app: App) -> None:
    """Run reconciliation until a run has done all that is due."""
    while True:
        await app.host.run_function("reconcile", within=PATIENCE)
        if runs_of(await look(app.tables))[0] == ("ok", True):
            return


@pytest.mark.timeout(900)
async def test_reconciliation_killed_ten_times_ends_with_the_books(
    tmp_path: Path, emabler: EmablerServer, books: Books, chance: Random
) -> None:
    """SIGKILL of Microsoft's worker at ten calls of some hundred windows: nothing claimed untrue.

    The call is held at the proxy while the worker is killed. It is done at once afterwards, or only
    when later runs have taken over, and meanwhile eMabler corrects what is not proven yet: so that
    a write from beyond the grave could put an old answer over a new one.
    """
    async with running_app(tmp_path, settings=of_emabler(emabler)) as app:
        await push(app.tables, books)
        for _ in range(KILLS):
            moment = chance.choice(("forwarding", "answering"))
            await killed(app, chance.randint(1, MOST_CALLS), moment)
            is_true(await look(app.tables), books)
            if chance.random() < 0.5:
                await app.proxy.settle()
                is_true(await look(app.tables), books)
            seen = await look(app.tables)
            proven = {number for window in seen.windows for number in books.within(window)}
            await books.correct(books.sessions.keys() - proven, chance)
            await end_the_lease(app.tables)
        await undisturbed(app)
        seen = await look(app.tables)
        await equals_the_books(seen, books, hash_key=HASH_KEY.encode(), buckets=BUCKETS)
        assert {outcome for outcome, _ in runs_of(seen)} == {"ok", "died"}

        await app.proxy.settle()

        assert (await look(app.tables)).tables == seen.tables


@dataclass(frozen=True, slots=True)
class Store:
    """A store, past the proxy and through it, and runs of `manage.py reconcile` on it."""

    proxy: FaultProxy
    tables: AzureTables
    connection_string: str
    emabler: EmablerServer
    folder: Path
    ended: AsyncExitStack

    async def reconcile(
        self, name: str, *arguments: str, connection_string: str | None = None
    ) -> ChildProcess:
        """Start a run in a process of its own, past the proxy unless told otherwise."""
        ours = {setting.name for setting in ALL_SETTINGS}
        settings = of_emabler(self.emabler) | {
            "DataStorageConnection": connection_string or self.connection_string,
            "EMABLER_ENVIRONMENT": "test",
            "TAG_HASH_KEY": HASH_KEY,
        }
        run = await ChildProcess.start(
            f"manage.py reconcile ({name})",
            [sys.executable, CHECKOUT / "manage.py", "reconcile", "--as", name, *arguments],
            log=self.folder / f"{name}.log",
            env={k: v for k, v in os.environ.items() if k not in ours} | settings,
            cwd=self.folder,
        )
        return await self.ended.enter_async_context(run)

    async def put_to_sleep(self, name: str, rule: str) -> ChildProcess:
        """Start a run and stop it (SIGSTOP) at the call that a rule holds."""
        number = self.proxy.add(rule)
        run = await self.reconcile(name, connection_string=self.proxy.connection_string)

        async def held() -> bool:
            (state,) = self.proxy.counts().rules
            return bool(state.happened) or not run.running

        await until(held, within=PATIENCE, what=f"{name} to be held", every=0.02)
        assert run.running, list(run.lines)
        run.pause()
        self.proxy.remove(number)
        return run

    async def lease_is_over(self) -> None:
        """Wait until whoever has the lease has slept past it, by the store's own clock."""

        async def over() -> bool:
            standing = await read_standing(self.tables)
            return standing is not None and standing.until <= await self.tables.now()

        await until(over, within=PATIENCE, what="the lease to end")


@pytest.fixture
async def store(tmp_path: Path, emabler: EmablerServer, books: Books) -> AsyncIterator[Store]:
    async with (
        await Azurite.start(tmp_path / "azurite") as azurite,
        await FaultProxy.start(azurite) as proxy,
        AsyncExitStack() as ended,
    ):
        tables = AzureTables(TableServiceClient.from_connection_string(azurite.connection_string))
        ended.push_async_callback(tables.close)
        await create_store(tables, environment="test", buckets=BUCKETS)
        await push(tables, books)
        yield Store(proxy, tables, azurite.connection_string, emabler, tmp_path, ended)


def same(after: Seen, before: Seen) -> None:
    """Fail if anything was written but, of another answer, that a tag's session is over.

    Of an answer that another one has taken the place of, that row may go as well.
    """
    for name, rows in before.tables.items():
        if name != TAGS:
            assert after.tables[name] == rows, name
    told = {claim_from_row(row).digest for row in after.tables[SESSIONS] if is_claim(row)}
    tagged = {(row.partition, row.key): dict(row.columns) for row in after.tables[TAGS]}
    for row in before.tables[TAGS]:
        found = tagged.pop((row.partition, row.key), None)
        assert found == dict(row.columns) or (
            found is None and row.key.rpartition("|")[2] not in told
        ), row.key
    assert {str(columns["source"]) for columns in tagged.values()} <= {"stop"}


@pytest.mark.timeout(900)
async def test_what_a_sleeper_writes_changes_nothing(
    store: Store, books: Books, chance: Random
) -> None:
    """SIGSTOP past the lease with old rows in hand, with claims and with a commit on the wire.

    Half of the sessions are in the store before. Each sleeper is overtaken by the next, the last
    by a run that finishes; eMabler's books change each time, in the end back to what the store
    holds, so that the last run has nothing to correct. What was on the wire is done then, and the
    sleepers wake: of front, windows, claims, findings and runs no row is written any more.
    """
    moments = {
        "reader": f"slow table={SESSIONS} kind=query nth={chance.randint(5, 40)} before=answering",
        "writer": f"slow table={SESSIONS} kind=write nth={chance.randint(1, 12)}",
        # Its third write is of the lease's row alone: nothing but the ETag can refuse it.
        "committer": f"slow table={RECONCILIATION} kind=write nth=3",
    }
    by_hand = await store.reconcile(
        "by-hand", "--from", format_instant(books.oldest), "--to", format_instant(books.middle)
    )
    assert await by_hand.wait() == 0, list(by_hand.lines)
    await books.correct(books.sessions, chance)
    # The writer comes last: what it has on the wire nobody else wrote meanwhile.
    names = [*chance.sample(["reader", "committer"], 2), "writer"]
    sleepers = {}
    for name in names:
        await end_the_lease(store.tables)
        sleepers[name] = await store.put_to_sleep(name, moments[name])
        seen = await look(store.tables)
        is_true(seen, books)
        await books.correct(books.sessions, chance)
    await books.say({number: each.full_consumption_wh for number, each in seen.heard.items()})
    await store.lease_is_over()
    last = await store.reconcile("last")
    assert await last.wait() == 0, list(last.lines)
    before = await look(store.tables)
    await equals_the_books(before, books, hash_key=HASH_KEY.encode(), buckets=BUCKETS)

    await store.proxy.settle()
    same(await look(store.tables), before)
    for run in chance.sample(sorted(sleepers.values(), key=id), len(sleepers)):
        run.resume()
        assert await run.wait() == 1
        assert any("lease_lost" in line for line in run.lines), list(run.lines)
        same(await look(store.tables), before)

    assert [each.stored is not None for each in store.proxy.decisions()] == [True] * len(names)
    assert [outcome for outcome, _ in runs_of(before)] == ["ok", *["died"] * len(names), "ok"]
