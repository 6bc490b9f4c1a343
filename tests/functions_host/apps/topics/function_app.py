"""A Kafka function that tells what it got, and fails as long as a file says so."""

import json
import logging
import os
import pathlib
import typing

import azure.functions as func

app = func.FunctionApp()
log = logging.getLogger("topics")
gate = pathlib.Path(os.environ["GATE"])


@app.function_name("topic")
@app.kafka_trigger(
    arg_name="events",
    topic="%Topic%",
    broker_list="%Brokers%",
    consumer_group="app",
    protocol=os.environ["PROTOCOL"],
    authentication_mode="PLAIN",
    username="%User%",
    password="%Password%",
    key_data_type="Binary",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:00")
def topic(events: typing.List[func.KafkaEvent], context: func.Context) -> None:  # noqa: UP006 - the runtime refuses list[…]
    retry = context.retry_context.retry_count if context.retry_context else 0
    if (gate / "fails").exists():
        log.info("failing, retry %d", retry)
        raise ValueError("on purpose")
    for event in events:
        told = {
            "body": event.get_body().hex(),
            "key": event.key,
            "partition": event.partition,
            "offset": event.offset,
            "topic": event.topic,
            "headers": event.headers,
            "timestamp": event.timestamp,
        }
        log.info("got %s", json.dumps(told))
