"""Each fault, as Microsoft's SDK meets it on Azurite: what it raises, and what is in the table."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from local.fault_proxy.proxy import FaultProxy
from local.fault_proxy.rules import FAULTS
from tests.fault_proxy.rows import eventually, inserts, row, stored


def code_of(error: HttpResponseError) -> object:
    """The service's code, which the SDK puts on every error without declaring it."""
    return vars(error)["error_code"]


def headers_of(error: HttpResponseError) -> Any:
    response: Any = error.response
    return response.headers


async def test_busy_is_retried_by_the_sdk(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """After a 503 the SDK sends an insert and a transaction again, and each is stored once."""
    proxy.add("busy kind=single count=1")
    proxy.add("busy kind=batch count=1")

    await app.create_entity(row(7))
    await app.submit_transaction(inserts())

    assert await stored(direct) == [7, 0, 1]
    assert [(d.fault, d.call.kind, d.answered, d.stored) for d in proxy.decisions()] == [
        ("busy", "single", 503, None),
        ("busy", "batch", 503, None),
    ]
    assert proxy.counts().calls == 4


async def test_busy_names_code_and_wait(proxy: FaultProxy, bare: TableClient) -> None:
    """The SDK reads the service's code, and the seconds to wait where they are asked for."""
    proxy.add("busy count=1 retry_after=17")
    proxy.add("busy")

    with pytest.raises(HttpResponseError) as waiting:
        await bare.upsert_entity(row())
    with pytest.raises(HttpResponseError) as plain:
        await bare.upsert_entity(row())

    assert code_of(waiting.value) == "ServerBusy"
    assert headers_of(waiting.value)["Retry-After"] == "17"
    assert "Retry-After" not in headers_of(plain.value)


async def test_busy_inside_a_transaction_is_not_retried(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """An error within a 202 passes the SDK's retries by: it raises at once, nothing is stored."""
    proxy.add("busy kind=batch inside=yes")

    with pytest.raises(TableTransactionError) as caught:
        await app.submit_transaction(inserts())

    assert (caught.value.status_code, code_of(caught.value)) == (503, "ServerBusy")
    assert proxy.counts().calls == 1
    assert await stored(direct) == []


async def test_throttled_posts_are_retried_only_when_told_to_wait(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """The SDK raises a 429 of a transaction at once, unless it comes with a Retry-After."""
    proxy.add("throttled count=1")
    with pytest.raises(HttpResponseError) as caught:
        await app.submit_transaction(inserts())
    assert caught.value.status_code == 429
    assert await stored(direct) == []

    proxy.add("throttled count=1 retry_after=0")
    await app.submit_transaction(inserts())
    assert await stored(direct) == [0, 1]


async def test_error_after_write_lets_a_retry_meet_its_own_row(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """An insert and a transaction were stored, and the SDK's retry finds that they exist."""
    proxy.add("error_after_write kind=single count=1")
    proxy.add("error_after_write kind=batch code=OperationTimedOut count=1")

    with pytest.raises(ResourceExistsError):
        await app.create_entity(row(7))
    with pytest.raises(TableTransactionError) as caught:
        await app.submit_transaction(inserts())

    assert code_of(caught.value) == "EntityAlreadyExists"
    assert await stored(direct) == [7, 0, 1]
    assert [(d.answered, d.stored) for d in proxy.decisions()] == [(500, 201), (500, 202)]


async def test_error_after_write_lets_a_retry_miss_its_etag(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """A conditional write is done, and the SDK's retry reports that somebody changed the row."""
    etag = (await direct.create_entity(row(1)))["etag"]
    proxy.add("error_after_write count=1")

    with pytest.raises(ResourceModifiedError):
        await app.update_entity(
            row(2),
            mode=UpdateMode.REPLACE,
            etag=etag,
            match_condition=MatchConditions.IfNotModified,
        )

    assert await stored(direct) == [2]


async def test_error_after_write_leaves_reads_alone(
    proxy: FaultProxy, bare: TableClient, direct: TableClient
) -> None:
    """A read is no write, so it is answered as ever."""
    await direct.create_entity(row(1))
    proxy.add("error_after_write")

    assert (await bare.get_entity("p", "k"))["value"] == 1
    assert proxy.decisions() == []


async def test_reset_before_stores_nothing(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """A transaction whose connection breaks is not sent again by the SDK, and not stored."""
    proxy.add("reset_before count=1")

    with pytest.raises(ServiceRequestError):
        await app.submit_transaction(inserts())

    assert await stored(direct) == []
    assert proxy.counts().calls == 1


async def test_reset_after_stores_all(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """The SDK calls a lost answer a request that was not sent, though everything is stored."""
    proxy.add("reset_after count=1")

    with pytest.raises(ServiceRequestError):
        await app.submit_transaction(inserts())

    assert await stored(direct) == [0, 1]
    assert [(d.answered, d.stored) for d in proxy.decisions()] == [(None, 202)]


async def test_reset_after_is_repeated_beneath_the_sdk(
    proxy: FaultProxy, bare: TableClient, direct: TableClient
) -> None:
    """Even without retries aiohttp sends a PUT twice, and the second misses its ETag."""
    etag = (await direct.create_entity(row(1)))["etag"]
    proxy.add("reset_after count=1")

    with pytest.raises(ResourceModifiedError):
        await bare.update_entity(
            row(2),
            mode=UpdateMode.REPLACE,
            etag=etag,
            match_condition=MatchConditions.IfNotModified,
        )

    assert await stored(direct) == [2]
    assert proxy.counts().calls == 2


async def test_late_write_arrives_after_its_retry(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """The retry of a timed-out write is stored; the first one comes later and wins."""
    await direct.upsert_entity(row(0))
    proxy.add("late_write count=1")

    await app.upsert_entity(row(1))
    assert await stored(direct) == [1]
    await app.upsert_entity(row(2))
    assert await stored(direct) == [2]
    assert proxy.counts().held == 1

    await proxy.settle()
    assert await stored(direct) == [1]
    assert [(d.answered, d.stored) for d in proxy.decisions()] == [(500, 204)]


async def test_late_write_waits_for_its_release(
    proxy: FaultProxy, bare: TableClient, direct: TableClient
) -> None:
    """Without a time a late transaction fails at once, and is stored when it is let go."""
    proxy.add("late_write")

    with pytest.raises(HttpResponseError) as caught:
        await bare.submit_transaction(inserts())
    assert code_of(caught.value) == "OperationTimedOut"
    assert await stored(direct) == []

    await proxy.settle()
    assert await stored(direct) == [0, 1]


async def test_late_write_arrives_in_its_time(
    proxy: FaultProxy, bare: TableClient, direct: TableClient
) -> None:
    """With a time a late transaction is in the store some time later, by itself."""
    proxy.add("late_write seconds=0.2")

    with pytest.raises(HttpResponseError):
        await bare.submit_transaction(inserts())

    async def arrived() -> bool:
        return await stored(direct) == [0, 1]

    await eventually(arrived, "the late write")


async def test_slow_outlasts_the_patience_of_the_sdk(
    proxy: FaultProxy, hasty: TableClient, direct: TableClient
) -> None:
    """A call that its caller gave up on is handed on all the same when it is let go."""
    proxy.add("slow")

    with pytest.raises(ServiceResponseTimeoutError):
        await hasty.submit_transaction(inserts())
    assert await stored(direct) == []

    await proxy.settle()

    async def arrived() -> bool:
        return await stored(direct) == [0, 1]

    await eventually(arrived, "the held transaction")


async def test_slow_before_answering_has_stored(
    proxy: FaultProxy, hasty: TableClient, direct: TableClient
) -> None:
    """Where the answer is what waits, the write is done though the caller gives up."""
    proxy.add("slow before=answering")

    with pytest.raises(ServiceResponseTimeoutError):
        await hasty.submit_transaction(inserts())

    async def done() -> bool:
        return await stored(direct) == [0, 1] and proxy.counts().held == 1

    await eventually(done, "the transaction that is not answered")


async def test_slow_takes_its_seconds(proxy: FaultProxy, bare: TableClient) -> None:
    """A short wait is only a wait."""
    proxy.add("slow seconds=0.1")
    began = asyncio.get_running_loop().time()

    await bare.submit_transaction(inserts())

    assert asyncio.get_running_loop().time() - began >= 0.1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AuthorizationPermissionMismatch", 403, HttpResponseError),
        ("AuthorizationFailure", 403, HttpResponseError),
        ("AuthenticationFailed", 403, ClientAuthenticationError),
        ("NoAuthenticationInformation", 401, HttpResponseError),
    ],
)
async def test_refused_is_not_retried(
    proxy: FaultProxy, app: TableClient, code: str, status: int, kind: type[HttpResponseError]
) -> None:
    """The SDK raises a refusal at once, and reads its code."""
    proxy.add(f"refused code={code}")

    with pytest.raises(kind) as caught:
        await app.submit_transaction(inserts())

    assert caught.value.status_code == status
    assert code_of(caught.value) == code
    assert proxy.counts().calls == 1


async def test_missing_table_is_told_where_the_service_tells_it(
    proxy: FaultProxy, app: TableClient
) -> None:
    """A read raises ResourceNotFoundError; a transaction holds the error inside its 202."""
    proxy.add(f"missing_table table={app.table_name}")

    with pytest.raises(ResourceNotFoundError) as alone:
        await app.get_entity("p", "k")
    with pytest.raises(TableTransactionError) as together:
        await app.submit_transaction(inserts())

    assert code_of(alone.value) == "TableNotFound"
    assert (together.value.status_code, code_of(together.value)) == (404, "TableNotFound")


async def test_a_missing_table_is_as_azurite_tells_it(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """The fault cannot be told from a table that is really missing."""
    await direct.delete_table()
    told = []
    for fault in (None, "missing_table"):
        if fault:
            proxy.add(fault)
        with pytest.raises(TableTransactionError) as caught:
            await app.submit_transaction(inserts())
        error = caught.value
        told.append((error.status_code, code_of(error), error.message.split("\n")[0]))

    assert told[0] == told[1]


@pytest.mark.parametrize("fault", FAULTS)
async def test_normal_service_resumes(
    proxy: FaultProxy, hasty: TableClient, bare: TableClient, direct: TableClient, fault: str
) -> None:
    """Until it is cleared a fault hits every call of its kind; afterwards none."""
    proxy.add(fault)
    for _ in range(2):
        with pytest.raises((HttpResponseError, ServiceRequestError, ServiceResponseTimeoutError)):
            await hasty.submit_transaction(inserts())
    proxy.clear()
    await proxy.settle()
    before = len(proxy.decisions())

    await bare.submit_transaction([("upsert", row(9, f"k{n}")) for n in range(2)])

    assert await stored(direct) == [9, 9]
    assert len(proxy.decisions()) == before
