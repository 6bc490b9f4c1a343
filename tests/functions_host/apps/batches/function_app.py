"""Service Bus functions that wait until the test lets them go on."""

# ruff: noqa: ARG001 - the host gives a trigger's parameter, needed or not
# ruff: noqa: ASYNC110 - a file is what a test in another process can give

import asyncio
import logging
import os
import pathlib
import typing

import azure.functions as func

app = func.FunctionApp()
log = logging.getLogger("batches")
gate = pathlib.Path(os.environ["GATE"])


async def _wait(name: str) -> None:
    while not (gate / name).exists():
        await asyncio.sleep(0.01)


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="%BatchQueue%",
    connection="ServiceBus",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def batch(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the runtime refuses list[…]
    ids = [message.message_id for message in messages]
    log.info("batch begins: %d deliveries=%s", len(messages), messages[0].delivery_count)
    await _wait("batch")
    if any(message.get_body() == b"poison" for message in messages):
        raise ValueError("poison")
    log.info("batch ends: %s", ids)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="singles", connection="ServiceBus", data_type="BINARY"
)
async def single(message: func.ServiceBusMessage) -> None:
    log.info("single begins: %s", message.message_id)
    await _wait("single")
    log.info("single ends: %s", message.message_id)


@app.route(route="hangs")
async def hangs(req: func.HttpRequest) -> func.HttpResponse:
    log.info("hangs begins")
    await _wait("hangs")
    return func.HttpResponse("let go")
