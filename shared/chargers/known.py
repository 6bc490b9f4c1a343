"""Whether a charger is known and where it stands, from the rows that events and inventory left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.chargers.reading import read_chargers
from shared.chargers.states import WHOLE_CHARGER
from shared.storage.rows import Row, Tables

_SITE_COLUMNS = ("inventory_site", "boot_site", "state_site")
"""Where a site may stand: eMabler's inventory before what events say."""


@dataclass(frozen=True, slots=True)
class KnownCharger:
    """A charger: whether any row is about it, and its sites, its own before what it lies within."""

    known: bool
    sites: tuple[str, ...] = ()


async def read_charger(tables: Tables, charger: str, *, buckets: int) -> KnownCharger:
    """Read what is known of a charger, in one range.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    rows = read_chargers(tables, charger=charger, buckets=buckets)
    return fold_charger([row async for row in rows])


def fold_charger(rows: Iterable[Row]) -> KnownCharger:
    """Fold the rows of one charger: its own before its sockets'."""
    ordered = sorted(rows, key=lambda row: (not row.key.endswith(f"|{WHOLE_CHARGER}"), row.key))
    sites = (str(row.columns.get(name, "")) for name in _SITE_COLUMNS for row in ordered)
    return KnownCharger(bool(ordered), tuple(dict.fromkeys(filter(None, sites)))[:1])
