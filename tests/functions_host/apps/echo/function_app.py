"""Functions that tell what reached them, and functions that this host does not run."""

# ruff: noqa: ARG001 - the host gives a trigger's parameter, needed or not
# ruff: noqa: PTH109, T201 - plain calls, as an app may make them

import asyncio
import importlib.util
import json
import logging
import os
import sys
import time
import typing

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
log = logging.getLogger("echo")
attempts = {"timer": 0}


def _request(req: func.HttpRequest) -> func.HttpResponse:
    told = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().hex(),
    }
    return func.HttpResponse(json.dumps(told), mimetype="application/json")


@app.route(route="request", methods=["GET", "POST"])
async def request_(req: func.HttpRequest) -> func.HttpResponse:
    return _request(req)


@app.route(route="items/{id:int}/{part?}", methods=["PUT"])
async def items(req: func.HttpRequest) -> func.HttpResponse:
    return _request(req)


@app.route(route="files/{*path}", methods=["GET"])
def files(req: func.HttpRequest) -> func.HttpResponse:
    return _request(req)


@app.route(route="bytes")
async def bytes_(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Length": str(len(req.get_body())), "Set-Cookie": "tap=1; Path=/; HttpOnly"}
    return func.HttpResponse(
        req.get_body(), status_code=201, headers=headers, mimetype="application/octet-stream"
    )


@app.route(route="text")
async def text(req: func.HttpRequest) -> str:
    return "é, nothing but text"


@app.route(route="fails")
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("on purpose")


@app.route(route="exits")
async def exits(req: func.HttpRequest) -> func.HttpResponse:
    os._exit(3)


@app.route(route="waits/{seconds}")
async def waits(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    log.info("waiting as %s", context.function_name)
    await asyncio.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse("waited")


@app.route(route="blocks")
def blocks(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(60)
    return func.HttpResponse("never")


@app.route(route="process")
async def process(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    print("printed by the app")
    told = {
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "path": sys.path,
        "settings": {n: os.environ.get(n) for n in ("FromFile", "FromBoth", "WEBSITE_HOSTNAME")},
        "finds_local": importlib.util.find_spec("local") is not None,
        "trace_parent": context.trace_context.trace_parent,
        "trace_state": context.trace_context.trace_state,
    }
    return func.HttpResponse(json.dumps(told), mimetype="application/json")


@app.timer_trigger(arg_name="timer", schedule="%Schedule%", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
async def timer(timer: func.TimerRequest, context: func.Context) -> None:
    attempts["timer"] += 1
    # The class that is passed has it, the one in the annotation does not.
    status = json.dumps(typing.cast("typing.Any", timer).schedule_status)
    retries = context.retry_context.retry_count
    log.info("timer past_due=%s retries=%d status=%s", timer.past_due, retries, status)
    if attempts["timer"] == 1:
        raise RuntimeError("first attempt")


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
async def failing_timer(timer: func.TimerRequest) -> None:
    raise RuntimeError("the timer fails")


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="echo-batches",
    connection="ServiceBus",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def batch(
    messages: typing.List[func.ServiceBusMessage],  # noqa: UP006 - the runtime refuses list[…]
) -> None:
    log.info("batch %s", json.dumps([_message(message) for message in messages]))


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="echo-singles", connection="ServiceBus"
)
async def single(message: func.ServiceBusMessage) -> None:
    log.info("single %s", json.dumps(_message(message)))


def _message(message: func.ServiceBusMessage) -> dict[str, object]:
    instant = message.enqueued_time_utc
    return {
        "body": message.get_body().hex(),
        "message_id": message.message_id,
        "delivery_count": message.delivery_count,
        "sequence_number": message.sequence_number,
        "lock_token": message.lock_token,
        "correlation_id": message.correlation_id,
        "content_type": message.content_type,
        "subject": message.subject,
        "properties": message.application_properties,
        "enqueued": instant.isoformat() if instant else None,
        "locked_until": str(message.locked_until),
    }


@app.route(route="queued")
@app.queue_output(arg_name="out", queue_name="x", connection="AzureWebJobsStorage")
def queued(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse:
    return func.HttpResponse("never runs here")


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="%NoSuchSetting%", connection="ServiceBus"
)
def unset(message: func.ServiceBusMessage) -> None: ...


@app.timer_trigger(arg_name="timer", schedule="every now and then")
def unscheduled(timer: func.TimerRequest) -> None: ...


@app.route(route="off")
def switched_off(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("ran")
