"""Table Storage through Microsoft's SDK, on one asynchronous client with connections kept open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.errors import (
    RowChangedError,
    RowExistsError,
    RowMissingError,
    RowRejectedError,
    StoreUnavailableError,
)
from shared.instants import as_utc, http_date
from shared.storage import limits
from shared.storage.requests import Attempts, request
from shared.storage.rows import Delete, Insert, Operation, Replace, Row, Upsert, Value
from shared.storage.tables import STORE

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineResponse

_INT32 = range(-(2**31), 2**31)
_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _PRECONDITION, _TOO_LARGE = 400, 404, 409, 412, 413
_KEYS = frozenset(("PartitionKey", "RowKey"))


class AzureTables:
    """The gateway to a Table Storage account. Takes over the client and closes it."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._clients: dict[str, TableClient] = {}

    def _client(self, table: str) -> TableClient:
        client = self._clients.get(table)
        if client is None:
            client = self._clients[table] = self._service.get_table_client(table)
        return client

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """One row, or None."""
        try:
            with request(table, "get"), _translated(table):
                return _row(await self._client(table).get_entity(partition, key))
        except RowMissingError:
            return None

    def range(
        self,
        table: str,
        partition: str,
        start: str = "",
        end: str | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of one partition with `start <= key < end`, by key."""
        query = "PartitionKey eq @partition and RowKey ge @start"
        parameters = {"partition": partition, "start": start}
        if end is not None:
            query += " and RowKey lt @end"
            parameters["end"] = end
        return self._query(table, "range", query, parameters, columns)

    def scan(
        self,
        table: str,
        start: str = "",
        end: str | None = None,
        *,
        keys_from: str = "",
        keys_to: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of all partitions with `start <= partition < end`, by partition and key."""
        query = "PartitionKey ge @start"
        parameters = {"start": start}
        if end is not None:
            query += " and PartitionKey lt @end"
            parameters["end"] = end
        if keys_from:
            query += " and RowKey ge @keys_from"
            parameters["keys_from"] = keys_from
        if keys_to is not None:
            query += " and RowKey lt @keys_to"
            parameters["keys_to"] = keys_to
        return self._query(table, "scan", query, parameters, columns)

    async def _query(
        self,
        table: str,
        what: str,
        query: str,
        parameters: Mapping[str, str],
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        select = None if columns is None else [*sorted(_KEYS), *columns]
        # A page is one request: a query of many pages is counted and charged page by page.
        pages = (
            self._client(table)
            .query_entities(query, parameters=dict(parameters), select=select)
            .by_page()
            .__aiter__()
        )
        while True:
            try:
                with request(table, what), _translated(table):
                    page = [_row(entity) async for entity in await anext(pages)]
            except StopAsyncIteration:
                return
            for row in page:
                yield row

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Do all operations or none, in one request."""
        limits.check(operations)
        attempts = Attempts()
        try:
            with request(table, "write") as attempts, _translated(table):
                answers = await _write(self._client(table), operations)
        except RowExistsError as error:
            error.after_retry = attempts.count > 1
            raise
        return [
            None if isinstance(operation, Delete) else answer["etag"]
            for operation, answer in zip(operations, answers, strict=True)
        ]

    async def create_table(self, table: str) -> bool:
        """Make a table if there is none of that name."""
        try:
            with request(table, "create"), _translated(table):
                await self._service.create_table(table)
        except (RowExistsError, StoreUnavailableError) as error:
            if isinstance(error.__cause__, ResourceExistsError):
                return False
            raise
        return True

    async def now(self) -> datetime:
        """The store's own clock, cut to a whole second: the `Date` of an answer about no row."""
        dates: list[str | None] = []

        def look(response: PipelineResponse[Any, Any]) -> None:
            dates.append(response.http_response.headers.get("Date"))

        with request(STORE, "now"), _translated(STORE), suppress(ResourceNotFoundError):
            # A key that no row has: the service looks nothing up, and says when it said so.
            await self._client(STORE).get_entity("now", "now", raw_response_hook=look)
        date = http_date((dates or [None])[-1] or "")
        if date is None:
            raise StoreUnavailableError("the store does not say what time it is")
        return date

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()


async def _write(
    client: TableClient, operations: Sequence[Operation]
) -> Sequence[Mapping[str, Any]]:
    if len(operations) == 1 and not isinstance(operations[0], Delete):
        return [await _write_one(client, operations[0])]
    # A single delete too: the SDK's own takes a missing row or table for deleted.
    return await client.submit_transaction([_batched(operation) for operation in operations])


async def _write_one(
    client: TableClient, operation: Insert | Upsert | Replace
) -> Mapping[str, Any]:
    match operation:
        case Insert(row=row):
            return await client.create_entity(_entity(row), response_preference="return-no-content")
        case Upsert(row=row):
            return await client.upsert_entity(_entity(row), mode=UpdateMode.REPLACE)
        case Replace(row=row):
            return await client.update_entity(
                _entity(row), mode=UpdateMode.REPLACE, **_condition(row.etag)
            )


def _batched(operation: Operation) -> tuple[str, Any, dict[str, Any]]:
    match operation:
        case Insert(row=row):
            # Without this the service answers with each row as it was written, bodies and all.
            return "create", _entity(row), {"response_preference": "return-no-content"}
        case Upsert(row=row):
            return "upsert", _entity(row), {"mode": UpdateMode.REPLACE}
        case Replace(row=row):
            return "update", _entity(row), {"mode": UpdateMode.REPLACE, **_condition(row.etag)}
        case Delete(partition=partition, key=key, etag=etag):
            return "delete", {"PartitionKey": partition, "RowKey": key}, _condition(etag)


def _condition(etag: str | None) -> dict[str, Any]:
    if etag is None:
        return {"match_condition": MatchConditions.Unconditionally}
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _entity(row: Row) -> dict[str, Any]:
    entity: dict[str, Any] = {"PartitionKey": row.partition, "RowKey": row.key}
    for name, value in row.columns.items():
        big = isinstance(value, int) and not isinstance(value, bool) and value not in _INT32
        entity[name] = EntityProperty(value, EdmType.INT64) if big else value
    return entity


def _row(entity: Mapping[str, Any]) -> Row:
    columns: dict[str, Value] = {
        name: value.value if isinstance(value, EntityProperty) else value
        for name, value in entity.items()
        # One that was asked for and is not there may come as nothing.
        if name not in _KEYS and value is not None
    }
    metadata = entity.metadata  # type: ignore[attr-defined] # a TableEntity, typed as a mapping
    return Row(
        entity["PartitionKey"],
        entity["RowKey"],
        columns,
        metadata["etag"],
        as_utc(metadata["timestamp"]),
    )


@contextmanager
def _translated(table: str) -> Iterator[None]:
    """The SDK's errors as ours: a conflict to decide on, a row that cannot be, or weather."""
    try:
        yield
    except HttpResponseError as error:
        raise _translate(table, error) from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise StoreUnavailableError(f"table {table}: no answer", code="store_away") from error
    except AzureError as error:
        raise StoreUnavailableError(f"table {table}: {type(error).__name__}") from error


def _translate(table: str, error: HttpResponseError) -> Exception:
    named = getattr(error, "error_code", None)
    code = str(getattr(named, "value", named) or "")
    status = error.status_code
    # For an insert the SDK leaves the code in the text of the answer.
    if status == _NOT_FOUND and "TableNotFound" in str(error):
        return StoreUnavailableError(f"there is no table {table}", code="table_missing")
    # Azurite answers a single insert that meets a row without a code.
    if status == _CONFLICT and code in ("EntityAlreadyExists", ""):
        return RowExistsError(f"table {table}: the row exists")
    if status == _PRECONDITION:
        return RowChangedError(f"table {table}: the row was changed")
    if status == _NOT_FOUND:
        return RowMissingError(f"table {table}: there is no such row")
    if status in (_BAD_REQUEST, _TOO_LARGE):
        return RowRejectedError(f"table {table}: the store refused the request ({code})")
    return StoreUnavailableError(f"table {table}: the store answered {status} ({code})")
