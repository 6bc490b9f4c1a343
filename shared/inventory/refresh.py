"""Walk eMabler's chargers and bring the table up to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.chargers.inventory import Listing, listings_of
from shared.chargers.inventory_writer import InventoryWriter
from shared.chargers.loaded import InventoryLoaded, note_inventory_loaded, read_inventory_loaded
from shared.emabler.client import EmablerClient
from shared.emabler.models.inventory import read_charger
from shared.identifiers import MAX_ID_CHARACTERS
from shared.instants import format_instant, is_due
from shared.storage.rows import Tables

MOST_WALKS = 3
"""A walk during which chargers are added or removed may miss some: it is walked again."""

type Progress = Callable[[int, int | None], None]
"""Told the rows of each page, and the total as the answer names it."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of a refresh.

    `unreadable` counts chargers without a usable id: any that is not named may be one of them.
    `numberless` counts sockets without a number, which are left out. `complete` False: no walk
    agreed with its own totals, or a charger was unreadable, so that nothing was marked as vanished.
    `not_believed` counts chargers that would have been marked, were they not most of all.
    """

    listed: int
    unreadable: int
    numberless: int
    rows_written: int
    vanished: int
    not_believed: int
    complete: bool

    def told(self) -> dict[str, int]:
        """The counts for the wide event."""
        counts = {
            "listed": self.listed,
            "unreadable": self.unreadable,
            "numberless": self.numberless,
            "rows_written": self.rows_written,
            "vanished": self.vanished,
            "not_believed": self.not_believed,
            "incomplete": int(not self.complete),
        }
        return {name: count for name, count in counts.items() if count or name == "listed"}


@dataclass(slots=True)
class _Walked:
    """One walk: what it tells, the chargers it names, and when its first page was asked for.

    `numberless` counts by charger the sockets without a number.
    """

    listings: list[Listing]
    chargers: set[str]
    unreadable: int = 0
    numberless: Counter[str] = field(default_factory=Counter)
    as_of: datetime | None = None
    agrees: bool = False


class Inventory:
    """Refreshes the chargers table from REST."""

    def __init__(self, client: EmablerClient, tables: Tables, *, buckets: int) -> None:
        self._client = client
        self._tables = tables
        self._writer = InventoryWriter(tables, buckets=buckets)

    async def is_due(self, every: timedelta, now: datetime) -> bool:
        """Whether the last whole inventory is as old as `every`; never, where that is zero.

        Raises:
            StoreUnavailableError: The store cannot tell now.
        """
        if not every:
            return False
        loaded = await read_inventory_loaded(self._tables)
        return loaded is None or is_due(loaded.as_of, every, now)

    async def refresh(
        self, progress: Progress | None = None, *, believe: bool = False
    ) -> Refreshed:
        """Walk the inventory, again where it moved meanwhile, and write what differs.

        `believe`: chargers that are not in it have vanished, though they were most of all.

        Raises:
            TransientError: REST or the store is away; what was written stays.
            RestRefusedError: The key or a permission is wrong.
        """
        for _ in range(MOST_WALKS):
            walked = await self._walk(progress)
            if walked.agrees:
                break
        # A row that cannot be read may be any charger: none is missing for certain then.
        complete = walked.agrees and not walked.unreadable
        as_of = walked.as_of if complete and walked.chargers else None
        written = await self._writer.write(
            walked.listings,
            whole_as_of=format_instant(as_of) if as_of else None,
            # A socket without a number may be any of its charger's.
            not_whole=walked.numberless,
            believe=believe,
        )
        if as_of is not None:
            await note_inventory_loaded(self._tables, InventoryLoaded(as_of, len(walked.chargers)))
        return Refreshed(
            listed=len(walked.chargers),
            unreadable=walked.unreadable,
            numberless=walked.numberless.total(),
            rows_written=written.rows,
            vanished=written.vanished,
            not_believed=written.not_believed,
            complete=complete,
        )

    async def _walk(self, progress: Progress | None) -> _Walked:
        walked = _Walked([], set())
        walk = self._client.chargers()
        async for page in walk:
            walked.as_of = walked.as_of or page.asked
            walked.unreadable += page.unreadable
            for item in page.items:
                charger = read_charger(item, self._client.drift)
                if charger is None or len(charger.charger) > MAX_ID_CHARACTERS:
                    walked.unreadable += 1
                    continue
                walked.chargers.add(charger.charger)
                walked.listings += listings_of(charger, page.asked)
                if charger.unreadable_sockets:
                    walked.numberless[charger.charger] = charger.unreadable_sockets
            if progress is not None:
                progress(page.rows, page.total)
        # So many rows may still be one twice and another one never.
        walked.agrees = walk.agrees and len(walked.chargers) + walked.unreadable == walk.rows
        return walked
