"""What every row of the store carries, and the stamp that says whose store it is."""

from __future__ import annotations

from shared.sessions.claims import Claim, Source
from shared.storage.rows import SCHEMA
from shared.storage.stamp import create_store
from shared.storage.tables import ALL_TABLES, STORE
from shared.tags.records import Tag
from tests.ingestion.day import EVERYTHING, HASH_KEY, NOW, deliver, ingestion, sessions
from tests.stores import Stores
from tests.tagging import put_tags


async def test_every_row_of_every_table_carries_the_schema_number(stores: Stores) -> None:
    """Events, claims of push and REST, summaries, index rows, tags, parked ones, the stamp."""
    (tables,) = await stores.fresh()
    await create_store(tables, environment="test", buckets=4)
    await deliver(ingestion(tables), EVERYTHING)
    rest = Claim(
        source=Source.REST,
        charger="CH-1",
        transaction="99",
        name="9001",
        digest="d",
        end=NOW,
        observed=NOW,
    )
    await sessions(tables).write([rest])
    await put_tags(tables, [Tag(tag="TAG123")], HASH_KEY)

    found = {name: [row async for row in tables.scan(name)] for name in ALL_TABLES}

    for name, rows in found.items():
        assert [row.key for row in rows if row.columns.get("schema") != SCHEMA] == [], name
    assert {name for name, rows in found.items() if rows} >= {
        *("events", "sessions", "chargers", "tags", "tagroster", "parked", "store"),
    }
    (stamp,) = (row for row in found[STORE] if row.partition == "stamp")
    assert (stamp.columns["environment"], stamp.columns["buckets"]) == ("test", 4)
