"""An erasure beside a worker that stores a session of the tag: it takes all, or the next run does.

A claim, its event and its row under the tag are written side by side. By the row alone the others
are found, so it may go only when they were met.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from shared.errors import StoreUnavailableError
from shared.privacy.erasing import Erasure, Report
from shared.privacy.finding import Search
from shared.retention.policies import WALKED_FOR_TAGS
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, EVENTS, SESSIONS, TAGS
from shared.tags.records import Tag, tag_row
from tests import payloads
from tests.privacy.test_privacy import BODIES, KEY, NOW, TAG, Store
from tests.tagging import put_tags

NEW = {"authorizedIdTag": TAG, "chargerId": "CH-NEW", "transactionId": "4711"}
BEGINS, ENDS = payloads.start_v2(**NEW), payloads.full_v2(**NEW)
type Meanwhile = Callable[[], Awaitable[None]]


class Rig(Store):
    """A store with a session of the tag, and something that happens at one request."""

    def __init__(self) -> None:
        self.now = NOW
        self.memory = MemoryTables(*ALL_TABLES, clock=lambda: self.now)
        super().__init__(self.memory, MemoryBlobs(*ALL_CONTAINERS))
        self.requests = 0

    async def begin(self) -> None:
        await self.take(*BODIES[:2])
        await put_tags(self.tables, [Tag(tag=TAG)], KEY)

    def at_request(self, number: int, meanwhile: Meanwhile) -> None:
        async def pause(_table: str, moment: str) -> None:
            if not moment.startswith("before"):
                return
            self.requests += 1
            if self.requests == number:
                await meanwhile()

        self.memory.pause = pause

    async def erase_all(self) -> Report:
        search = Search(
            self.tables, self.blobs, TAG, hash_keys=[KEY], buckets=4, walked=WALKED_FOR_TAGS
        )
        return await Erasure(self.tables, self.blobs, search, lambda: self.now).run("ann")

    async def lose(self, table: str, *bodies: bytes) -> None:
        """Take messages while a table cannot be written to: what is beside it is written."""

        async def away(named: str, moment: str) -> None:
            if (named, moment) == (table, "before_write"):
                raise StoreUnavailableError("away")

        calm, self.memory.pause = self.memory.pause, away
        with pytest.raises(StoreUnavailableError):
            await self.take(*bodies)
        self.memory.pause = calm


@pytest.mark.parametrize("bodies", [[BEGINS], [BEGINS, ENDS]], ids=["start", "start and stop"])
async def test_a_session_that_begins_at_any_request_of_an_erasure_is_found(
    bodies: list[bytes],
) -> None:
    """Whenever it comes: what this run leaves, the next one takes."""
    number, last = 0, 1
    while number < last:
        number += 1
        rig = Rig()
        await rig.begin()
        rig.at_request(number, lambda store=rig: store.take(*bodies))  # type: ignore[misc]

        first = await rig.erase_all()
        last = max(last, rig.requests) if rig.requests >= number else number
        left = await rig.occurrences()
        second = await rig.erase_all()

        assert await rig.occurrences() == [], number
        assert (second.left, rig.memory.rows(TAGS)) == ({}, []), number
        if left:
            # Only what came after the last look may be left, or it is told.
            assert first.left or second.sessions == 1, number
    assert last > 30


@pytest.mark.parametrize("table", [SESSIONS, EVENTS])
@pytest.mark.parametrize("body", [BEGINS, BODIES[1]], ids=["new", "ends the erased one"])
async def test_a_row_under_the_tag_waits_for_what_is_written_beside_it(
    table: str, body: bytes
) -> None:
    """A worker was cut off before the claim or before the event: the message comes again."""
    rig = Rig()
    await rig.take(BODIES[0])
    await put_tags(rig.tables, [Tag(tag=TAG)], KEY)
    await rig.lose(table, body)

    first = await rig.erase_all()

    assert first.left
    await rig.take(body)
    second = await rig.erase_all()

    assert (second.left, rig.memory.rows(TAGS)) == ({}, [])
    assert await rig.occurrences() == []


async def test_a_row_under_the_tag_that_leads_nowhere_goes_after_a_while() -> None:
    """Whoever wrote it has ended since, and what it led to is gone, by its age for instance."""
    rig = Rig()
    await rig.lose(SESSIONS, BEGINS)
    await put_tags(rig.tables, [Tag(tag=TAG)], KEY)
    assert dict((await rig.erase_all()).left) == {TAGS: 1}

    # The record is gone all the same: nobody may charge with it.
    record = tag_row(Tag(tag=TAG), KEY)
    assert await rig.tables.get(TAGS, record.partition, record.key) is None
    rig.now += timedelta(minutes=16)
    report = await rig.erase_all()

    assert (report.left, rig.memory.rows(TAGS)) == ({}, [])
