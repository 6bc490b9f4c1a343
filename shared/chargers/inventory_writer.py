"""An inventory into the chargers table: each bucket read once, only what differs is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from shared.chargers.inventory import Listing, is_listed, mark_vanished, merge_listing
from shared.chargers.states import WHOLE_CHARGER
from shared.chargers.writer import Columns, Merge, write_merged
from shared.identifiers import bucket_of
from shared.storage import limits
from shared.storage.rows import Operation, Row, Tables
from shared.storage.tables import CHARGERS
from shared.storage.together import all_done

_MOST_VANISHING = 0.5
"""An inventory that lacks more than this share of the chargers it had is not believed."""


@dataclass(slots=True)
class InventoryWritten:
    """What came of an inventory: rows written, chargers that vanished, or would have."""

    rows: int = 0
    vanished: int = 0
    not_believed: int = 0

    def add(self, operations: Sequence[Operation], _etags: object) -> None:
        """Count what one transaction wrote."""
        self.rows += len(operations)


class InventoryWriter:
    """Writes inventories; safe to repeat, and beside the writer of events."""

    def __init__(self, tables: Tables, *, buckets: int) -> None:
        self._tables = tables
        self._buckets = buckets

    async def write(
        self,
        listings: Iterable[Listing],
        *,
        whole_as_of: str | None,
        not_whole: Collection[str] = (),
        believe: bool = False,
    ) -> InventoryWritten:
        """Bring the rows up to what an inventory says.

        `whole_as_of` is the instant before a whole inventory was asked for: what it does not have
        is marked as vanished, unless that is most of what was there, as when a key lost its
        rights; `believe` marks it all the same. None: the inventory may lack some, so nothing is
        marked. `not_whole` are chargers of whose sockets it may lack some.

        Raises:
            StoreUnavailableError: Some of it may be written; the same call makes it whole.
        """
        groups: dict[str, dict[str, Listing]] = defaultdict(dict)
        for listing in listings:
            group = groups[bucket_of(listing.charger, self._buckets)]
            before = group.get(listing.key)
            if before is None or before.observed < listing.observed:
                group[listing.key] = listing
        written = InventoryWritten()
        gone: list[tuple[str, Row]] = []
        listed_before = 0
        for bucket in map(str, range(self._buckets)):
            listed, missing = await self._write_bucket(bucket, groups[bucket], written)
            listed_before += listed
            gone += (
                (bucket, row)
                for row in missing
                if _is_charger(row) or row.columns["charger"] not in not_whole
            )
        if whole_as_of is not None:
            chargers = sum(_is_charger(row) for _, row in gone)
            if believe or chargers <= _MOST_VANISHING * listed_before:
                await self._mark(gone, whole_as_of, written)
                written.vanished = chargers
            else:
                written.not_believed = chargers
        return written

    async def _write_bucket(
        self, bucket: str, listings: dict[str, Listing], written: InventoryWritten
    ) -> tuple[int, list[Row]]:
        """Write one bucket; the chargers it had listed, and the listed rows that were not told."""
        listed = 0
        missing: list[Row] = []
        changed: dict[str, Row | None] = dict.fromkeys(listings)
        async for row in self._tables.range(CHARGERS, bucket):
            listed += is_listed(row.columns) and _is_charger(row)
            listing = listings.get(row.key)
            if listing is None:
                if is_listed(row.columns):
                    missing.append(row)
            elif merge_listing(row.columns, listing) is None:
                del changed[row.key]
            else:
                changed[row.key] = row
        merges: dict[str, Merge] = {key: partial(_merge, listings[key]) for key in changed}
        await self._write(bucket, merges, changed, written)
        return listed, missing

    async def _mark(
        self, gone: Sequence[tuple[str, Row]], as_of: str, written: InventoryWritten
    ) -> None:
        buckets: dict[str, dict[str, Row | None]] = defaultdict(dict)
        for bucket, row in gone:
            buckets[bucket][row.key] = row
        for bucket, known in buckets.items():
            merges: dict[str, Merge] = dict.fromkeys(known, partial(_vanish, as_of))
            await self._write(bucket, merges, known, written)

    async def _write(
        self,
        bucket: str,
        merges: dict[str, Merge],
        known: dict[str, Row | None],
        written: InventoryWritten,
    ) -> None:
        keys = list(merges)
        groups = (
            keys[n : n + limits.MAX_OPERATIONS] for n in range(0, len(keys), limits.MAX_OPERATIONS)
        )
        await all_done(
            write_merged(
                self._tables,
                bucket,
                {key: merges[key] for key in group},
                {key: known[key] for key in group},
                written.add,
            )
            for group in groups
        )


def _is_charger(row: Row) -> bool:
    return row.key.endswith(f"|{WHOLE_CHARGER}")


def _merge(listing: Listing, columns: Columns | None) -> Columns | None:
    return merge_listing(columns, listing)


def _vanish(as_of: str, columns: Columns | None) -> Columns | None:
    return mark_vanished(columns, as_of)
