"""Tags that were tapped and are not known: an inbox of them, and chargers that try many."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from shared.authorization.audit import Entry
from shared.authorization.taps import Cause
from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import normalise_tag
from shared.instants import format_instant
from shared.storage.rows import SCHEMA, Insert, Replace, Row, Tables, Value
from shared.storage.tables import UNKNOWN_TAGS
from shared.storage.together import all_done

MANY_UNKNOWN_TAGS = "many_unknown_tags"
MANY = 10
WITHIN = timedelta(hours=1)

_MAX_ROUNDS = 20
_MOST_CHARGERS = 10_000


def unknown_key(hashed: str) -> tuple[str, str]:
    """The partition and the row key of a tag in the inbox."""
    return hashed[:2], hashed


def merge(present: Mapping[str, Value] | None, entries: Iterable[Entry]) -> dict[str, Value]:
    """The inbox row's columns after more taps of its tag."""
    columns: dict[str, Value] = dict(present or {"schema": SCHEMA, "count": 0})
    for entry in entries:
        at = format_instant(entry.at)
        columns["count"] = int(columns["count"]) + 1
        columns["first"] = min(at, str(columns.get("first", at)))
        if at >= str(columns.get("last", "")):
            columns["last"] = at
            columns["charger"] = entry.charger
            columns["tag"] = normalise_tag(entry.tag)
            columns["spelling"] = entry.tag
    return columns


class UnknownTags:
    """The inbox: a row for each unknown tag, with how often, when and where it was tapped.

    Counts say "at least": a write whose answer was lost is counted twice at most.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def take(
        self, entries: Sequence[Entry], noted: Callable[[Entry], None] = lambda _entry: None
    ) -> None:
        """Note the taps of unknown tags among these entries; `noted` is told of each that is.

        Raises:
            StoreUnavailableError: Some may be noted, the others are not.
        """
        tags: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.decision.cause is Cause.UNKNOWN_TAG:
                tags[entry.hashed].append(entry)
        await all_done(self._note(hashed, told, noted) for hashed, told in tags.items())

    async def _note(
        self, hashed: str, entries: Sequence[Entry], noted: Callable[[Entry], None]
    ) -> None:
        partition, key = unknown_key(hashed)
        for _ in range(_MAX_ROUNDS):
            row = await self._tables.get(UNKNOWN_TAGS, partition, key)
            columns = merge(row.columns if row else None, entries)
            try:
                await self._tables.write(
                    UNKNOWN_TAGS,
                    [
                        Replace(Row(partition, key, columns, row.etag))
                        if row
                        else Insert(Row(partition, key, columns))
                    ],
                )
            except RowConflictError:
                continue
            for entry in entries:
                noted(entry)
            return
        raise StoreUnavailableError("an unknown tag kept changing", code="store_contended")


class Guessing:
    """Watches for chargers that try many different unknown tags: somebody may be guessing.

    It counts within one worker and hour; the tags themselves are forgotten after it.
    """

    def __init__(self) -> None:
        self._tried: OrderedDict[str, dict[str, datetime]] = OrderedDict()

    def tries_many(self, entry: Entry) -> bool:
        """Note a tap of an unknown tag; whether its charger tried ten or more within the hour."""
        tried = self._tried.setdefault(entry.charger, {})
        self._tried.move_to_end(entry.charger)
        if len(self._tried) > _MOST_CHARGERS:
            self._tried.popitem(last=False)
        tried.pop(entry.hashed, None)
        tried[entry.hashed] = entry.at
        oldest = next(iter(tried))
        while len(tried) > MANY or entry.at - tried[oldest] > WITHIN:
            del tried[oldest]
            oldest = next(iter(tried))
        return len(tried) >= MANY
