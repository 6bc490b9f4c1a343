"""Rows under tags whose session is gone: found by nothing but a walk, and gone in their turn."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.identifiers import hash_tag
from shared.retention.tag_rows import SHARES
from shared.storage.rows import Insert
from shared.storage.tables import TAGS
from shared.tags.records import Tag, tag_row, tag_session_row
from tests import payloads
from tests.retention.test_retain import DAY, KEY, THEN, Store


async def with_left_over(tag: str, *, instant: timedelta | None) -> tuple[Store, str]:
    """A store with a tag, a session of it, and a row that no claim leads to; that row's key."""
    store = Store()
    hashed = hash_tag(tag, KEY)
    told = None if instant is None else THEN + instant
    row = tag_session_row(hashed, "CH-1|99", "stop", "d" * 32, told)
    await store.tables.write(TAGS, [Insert(row), Insert(tag_row(Tag(tag=tag), KEY))])
    await store.take(payloads.full_v2(authorizedIdTag=tag))
    return store, row.key


def keys(store: Store) -> list[str]:
    return [row.key for row in store.tables.rows(TAGS)]


@pytest.mark.parametrize("tag", ["T1", "T2", "T3"])
@pytest.mark.parametrize("instant", [timedelta(0), 20_000 * DAY, -20_000 * DAY, None])
async def test_a_row_of_no_session_goes_after_its_age(tag: str, instant: timedelta | None) -> None:
    """Not before it, whatever its instant says, and within as many days as there are shares."""
    store, left_over = await with_left_over(tag, instant=instant)

    for days in range(3650 - SHARES, 3650, 1):
        await store.retain(after=days * DAY)
    assert left_over in keys(store)
    for days in range(3651, 3651 + SHARES):
        await store.retain(after=days * DAY)

    assert [key.partition("|")[0] for key in keys(store)] == ["tag"]


async def test_a_row_of_a_session_that_is_there_stays() -> None:
    """A session that ended late keeps the row of its start, which is beyond the age itself."""
    store = Store()
    start = "2026-11-02T09:11:32.4Z"
    late = {"deviceTimeStampStart": start, "deviceTimeStampEnd": "2027-11-02T10:00:00Z"}
    await store.take(payloads.start_v2(deviceTimeStamp=start))
    store.now = THEN + 365 * DAY
    await store.take(payloads.full_v2(**late, receivedTimestamp="2027-11-02T10:00:01Z"))
    before = keys(store)
    assert len(before) == 2

    for days in range(3651, 3651 + SHARES):
        await store.retain(after=days * DAY)

    assert keys(store) == before
