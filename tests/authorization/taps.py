"""A store with tags, chargers and sessions, and taps at it: what the tests of taps share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.authorization.audit import Audit
from shared.authorization.authorize import Answered, Authorization, LastKnown, Terms
from shared.authorization.unknown_tags import UnknownTags
from shared.chargers.loaded import InventoryLoaded, note_inventory_loaded
from shared.identifiers import bucket_of, hash_tag, key_part
from shared.storage.memory import MemoryTables
from shared.storage.rows import Row, Tables, Upsert
from shared.storage.tables import ALL_TABLES, AUTHORIZATIONS, CHARGERS, TAG_GROUPS, TAGS
from shared.tags.groups import Group, group_row
from shared.tags.records import Tag, tag_session_row
from tests.tagging import put_tags

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
HASH_KEY = b"k" * 32
BUCKETS = 4
CHARGER, TAG = "CH-0042", "04A22B7F"


def terms(**changes: Any) -> Terms:
    given: dict[str, Any] = {"hash_keys": [HASH_KEY], "buckets": BUCKETS, "budget": 5.0}
    return Terms(**(given | changes))


class Store:
    """Tables with what the tests put there, in memory or in Azurite."""

    def __init__(self, tables: Tables | None = None) -> None:
        self.tables: Any = tables or MemoryTables(*ALL_TABLES)

    async def knows(self, *tags: Tag, key: bytes = HASH_KEY) -> None:
        await put_tags(self.tables, tags, key)

    async def has_groups(self, *groups: Group) -> None:
        for group in groups:
            await self.tables.write(TAG_GROUPS, [Upsert(group_row(group))])

    async def has_charger(self, charger: str = CHARGER, **columns: Any) -> None:
        row = Row(bucket_of(charger, BUCKETS), f"{key_part(charger)}|!", {"schema": 1, **columns})
        await self.tables.write(CHARGERS, [Upsert(row)])

    async def has_inventory(self) -> None:
        await note_inventory_loaded(self.tables, InventoryLoaded(NOW, 1))

    async def has_session(
        self,
        tag: str = TAG,
        charger: str = CHARGER,
        transaction: str = "7",
        *,
        start: datetime | None = NOW,
        end: datetime | None = None,
        key: bytes = HASH_KEY,
    ) -> None:
        session = f"{key_part(charger)}|{transaction}"
        hashed = hash_tag(tag, key)
        rows = [tag_session_row(hashed, session, "start", "d", start)]
        if end is not None:
            rows.append(tag_session_row(hashed, session, "stop", "e", end))
        await self.tables.write(TAGS, [Upsert(row) for row in rows])

    def audited(self) -> list[Mapping[str, Any]]:
        return [row.columns for row in self.tables.rows(AUTHORIZATIONS)]


class Tapper:
    """Taps at a store whose clock stands still unless it is moved."""

    def __init__(
        self, store: Store, *, last_known: LastKnown | None = None, **changes: Any
    ) -> None:
        self.store = store
        self.now = NOW
        self.audit = Audit(store.tables, buckets=BUCKETS, inbox=UnknownTags(store.tables), linger=0)
        self.authorization = Authorization(
            store.tables,
            terms(**changes),
            clock=lambda: self.now,
            audit=self.audit,
            last_known=last_known,
        )

    async def tap(self, tag: Any = TAG, charger: Any = CHARGER) -> Answered:
        return await self.authorization.authorize({"charger_id": charger, "rfid_tag_id": tag})
