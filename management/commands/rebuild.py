"""`rebuild`: sessions from their claims, and claims from the days that the journal still holds."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from management.context import Command, Context, time_arguments
from management.words import counted
from shared.errors import RejectedMessageError
from shared.identifiers import bucket_of, key_part
from shared.ingestion.reading import EventFilter, read_events
from shared.instants import system_clock
from shared.push.decode import decode
from shared.push.digest import digest_of
from shared.push.events import TransactionStart, TransactionStop
from shared.sessions.claims import Claim, claim_of
from shared.sessions.rebuilding import Difference, Rebuilding, session_of
from shared.storage.blobs import Blobs
from shared.storage.bodies import body_or_none
from shared.storage.rows import Row, Tables
from shared.storage.tables import EVENTS, SESSIONS
from shared.storage.together import all_done

_TYPES = ("ChargingTransaction", "FullChargingTransaction")
_AT_ONCE = 200
_GONE = "blob_missing"
_WHOLE = argparse.Namespace(charger=None, start=None, end=None, sessions_only=False)
_WIDTHS = {"what": 18, "table": 8, "partition": 12, "key": 0}


@dataclass(frozen=True, slots=True)
class _Store:
    """What is rebuilt: a store, and the arguments that choose a part of it."""

    tables: Tables
    blobs: Blobs
    buckets: int
    options: argparse.Namespace


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--charger", metavar="ID", help="sessions of this charger only")
    time_arguments(parser)
    parser.add_argument(
        "--sessions-only",
        action="store_true",
        help="take the claims as they are; do not compare them with the journal",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what differs, write nothing; exit 1 if it does"
    )


async def _rebuild(context: Context) -> int:
    rooms, output, options = context.rooms, context.output, context.options
    rooms.settings.require_set("TAG_HASH_KEY")
    await rooms.stamp.check()
    rebuilding = Rebuilding(
        rooms.tables,
        tag_hash_key=rooms.tag_hash_key,
        plausible=rooms.plausible,
        dry_run=options.dry_run,
    )
    output.columns(_WIDTHS)
    kinds: Counter[str] = Counter()
    with output.progress("events and sessions", None) as progress:
        store = _Store(rooms.tables, rooms.blobs, rooms.settings["STORE_BUCKETS"], options)
        async for number, differences in _all(store, rebuilding):
            progress.advance(progress.task_ids[0], number)
            for each in differences:
                kinds[each.what] += 1
                output.row(
                    {
                        "what": each.what,
                        "table": each.table,
                        "partition": each.partition,
                        "key": each.key,
                    }
                )
    gone = kinds.pop(_GONE, 0)
    parts = ", ".join(f"{what} {number}" for what, number in sorted(kinds.items()))
    told = f"{counted(kinds.total(), 'differences')} found"
    output.say(f"{told} ({parts})" if parts else "the store is as its claims and its journal say")
    say_gone(context, gone)
    wrong = kinds.total() if options.dry_run else kinds["unreadable"]
    return 1 if wrong else 0


def say_gone(context: Context, gone: int) -> None:
    """Say of how many events the message is gone."""
    if gone:
        context.output.say(
            f"of {counted(gone, 'events')} the message is gone with its blob: what the store holds "
            "of them stays as it is"
        )


async def mend_all(context: Context, tables: Tables, blobs: Blobs) -> tuple[int, int]:
    """Rebuild all of a store that may be another than the settings' own.

    Returns:
        How many rows differed, and of how many events the message is gone.
    """
    rooms = context.rooms
    store = _Store(tables, blobs, rooms.settings["STORE_BUCKETS"], _WHOLE)
    rebuilding = Rebuilding(
        tables, tag_hash_key=rooms.tag_hash_key, plausible=rooms.plausible, dry_run=False
    )
    kinds: Counter[bool] = Counter()
    with context.output.progress("events and sessions", None) as progress:
        async for number, differences in _all(store, rebuilding):
            progress.advance(progress.task_ids[0], number)
            kinds.update(each.what == _GONE for each in differences)
    return kinds[False], kinds[True]


async def _all(
    store: _Store, rebuilding: Rebuilding
) -> AsyncIterator[tuple[int, Iterable[Difference]]]:
    options, buckets = store.options, store.buckets
    if not options.sessions_only:
        async for found in _from_journal(store, rebuilding):
            yield found
    names, start, end = [str(number) for number in range(buckets)], "", None
    if options.charger is not None:
        part = key_part(options.charger)
        names, start, end = [bucket_of(options.charger, buckets)], f"{part}|", f"{part}|~"
    for bucket in names:
        batch: list[list[Row]] = []
        async for rows in rebuilding.sessions(bucket, start, end):
            batch.append(rows)
            if len(batch) == _AT_ONCE:
                yield len(batch), await _compare(rebuilding, bucket, batch)
                batch = []
        yield len(batch), await _compare(rebuilding, bucket, batch)
        if options.charger is None:
            async for difference in rebuilding.superfluous(bucket):
                yield 1, [difference]


async def _compare(
    rebuilding: Rebuilding, bucket: str, batch: Iterable[list[Row]]
) -> list[Difference]:
    found = await all_done(rebuilding.compare(bucket, session_of(rows[0]), rows) for rows in batch)
    return [difference for differences in found for difference in differences]


async def _from_journal(
    store: _Store, rebuilding: Rebuilding
) -> AsyncIterator[tuple[int, Iterable[Difference]]]:
    options, buckets = store.options, store.buckets
    for type_name in _TYPES:
        wanted = EventFilter(options.charger, type_name, None, options.start, options.end)
        batch: list[Row] = []
        async for row in read_events(store.tables, wanted, buckets=buckets, now=system_clock()):
            batch.append(row)
            if len(batch) == _AT_ONCE:
                yield len(batch), await _compare_told(store, rebuilding, batch)
                batch = []
        yield len(batch), await _compare_told(store, rebuilding, batch)


async def _compare_told(
    store: _Store, rebuilding: Rebuilding, events: Iterable[Row]
) -> list[Difference]:
    """Compare sessions with the claims that a batch of events makes.

    An event whose message is gone with its blob makes none: it is told, as `blob_missing`.
    """
    gone: list[Difference] = []
    sessions: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for row in events:
        body = await body_or_none(store.blobs, row.columns)
        if body is None:
            gone.append(Difference(EVENTS, row.partition, row.key, _GONE))
        elif (claim := _claim(row, body)) is not None:
            bucket = bucket_of(claim.charger, store.buckets)
            sessions[bucket, claim.session].append(claim)

    async def one(bucket: str, session: str, claims: list[Claim]) -> list[Difference]:
        stored = store.tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~")
        return await rebuilding.compare(bucket, session, [row async for row in stored], claims)

    found = [gone, *await all_done(one(*name, claims) for name, claims in sessions.items())]
    return [difference for differences in found for difference in differences]


def _claim(row: Row, body: bytes) -> Claim | None:
    """The claim that an event of the journal makes; None where its body was erased or altered."""
    try:
        event = decode(body)
    except RejectedMessageError:
        return None
    if not isinstance(event, TransactionStart | TransactionStop):
        return None
    digest = digest_of(event)
    return claim_of(event, digest) if digest == row.columns["digest"] else None


COMMAND = Command(
    "rebuild",
    "mend sessions that are not as their claims and the journal say",
    _arguments,
    _rebuild,
)
