"""Taps while the store is away: the snapshot decides, and never against what was read live."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from shared.authorization.authorize import Fallback
from shared.authorization.last_known import SnapshotAtHand
from shared.authorization.taps import Cause, Decision, Reason, Source
from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.containers import SNAPSHOTS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.tags.records import Scope, Tag
from shared.tags.snapshot_store import SnapshotStore
from tests.authorization.taps import CHARGER, HASH_KEY, NOW, SECOND, TAG, Store, Tapper

HOUR = timedelta(hours=1)


async def away(_table: str, _moment: str) -> None:
    raise StoreUnavailableError("away")


class Outage:
    """A store whose tables can go away, a snapshot, and a worker that has it at hand."""

    def __init__(self) -> None:
        self.store = Store()
        self.blobs = MemoryBlobs(SNAPSHOTS)
        self.snapshots = SnapshotStore(self.store.tables, self.blobs, self.clock)
        self.at_hand = SnapshotAtHand(self.snapshots, oldest=24 * HOUR, look_every=3600)
        self.tapper: Tapper = Tapper(
            self.store, fallback=Fallback.LAST_KNOWN, last_known=self.at_hand
        )

    def clock(self) -> datetime:
        return self.tapper.now

    async def snapshot(self) -> None:
        await self.snapshots.refresh()
        await self.at_hand.look()

    def goes_away(self) -> None:
        self.store.tables.pause = away

    def is_back(self) -> None:
        self.store.tables.pause = MemoryTables().pause

    async def decision(self, tag: str = TAG, charger: str = CHARGER) -> Decision:
        return (await self.tapper.tap(tag, charger)).decision


@pytest.fixture
async def outage() -> Outage:
    outage = Outage()
    await outage.store.has_charger()
    return outage


async def test_the_snapshot_decides_while_the_store_is_away(outage: Outage) -> None:
    """Tags of the snapshot may charge, others may not, and neither is called unknown."""
    await outage.store.knows(Tag(tag=TAG), Tag(tag="B", blocked=True))
    await outage.snapshot()
    outage.goes_away()

    allowed, blocked, unknown = [await outage.decision(tag) for tag in (TAG, "B", "X")]

    assert allowed == Decision(True, Cause.LAST_KNOWN_TAG, source=Source.LAST_KNOWN)  # noqa: FBT003
    for denied in (blocked, unknown):
        assert (denied.cause, denied.source) == (Cause.NOT_LAST_KNOWN, Source.LAST_KNOWN)
        assert denied.reason is Reason.UNAUTHORIZED_RFID_TAG_ID


async def test_the_first_hash_that_is_held_decides(outage: Outage) -> None:
    """A blocked tag stays denied where a record under its previous hash is an open one."""
    earlier = b"p" * 32
    tapper = Tapper(
        outage.store,
        fallback=Fallback.LAST_KNOWN,
        last_known=outage.at_hand,
        hash_keys=[HASH_KEY, earlier],
    )
    await outage.store.knows(Tag(tag=TAG, blocked=True), Tag(tag="B"))
    await outage.store.knows(Tag(tag=TAG), Tag(tag="B", blocked=True), Tag(tag="C"), key=earlier)
    await outage.snapshot()
    outage.goes_away()

    decisions = [(await tapper.tap(tag)).decision for tag in (TAG, "B", "C")]

    assert [each.allowed for each in decisions] == [False, True, True]


async def test_validity_counts_offline(outage: Outage) -> None:
    """A tag that expires during an outage is denied from then on."""
    await outage.store.knows(Tag(tag=TAG, valid_until=NOW + HOUR))
    await outage.snapshot()
    outage.goes_away()

    assert (await outage.decision()).allowed
    outage.tapper.now = NOW + HOUR
    assert (await outage.decision()).cause is Cause.NOT_LAST_KNOWN


async def test_a_snapshot_that_is_too_old_defers(outage: Outage) -> None:
    """Its age counts from the beginning of its scan, whatever was withdrawn since."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.tapper.now += 24 * HOUR
    await outage.snapshots.withdraw([hash_tag("OTHER", HASH_KEY)])
    await outage.at_hand.look()
    outage.goes_away()

    assert (await outage.decision()).allowed
    outage.tapper.now += SECOND
    late = await outage.decision()
    assert (late.allowed, late.cause) == (None, Cause.STORE_UNAVAILABLE)


async def test_a_read_that_worked_is_never_overruled(outage: Outage) -> None:
    """A block that the snapshot does not know takes effect at the next tap."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    await outage.store.knows(Tag(tag=TAG, blocked=True))

    assert (await outage.decision()).cause is Cause.BLOCKED


@pytest.mark.parametrize(
    ("tag", "cause"),
    [
        (Tag(tag=TAG, blocked=True), Cause.BLOCKED),
        (Tag(tag=TAG, scope=Scope(chargers=("CH-9",)), offline=True), Cause.OUT_OF_SCOPE),
    ],
)
async def test_a_live_denial_outlasts_an_older_snapshot(
    outage: Outage, tag: Tag, cause: Cause
) -> None:
    """What this worker read live stays denied, with its cause, until a later scan allows it."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.tapper.now += SECOND
    await outage.store.knows(tag)
    assert (await outage.decision()).cause is cause

    outage.goes_away()
    denied = await outage.decision()
    assert (denied.cause, denied.source) == (cause, Source.LAST_KNOWN)
    elsewhere = await outage.decision(charger="CH-8")
    assert elsewhere.allowed is (cause is Cause.OUT_OF_SCOPE)

    outage.is_back()
    outage.tapper.now += SECOND
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.goes_away()
    assert (await outage.decision()).allowed


