"""`parked list`, `show`, `collect`: what was put aside, and the queue's dead letters."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from management.words import counted
from shared.ingestion.messages import declared_type
from shared.instants import system_clock
from shared.parked.collecting import collect, count
from shared.parked.guess import TYPES
from shared.parked.reading import ParkedFilter, ParkedMessage, read_parked
from shared.parked.records import REASONS, ParkedState, number_of, properties_of, state_of, trace_of

_WIDTHS = {
    "parked_at": 27,
    "digest": 12,
    "state": 9,
    "reason": 20,
    "type": 23,
    "charger": 20,
    "bytes": 8,
    "detail": 0,
}
_SHORTEST_DIGEST = 6


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments by which parked messages are chosen."""
    parser.add_argument(
        "--reason",
        choices=REASONS,
        metavar="CODE",
        help=f"those of this reason only: {', '.join(REASONS)}",
    )
    parser.add_argument(
        "--type", choices=TYPES, help="those that look like this type, as far as they can be read"
    )
    parser.add_argument(
        "--charger", metavar="ID", help="those that name this charger, as far as they can be read"
    )
    time_arguments(parser)


def digest_argument(text: str) -> str:
    """The beginning of a digest, long enough to mean one message."""
    if len(text) < _SHORTEST_DIGEST or set(text) - set("0123456789abcdef"):
        message = f"{text!r} is no beginning of a digest. Example: 3f9ac2 (parked list shows them)"
        raise argparse.ArgumentTypeError(message)
    return text


def filter_of(options: argparse.Namespace, **more: Any) -> ParkedFilter:  # noqa: ANN401 - its fields
    """The filter that the arguments ask for."""
    return ParkedFilter(
        reason=options.reason,
        type=options.type,
        charger=options.charger,
        start=options.start,
        end=options.end,
        **more,
    )


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    filter_arguments(parser)
    parser.add_argument(
        "--state", choices=[str(state) for state in ParkedState], help="those in this state only"
    )
    limit_argument(parser)


async def _list(context: Context) -> int:
    options, rooms = context.options, context.rooms
    states = None if options.state is None else [ParkedState(options.state)]
    messages = read_parked(rooms.tables, rooms.blobs, filter_of(options, states=states))
    wanted = (_fields(message, whole=context.output.as_json) async for message in messages)
    return await print_rows(context, _WIDTHS, wanted, "parked messages")


def _fields(message: ParkedMessage, *, whole: bool) -> dict[str, Any]:
    columns = message.row.columns
    return {
        "digest": message.row.key,
        "state": str(state_of(message.row)),
        "reason": columns["reason"],
        "detail": columns["detail"],
        "type": message.guess.type,
        "charger": message.guess.charger,
        "parked_at": columns["parked_at"],
        "times_parked": max(number_of(message.row, "times_parked"), 1),
        "replays": number_of(message.row, "replays"),
        "enqueued": columns.get("enqueued"),
        "message_id": columns.get("message_id"),
        "delivery_count": columns["delivery_count"],
        "bytes": columns["bytes"],
        "body": (message.body or b"").decode("utf-8", "replace") if whole else None,
    }


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "digest", type=digest_argument, help="the message's digest, or its first 6 characters"
    )


async def _show(context: Context) -> int:
    rooms, output = context.rooms, context.output
    wanted = ParkedFilter(digests=[context.options.digest])
    found = [message async for message in read_parked(rooms.tables, rooms.blobs, wanted)]
    if not found:
        output.error(
            "not_found",
            f"no parked message begins with {context.options.digest}. What to do: parked list",
        )
        return 1
    for message in found:
        fields = _fields(message, whole=True) | {
            name: message.row.columns.get(name)
            for name in ("replayed_at", "replayed_by", "discarded_by", "discarded_because")
        }
        fields |= {"properties": properties_of(message.row), "trace": trace_of(message.row)}
        if output.as_json:
            output.row(fields)
        else:
            _tell(context, fields)
    return 0


def _tell(context: Context, fields: Mapping[str, Any]) -> None:
    output = context.output
    output.columns({"field": 20, "value": 0})
    for name, value in fields.items():
        if isinstance(value, list):
            for entry in value:
                output.row({"field": name, "value": " ".join(map(str, entry.values()))})
        elif value not in (None, {}):
            output.row({"field": name, "value": value})


def _collect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="count them, move nothing")
    limit_argument(parser)


async def _collect(context: Context) -> int:
    rooms, output, options = context.rooms, context.output, context.options
    async with rooms.dead_letters() as letters:
        if options.dry_run:
            done = await count(letters, options.limit)
        else:
            await rooms.stamp.check()
            with output.progress("dead letters", options.limit) as progress:
                done = await collect(
                    rooms.tables,
                    rooms.blobs,
                    letters,
                    clock=system_clock,
                    declared_type=lambda told: declared_type(told, rooms.type_properties),
                    most=options.limit,
                    told=lambda more: progress.advance(progress.task_ids[0], more),
                )
    output.columns({"dead_letter_reason": 40, "messages": 8})
    for reason, messages in done.most_common():
        output.row({"dead_letter_reason": reason, "messages": messages})
    output.say(
        f"{counted(done.total(), 'dead letters')} " + ("found" if options.dry_run else "moved")
    )
    return 0


LIST = Command("parked list", "list messages that were put aside", _list_arguments, _list)
SHOW = Command(
    "parked show",
    "show one parked message: why, its bytes, and what was done with it",
    _show_arguments,
    _show,
)
COLLECT = Command(
    "parked collect",
    "move the queue's dead letters into the parked messages; harmless to repeat",
    _collect_arguments,
    _collect,
)
