"""Microsoft's quickstarts in one app: HTTP, timer, Service Bus queue, single and in batches."""

# ruff: noqa: LOG015 - written as the documentation writes it

import logging
import typing

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="HttpExample")
def http_example(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("Python HTTP trigger function processed a request.")
    name = req.params.get("name")
    if not name:
        try:
            req_body = req.get_json()
        except ValueError:
            pass
        else:
            name = req_body.get("name")
    if name:
        return func.HttpResponse(f"Hello, {name}. This HTTP triggered function executed.")
    return func.HttpResponse("Pass a name in the query string or in the body.", status_code=200)


@app.timer_trigger(
    schedule="0 */5 * * * *", arg_name="myTimer", run_on_startup=False, use_monitor=False
)
def timer_example(myTimer: func.TimerRequest) -> None:  # noqa: N803 - the documentation's name
    if myTimer.past_due:
        logging.info("The timer is past due!")
    logging.info("Python timer trigger function executed.")


@app.service_bus_queue_trigger(
    arg_name="azservicebus", queue_name="%SingleQueue%", connection="ServiceBusConnection"
)
def single_example(azservicebus: func.ServiceBusMessage) -> None:
    logging.info("single processed a message: %s", azservicebus.get_body().decode("utf-8"))


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="%BatchQueue%",
    connection="ServiceBusConnection",
    cardinality=func.Cardinality.MANY,
)
def batch_example(messages: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - the runtime refuses list[…]
    logging.info("batch of %d: %s", len(messages), [m.get_body().decode() for m in messages])
