"""What a backup takes along, in which order, and what it leaves out.

The order is what a backup that is taken beside ingestion promises (docs/decisions/0029): what is
derived stands before what it is derived from, so that each thing told by a copied row was there
when its sources were copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.last_runs import RAN
from shared.storage.containers import BACKUPS, BODIES, SNAPSHOTS
from shared.storage.roster_mark import ROSTER
from shared.storage.tables import (
    ALL_TABLES,
    AUTHORIZATIONS,
    CHARGERS,
    EVENTS,
    PARKED,
    SESSIONS,
    STORE,
    TAG_GROUPS,
    TAG_ROSTER,
    TAGS,
    UNKNOWN_TAGS,
)

_ORDER = (
    # An erasure deletes the tag's partition last: a backup that holds anything of the person from
    # before then holds this, too, and a restore finds the rest by it.
    TAGS,
    TAG_GROUPS,
    CHARGERS,
    UNKNOWN_TAGS,
    AUTHORIZATIONS,
    # A window is proven after its sessions were written: no proof without what it proves.
    "reconciliation",
    # Within a session the summary's key comes first, then the claims; rows that find it before.
    SESSIONS,
    PARKED,
    # A claim can be made again from its event, not the other way round.
    EVENTS,
    # An erasure marks a day of the journal before it rewrites the day's rows.
    STORE,
)

TABLES = tuple(name for name in _ORDER if name in ALL_TABLES)
"""The tables of record, in the order in which they are copied."""

CONTAINERS = (BODIES,)
"""The containers of record, after the tables: a blob was written before the row that names it."""

LEFT_OUT: Mapping[str, str] = {
    TAG_ROSTER: "made anew from the tags by the first who walks them",
    SNAPSHOTS: "made anew from the tags by the workers that keep them",
    BACKUPS: "holds the backups themselves",
}
"""What no backup takes along, and why."""

OWN_PARTITION = "backup"
"""The partition of the table `store` that tells how far a backup is: no backup holds it."""


NOT_THE_STORES = frozenset((OWN_PARTITION, RAN, ROSTER))
"""Partitions of the table `store` that are neither copied nor compared.

They tell what was done to the store, and whether what is derived is whole.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A table or a container that is copied."""

    name: str
    is_table: bool


SOURCES = (
    *(Source(name, is_table=True) for name in TABLES),
    *(Source(name, is_table=False) for name in CONTAINERS),
)
