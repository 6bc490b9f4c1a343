"""The baseline: the rows that a message brings, written with one plain upsert each, 16 at a time.

This is what a quickstart grown into production looks like. The rows come ready in the messages, so
that it is spared all thinking.
"""

import asyncio
import json
import os
import typing

import azure.functions as func
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient

app = func.FunctionApp()
service = TableServiceClient.from_connection_string(os.environ["DataStorageConnection"])
clients: dict[str, typing.Any] = {}
SIDE_BY_SIDE = 16


@app.function_name("ingest_push_events")
@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="%PUSH_QUEUE_NAME%",
    connection="ServiceBusConnection",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def ingest_push_events(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the runtime refuses list[…]
    """Upsert each row of each message."""
    slots = asyncio.Semaphore(SIDE_BY_SIDE)

    async def upsert(table: str, row: dict[str, typing.Any]) -> None:
        if table not in clients:
            clients[table] = service.get_table_client(table)
        async with slots:
            await clients[table].upsert_entity(row, mode=UpdateMode.REPLACE)

    await asyncio.gather(
        *(
            upsert(table, row)
            for message in messages
            for table, row in json.loads(message.get_body())
        )
    )