async def test_a_limit_read_live_says_nothing_of_an_outage(outage: Outage) -> None:
    """Limits are not judged offline: nobody could tell when the sessions that were open end."""
    await outage.store.knows(Tag(tag=TAG, most_sessions=1))
    await outage.store.has_session(charger="CH-9")
    await outage.snapshot()
    assert (await outage.decision()).cause is Cause.TAG_LIMIT

    outage.goes_away()

    assert (await outage.decision()).allowed


async def test_a_limit_read_live_ends_what_was_remembered(outage: Outage) -> None:
    """Whoever meets a limit may charge but for it: a block of before is over."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.tapper.now += SECOND
    await outage.store.knows(Tag(tag=TAG, blocked=True))
    assert (await outage.decision()).cause is Cause.BLOCKED
    await outage.store.knows(Tag(tag=TAG, most_sessions=1))
    await outage.store.has_session(charger="CH-9")
    assert (await outage.decision()).cause is Cause.TAG_LIMIT

    outage.goes_away()

    assert (await outage.decision()).allowed


async def test_a_tag_that_becomes_valid_in_an_outage_may_charge(outage: Outage) -> None:
    """That it was not valid yet is remembered until `valid_from` and no longer."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.tapper.now += SECOND
    await outage.store.knows(Tag(tag=TAG, valid_from=NOW + HOUR))
    await outage.decision()
    outage.goes_away()

    assert (await outage.decision()).cause is Cause.NOT_YET_VALID
    outage.tapper.now = NOW + HOUR
    assert (await outage.decision()).allowed


async def test_a_live_denial_outlasts_a_snapshot_of_a_clock_that_is_ahead(outage: Outage) -> None:
    """What was read live after the snapshot had been fetched is later, whatever its clock said."""
    await outage.store.knows(Tag(tag=TAG))
    outage.tapper.now = NOW + HOUR
    await outage.snapshot()
    outage.tapper.now = NOW
    await outage.store.knows(Tag(tag=TAG, blocked=True))
    await outage.decision()
    outage.goes_away()

    assert (await outage.decision()).cause is Cause.BLOCKED


async def test_a_live_allowance_ends_a_remembered_denial(outage: Outage) -> None:
    """A tag that was unblocked and tapped since is decided by the snapshot again."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.tapper.now += SECOND
    await outage.store.knows(Tag(tag=TAG, blocked=True))
    await outage.decision()
    await outage.store.knows(Tag(tag=TAG))
    await outage.decision()
    outage.goes_away()

    assert (await outage.decision()).allowed


@pytest.mark.parametrize(
    "earlier",
    [
        Decision(allowed=True, cause=Cause.KNOWN_TAG),
        Decision(allowed=False, cause=Cause.EXPIRED),
    ],
)
async def test_an_earlier_read_that_ends_late_changes_nothing(
    outage: Outage, earlier: Decision
) -> None:
    """A tap that began before the block and is answered after it leaves the denial as it is."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    began = outage.tapper.now
    outage.tapper.now += SECOND
    await outage.store.knows(Tag(tag=TAG, blocked=True))
    await outage.decision()

    outage.at_hand.note([hash_tag(TAG, HASH_KEY)], CHARGER, earlier, began)
    outage.goes_away()

    assert (await outage.decision()).cause is Cause.BLOCKED


async def test_a_stop_says_nothing_of_the_tag(outage: Outage) -> None:
    """Stopping its own session does not end what is remembered of a blocked tag."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    outage.tapper.now += SECOND
    await outage.store.knows(Tag(tag=TAG, blocked=True))
    await outage.decision()
    await outage.store.has_session()
    assert (await outage.decision()).cause is Cause.STOP
    outage.goes_away()

    assert (await outage.decision()).cause is Cause.BLOCKED


async def test_what_is_at_hand_stays_while_blobs_are_away_too(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """A look that fails changes nothing but a line in the log; a snapshot that is gone is gone."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    real = outage.blobs.etag

    async def no_blob(_container: str, _name: str) -> str:
        raise StoreUnavailableError("away", code="store_away")

    outage.blobs.etag = no_blob  # type: ignore[method-assign,assignment]
    await outage.at_hand.look()
    outage.goes_away()
    assert (await outage.decision()).allowed
    assert "snapshot_not_fetched: store_away" in caplog.text

    outage.blobs.etag = real  # type: ignore[method-assign]
    await outage.blobs.delete(SNAPSHOTS, "tags")
    await outage.at_hand.look()
    assert (await outage.decision()).allowed is None


async def test_fetching_holds_up_no_tap(outage: Outage) -> None:
    """The first tap finds nothing at hand and sees to it; the next one has the snapshot."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshots.refresh()
    outage.goes_away()

    assert (await outage.decision()).allowed is None
    for _ in range(5):
        await asyncio.sleep(0)
    assert (await outage.decision()).allowed


async def test_a_snapshot_that_cannot_be_read_is_looked_at_again(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """What is at hand stays, each look tells of it, and nothing is taken for known."""
    await outage.store.knows(Tag(tag=TAG))
    await outage.snapshot()
    await outage.blobs.put(SNAPSHOTS, "tags", b"of another version")

    await outage.at_hand.look()
    await outage.at_hand.look()
    outage.goes_away()

    assert (await outage.decision()).allowed
    assert caplog.messages.count("snapshot_not_fetched: unreadable") == 2
