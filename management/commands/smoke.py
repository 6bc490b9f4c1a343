"""`smoke`: a marked session and tap through the deployed app, followed and taken out again."""

from __future__ import annotations

import argparse
import secrets
from time import monotonic

from management.context import Command, Context, url_argument
from management.smoke.marked import Marked, marked, new_mark
from management.smoke.sender import sender_connection
from management.smoke.steps import Smoke, Step, StepFailedError
from management.smoke.traces import Traces
from management.usage import WRONG_USAGE
from management.words import counted
from shared.errors import EmablerFunctionsError
from shared.instants import system_clock
from shared.messaging.connect import connect_service_bus, modules_of
from shared.messaging.queue import ServiceBusQueue
from shared.settings import read_settings

PUSH_URL = "EMABLER_PUSH_URL"
_WIDTHS = {"step": 10, "well": 5, "seconds": 8, "detail": 0}
_TRIES = 5


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=url_argument,
        metavar="URL",
        help="where eMabler calls the app (with --env azd: the deployment's own; else the "
        f"environment variable {PUSH_URL})",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=120.0,
        metavar="S",
        help="how long to wait for each thing that has to appear (120): the first message may wake "
        "an instance",
    )
    parser.add_argument(
        "--clean",
        type=_marked,
        metavar="MARK",
        help="only take out what an earlier run put in, by the mark that it told",
    )


def _seconds(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= 3600:  # noqa: PLR2004 - an hour
        message = f"{text!r} is no number of seconds from 1 to 3600"
        raise argparse.ArgumentTypeError(message)
    return float(text)


def _marked(text: str) -> Marked:
    try:
        return marked(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def _smoke(context: Context) -> int:
    output, rooms, options = context.output, context.rooms, context.options
    rooms.settings.require_set("TAG_HASH_KEY", "TAG_HASH_KEY_PREVIOUS")
    run = options.clean or marked(new_mark(system_clock(), secrets.token_hex(2)))
    traces = Traces(
        rooms.tables,
        run,
        buckets=rooms.settings["STORE_BUCKETS"],
        hash_keys=rooms.tag_hash_keys,
    )
    output.columns(_WIDTHS)
    if options.clean:
        return 0 if await _do(context, _taking_out(traces, run)) else 1
    url = options.url or context.environ.get(PUSH_URL)
    if not url:
        output.error(
            "url_missing",
            f"where eMabler calls the app is not known. What to do: --env azd, --url, or set "
            f"{PUSH_URL}. Example: --url http://localhost:7071/api/emabler/push",
        )
        return WRONG_USAGE
    rooms.settings.require_set("WEBHOOK_AUTHORIZATION", "PUSH_QUEUE_NAME", "ServiceBusConnection")
    queue, sender = _queue(context)
    smoke = Smoke(
        rooms=rooms,
        marked=run,
        traces=traces,
        queue=queue,
        sender=sender,
        url=url,
        seconds=options.seconds,
    )
    output.say(f"the mark of this run is {run.mark}; its charger is {run.charger}")
    try:
        for step in smoke.steps():
            well = await _do(context, step)
            if not well:
                break
    finally:
        await queue.close()
        clean = await _do(context, _taking_out(traces, run))
    if not well:
        output.error(
            "smoke_failed",
            "the steps after it were not tried. What was sent may still arrive. What to do: mend "
            f"it, then take out what came late: python manage.py smoke --clean {run.mark}",
        )
    elif clean:
        output.say("all is well, and nothing of it is left")
    return 0 if well and clean else 1


def _queue(context: Context) -> tuple[ServiceBusQueue, str]:
    """The queue with eMabler's own key where there is one, and whose key it is."""
    settings, whose = context.rooms.settings, "your own rights"
    connection = sender_connection(context.environ)
    if connection:
        names = {"ServiceBusConnection": connection}
        settings, whose = read_settings({**context.environ, **names}), "eMabler's own key"
    name = settings["PUSH_QUEUE_NAME"]
    queue = ServiceBusQueue(name, lambda: connect_service_bus(settings), modules_of(settings))
    return queue, whose


def _taking_out(traces: Traces, run: Marked) -> Step:
    async def take_out() -> str:
        deleted = await traces.take_out()
        # The audit of a tap is written beside its answer, and ingestion may be at a repeat.
        for _ in range(_TRIES):
            if not (left := await traces.all()):
                break
            deleted += await traces.take_out()
        else:
            message = f"rows of {', '.join(left)} come again and again"
            raise StepFailedError(message)
        parts = ", ".join(f"{table} {number}" for table, number in sorted(deleted.items()))
        return counted(deleted.total(), "rows") + (f" ({parts})" if parts else "")

    return Step("taken out", take_out, f"python manage.py smoke --clean {run.mark}")


async def _do(context: Context, step: Step) -> bool:
    """Do a step and print what it saw; whether it went well."""
    began = monotonic()
    try:
        well, detail = True, await step.run()
    except StepFailedError as error:
        well, detail = False, f"{error}. What to do: {step.advice}"
    except EmablerFunctionsError as error:
        well, detail = False, f"{error.code}: {error}. What to do: {step.advice}"
    seconds = round(monotonic() - began, 1)
    context.output.row({"step": step.name, "well": well, "seconds": seconds, "detail": detail})
    return well


COMMAND = Command(
    "smoke",
    "send a marked session and tap through the deployed app, follow them, take them out",
    _arguments,
    _smoke,
)
