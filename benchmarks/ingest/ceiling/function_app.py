"""The ceiling: the same rows in as few transactions as there can be, with no logic at all."""

import asyncio
import json
import os
import typing
from collections import defaultdict

import azure.functions as func
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient

app = func.FunctionApp()
service = TableServiceClient.from_connection_string(os.environ["DataStorageConnection"])
clients: dict[str, typing.Any] = {}
OPERATIONS = 100


@app.function_name("ingest_push_events")
@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="%PUSH_QUEUE_NAME%",
    connection="ServiceBusConnection",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def ingest_push_events(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the runtime refuses list[…]
    """Write all rows of all messages, a transaction for each table and partition."""
    groups: dict[tuple[str, str], dict[str, typing.Any]] = defaultdict(dict)
    for message in messages:
        for table, row in json.loads(message.get_body()):
            groups[table, row["PartitionKey"]][row["RowKey"]] = row
    await asyncio.gather(
        *(
            write(table, list(rows.values())[start : start + OPERATIONS])
            for (table, _), rows in groups.items()
            for start in range(0, len(rows), OPERATIONS)
        )
    )


async def write(table: str, rows: list[dict[str, typing.Any]]) -> None:
    """Write rows of one partition in one request."""
    if table not in clients:
        clients[table] = service.get_table_client(table)
    mode = {"mode": UpdateMode.REPLACE}
    await clients[table].submit_transaction([("upsert", row, mode) for row in rows])
