"""What a marked run left in the store: found by its keys alone, and taken out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256

from management.smoke.marked import Marked
from shared.identifiers import bucket_of, hash_tag, key_part
from shared.push.events import TYPE_NAMES
from shared.sessions.claims import claim_from_row
from shared.sessions.indexes import OPEN_ROWS, index_rows
from shared.sessions.summary import fold, is_summary
from shared.storage.rows import Delete, Row, Tables
from shared.storage.tables import (
    AUTHORIZATIONS,
    CHARGERS,
    EVENTS,
    PARKED,
    SESSIONS,
    TAG_ROSTER,
    TAGS,
    UNKNOWN_TAGS,
)
from shared.storage.together import write_all
from shared.tags.changing import delete_tag
from shared.tags.records import TAG_ROWS
from shared.tags.roster import roster_key

type Places = dict[str, list[Row]]
"""Rows by table."""


class Traces:
    """Finds and deletes the rows of one marked run."""

    def __init__(
        self, tables: Tables, marked: Marked, *, buckets: int, hash_keys: Sequence[bytes]
    ) -> None:
        self._tables = tables
        self._marked = marked
        self._part = key_part(marked.charger)
        self._bucket = bucket_of(marked.charger, buckets)
        self._hashes = [hash_tag(marked.tag, key) for key in hash_keys]

    async def events(self) -> list[Row]:
        """The rows of its events."""
        prefixes = [f"{name}|{self._part}|" for name in TYPE_NAMES.values()]
        return [
            row
            for day in self._marked.days
            for prefix in prefixes
            async for row in self._range(EVENTS, f"{self._bucket}-{day}", prefix)
        ]

    async def sessions(self) -> list[Row]:
        """Its claims and summaries, and the rows that find them."""
        rows = [row async for row in self._range(SESSIONS, self._bucket, f"{self._part}|")]
        claims = [claim_from_row(row) for row in rows if not is_summary(row)]
        keys = {f"{OPEN_ROWS}{claim.session}" for claim in claims}
        if claims:
            index = index_rows(self._bucket, claims[0].session, claims, fold(claims))
            keys |= {row.key for row in index}
        found = [await self._tables.get(SESSIONS, self._bucket, key) for key in sorted(keys)]
        return rows + [row for row in found if row is not None]

    async def chargers(self) -> list[Row]:
        """The latest state of its charger and socket."""
        return [row async for row in self._range(CHARGERS, self._bucket, f"{self._part}|")]

    async def taps(self) -> list[Row]:
        """The records of its taps."""
        return [
            row
            for day in self._marked.days
            async for row in self._range(AUTHORIZATIONS, f"{self._bucket}-{day}", f"{self._part}|")
        ]

    async def tags(self) -> list[Row]:
        """Its tag, and that the tag's session started and ended."""
        return [row for each in self._hashes async for row in self._tables.range(TAGS, each)]

    async def parked(self) -> list[Row]:
        """Those of its messages that ingestion put aside."""
        digests = [sha256(body).hexdigest() for body in self._bodies]
        found = [await self._tables.get(PARKED, digest[:2], digest) for digest in digests]
        return [row for row in found if row is not None]

    async def all(self) -> Places:
        """All of it, by table."""
        unknown = [await self._tables.get(UNKNOWN_TAGS, each[:2], each) for each in self._hashes]
        copied = [await self._tables.get(TAG_ROSTER, *roster_key(each)) for each in self._hashes]
        places = {
            EVENTS: await self.events(),
            SESSIONS: await self.sessions(),
            CHARGERS: await self.chargers(),
            AUTHORIZATIONS: await self.taps(),
            TAGS: await self.tags(),
            TAG_ROSTER: [row for row in copied if row is not None],
            PARKED: await self.parked(),
            UNKNOWN_TAGS: [row for row in unknown if row is not None],
        }
        return {table: rows for table, rows in places.items() if rows}

    async def take_out(self) -> Counter[str]:
        """Delete all of it; how many rows went, by table.

        Raises:
            RowConflictError: Some of it changed meanwhile; the same call deletes the rest.
        """
        deleted: Counter[str] = Counter()
        found = await self.all()
        for hashed in self._hashes:
            await delete_tag(self._tables, hashed)
        for table, rows in found.items():
            deleted[table] += len(rows)
            left = [row for row in rows if not self._is_tag(table, row)]
            await write_all(self._tables, table, [Delete(row.partition, row.key) for row in left])
        return deleted

    @staticmethod
    def _is_tag(table: str, row: Row) -> bool:
        """Whether a row is the tag's own or its copy, which are deleted together."""
        return table == TAG_ROSTER or (table == TAGS and row.key.startswith(TAG_ROWS))

    @property
    def _bodies(self) -> list[bytes]:
        return [*self._marked.session(), self._marked.state()]

    def _range(self, table: str, partition: str, prefix: str) -> AsyncIterator[Row]:
        return self._tables.range(table, partition, prefix, f"{prefix}~")
