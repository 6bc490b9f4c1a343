"""The functions: each binds its trigger, calls its room and answers."""

from __future__ import annotations

import logging
import os
import typing

import azure.functions as func

from shared.backup_room import BackupRoom
from shared.ingestion.messages import IncomingMessage, declared_type
from shared.instants import as_utc, system_clock
from shared.kafka_room import RETRY_FIRST, RETRY_LONGEST, KafkaRoom, kafka_binding
from shared.parked.replaying import first_enqueued
from shared.rooms import Rooms
from shared.status_room import Told
from shared.telemetry import WideEvent, invocation

# The SDKs and httpx log each request's address at INFO, and table addresses hold keys; Service Bus
# logs each state of each link, and telemetry what it sent.
for name in (
    "azure.core",
    "azure.identity",
    "azure.monitor",
    "azure.servicebus",
    "httpx",
    "httpcore",
):
    logging.getLogger(name).setLevel(logging.WARNING)

rooms = Rooms(os.environ)
if rooms.settings["TELEMETRY"] == "opentelemetry":
    # It makes the start half as long again: only those wait for it who asked for it.
    from shared.azure_monitor import send_by_opentelemetry

    send_by_opentelemetry()
rooms.start()
kafka = KafkaRoom(queue=lambda: rooms.queue, delivery=lambda: rooms.delivery, clock=system_clock)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.function_name("ingest_push_events")
@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="%PUSH_QUEUE_NAME%",
    connection="ServiceBusConnection",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def ingest_push_events(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the runtime refuses list[…]
    """Take a batch of push messages into the store; an exception brings the batch back."""
    told = (message.application_properties for message in messages)
    with invocation("ingest_push_events", messages=told) as wide:
        await rooms.ingest([_incoming(message) for message in messages], wide)
        rooms.last_runs.note("ingest_push_events")


@app.function_name("push_webhook")
@app.route(route="emabler/push")
async def push_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Answer eMabler: its check, a tap, or an event that goes onto the queue."""
    with invocation("push_webhook") as wide:
        answer = await rooms.webhook.answer(
            method=req.method,
            authorization=req.headers.get("authorization", ""),
            body=req.get_body(),
            content_type=req.headers.get("content-type"),
            wide=wide,
        )
        if answer.worked:
            rooms.last_runs.note("push_webhook")
    return func.HttpResponse(
        answer.body,
        status_code=answer.status,
        headers=dict(answer.headers),
        mimetype="application/json",
    )


@app.function_name("reconcile")
@app.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%", run_on_startup=False)
async def reconcile(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger binds it
    """Refresh the inventory where it is due; walk finished sessions and repair the store."""
    with invocation("reconcile") as wide:
        await rooms.reconciliation.on_schedule(wide)
        rooms.last_runs.note("reconcile")


@app.function_name("retain")
@app.timer_trigger(
    arg_name="timer", schedule=rooms.settings["RETENTION_SCHEDULE"], run_on_startup=False
)
async def retain(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger binds it
    """Delete what is beyond its age, for eight minutes at most."""
    with invocation("retain") as wide:
        await rooms.retain(wide)
        rooms.last_runs.note("retain")


@app.function_name("back_up")
@app.timer_trigger(
    arg_name="timer", schedule=rooms.settings["BACKUP_SCHEDULE"], run_on_startup=False
)
async def back_up(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger binds it
    """Take a backup where one is due, for eight minutes at most, and delete old ones."""
    with invocation("back_up") as wide:
        await BackupRoom(rooms).on_schedule(wide)
        rooms.last_runs.note("back_up")


if rooms.taps.keeps_snapshot:

    @app.function_name("refresh_tag_snapshot")
    @app.timer_trigger(arg_name="timer", schedule="0 */10 * * * *", run_on_startup=False)
    async def refresh_tag_snapshot(timer: func.TimerRequest) -> None:  # noqa: ARG001 - bound
        """Write down which tags may charge while the store is away."""
        with invocation("refresh_tag_snapshot") as wide:
            await rooms.taps.refresh_snapshot(wide)
            rooms.last_runs.note("refresh_tag_snapshot")


@app.function_name("live")
@app.route(route="live", methods=["GET", "HEAD"])
async def live(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it
    """Say that a process answers, to anybody, and nothing else."""
    with invocation("live") as wide:
        return _told(rooms.status.live(), wide)


@app.function_name("status")
@app.route(route="status", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def status(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it
    """Tell a monitor that has a function key how it is."""
    with invocation("status") as wide:
        return _told(await rooms.status.status(), wide)


def _told(told: Told, wide: WideEvent) -> func.HttpResponse:
    wide.add(status=told.status)
    return func.HttpResponse(
        told.body,
        status_code=told.status,
        headers={"Cache-Control": "no-store"},
        mimetype="application/json",
    )


if binding := kafka_binding(rooms.settings):

    @app.function_name("push_kafka")
    @app.kafka_trigger(
        arg_name="events",
        topic=binding.topic,
        broker_list=binding.broker_list,
        consumer_group=binding.consumer_group,
        protocol=binding.protocol,
        authentication_mode=binding.authentication_mode or "NotSet",
        username=binding.username,
        password=binding.password,
        # Any bytes are a key: what cannot be read as another type would be skipped.
        key_data_type="Binary",
        cardinality=func.Cardinality.MANY,
        data_type=func.DataType.BINARY,
    )
    @app.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",
        minimum_interval=RETRY_FIRST,
        maximum_interval=RETRY_LONGEST,
    )
    async def push_kafka(events: typing.List[func.KafkaEvent]) -> None:  # noqa: UP006 - as above
        """Put a batch of push events onto the queue; until it took them, Kafka keeps the offset."""
        with invocation("push_kafka") as wide:
            await kafka.take([event.get_body() for event in events], wide)
            rooms.last_runs.note("push_kafka")


def _incoming(message: func.ServiceBusMessage) -> IncomingMessage:
    return IncomingMessage(
        body=message.get_body(),
        message_id=message.message_id,
        enqueued=as_utc(message.enqueued_time_utc),
        first_enqueued=first_enqueued(message.application_properties),
        delivery_count=message.delivery_count or 1,
        locked_until=as_utc(message.locked_until),
        # Not the subject: in a batch Azure leaves empty ones out, so it may be another message's.
        declared_type=declared_type(message.application_properties, rooms.type_properties),
        properties=message.application_properties or {},
    )
