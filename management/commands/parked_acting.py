"""`parked replay` and `parked discard`: parked messages back onto the queue, or put away."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from management.acting import confirmed, name_argument, sure_arguments, text_argument, whose
from management.commands.parked import digest_argument, filter_arguments, filter_of
from management.context import Command, Context, limit_argument
from management.usage import WRONG_USAGE
from management.words import counted
from shared.instants import system_clock
from shared.parked.reading import ParkedMessage, read_parked
from shared.parked.records import ParkedState, state_of
from shared.parked.replaying import Hand, Outcome, discard, may_be_replayed, replay

_WELL = (Outcome.REPLAYED, Outcome.DISCARDED)
_WHY = {
    Outcome.CHANGED: "changed meanwhile; run the command again",
    Outcome.NO_BODY: "without bytes: the body was deleted",
    Outcome.TOO_LARGE: "larger than the queue takes",
}


def _choosing_arguments(parser: argparse.ArgumentParser) -> None:
    filter_arguments(parser)
    parser.add_argument(
        "--digest",
        dest="digests",
        action="append",
        type=digest_argument,
        metavar="DIGEST",
        help="this message only, by its digest or the first 6 characters; may be repeated",
    )
    limit_argument(parser)
    sure_arguments(parser)
    name_argument(parser)


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    _choosing_arguments(parser)
    parser.add_argument(
        "--again", action="store_true", help="also those that were replayed already; does no harm"
    )


def _discard_arguments(parser: argparse.ArgumentParser) -> None:
    _choosing_arguments(parser)
    parser.add_argument(
        "--because",
        type=text_argument,
        required=True,
        metavar="TEXT",
        help="why, for the trace",
    )
    parser.add_argument(
        "--delete-body", action="store_true", help="delete the bytes too; they cannot come back"
    )


async def _replay(context: Context) -> int:
    rooms, again = context.rooms, context.options.again

    async def one(message: ParkedMessage, hand: Hand) -> Outcome:
        return await replay(rooms.tables, rooms.queue, message, hand)

    def may(message: ParkedMessage) -> bool:
        return may_be_replayed(message.row, again=again)

    return await _act(context, "replayed", may, one)


async def _discard(context: Context) -> int:
    rooms, options = context.rooms, context.options

    async def one(message: ParkedMessage, hand: Hand) -> Outcome:
        return await discard(
            rooms.tables,
            rooms.blobs,
            message,
            hand,
            because=options.because,
            delete_body=options.delete_body,
        )

    def may(message: ParkedMessage) -> bool:
        return state_of(message.row) is not ParkedState.DISCARDED or (
            options.delete_body and message.body is not None
        )

    return await _act(context, "discarded", may, one)


async def _act(
    context: Context,
    done: str,
    may: Callable[[ParkedMessage], bool],
    one: Callable[[ParkedMessage, Hand], Awaitable[Outcome]],
) -> int:
    """Count what is chosen, ask, and do it one by one: what is done stays done."""
    output, options = context.output, context.options
    reasons: Counter[str] = Counter()
    async for message in _chosen(context, may):
        reasons[str(message.row.columns["reason"])] += 1
    total = reasons.total()
    parts = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))
    what = f"{counted(total, 'messages')} would be {done}" + (f" ({parts})" if parts else "")
    if options.dry_run or not total:
        output.say(what)
        return 0
    if not confirmed(context, what, total):
        return WRONG_USAGE
    await context.rooms.stamp.check()
    hand = Hand(whose(options), system_clock)
    outcomes: Counter[Outcome] = Counter()
    output.columns({"digest": 64, "outcome": 10})
    with output.progress(done, total) as progress:
        async for message in _chosen(context, may):
            outcome = await one(message, hand)
            outcomes[outcome] += 1
            progress.advance(progress.task_ids[0])
            if outcome not in _WELL or output.as_json:
                output.row({"digest": message.row.key, "outcome": str(outcome)})
    well = sum(outcomes[each] for each in _WELL)
    output.say(f"{counted(well, 'messages')} {done}")
    for outcome, why in _WHY.items():
        if outcomes[outcome]:
            output.error(str(outcome), f"{counted(outcomes[outcome], 'messages')} {why}")
    return 0 if all(outcome in _WELL for outcome in outcomes) else 1


async def _chosen(
    context: Context, may: Callable[[ParkedMessage], bool]
) -> AsyncIterator[ParkedMessage]:
    options, rooms = context.options, context.rooms
    wanted = filter_of(options, digests=options.digests)
    number = 0
    async for message in read_parked(rooms.tables, rooms.blobs, wanted):
        if options.limit is not None and number >= options.limit:
            return
        if may(message):
            number += 1
            yield message


REPLAY = Command(
    "parked replay",
    "send parked messages to the queue again, as they were; twice does no harm",
    _replay_arguments,
    _replay,
)
DISCARD = Command(
    "parked discard", "mark parked messages as needed by nobody", _discard_arguments, _discard
)
