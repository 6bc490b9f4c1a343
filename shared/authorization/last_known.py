"""The snapshot at a worker's hand, and the denials that it read live since."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import Context
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

from shared.authorization.rules import OF_SESSIONS, OF_THE_TAG
from shared.authorization.taps import Cause, Decision, Source
from shared.errors import EmablerFunctionsError
from shared.tags.snapshot import Snapshot
from shared.tags.snapshot_store import SnapshotStore
from shared.telemetry import LOGGER

LOOK_EVERY_SECONDS = 60.0
_MOST_DENIALS = 20_000
_ANYWHERE = ""


class _Denial(NamedTuple):
    """A denial, when it was read, the ETag of the snapshot at hand then, and when it ends."""

    read: datetime
    etag: str | None
    decision: Decision
    until: datetime | None

    def outlasts(self, snapshot: Snapshot, etag: str | None, now: datetime) -> bool:
        # By the ETag too: the clock of whoever made the snapshot may be ahead of this worker's.
        newer = self.read >= snapshot.scanned or self.etag == etag
        return newer and (self.until is None or now < self.until)


class SnapshotAtHand:
    """Decides from the snapshot that was fetched last; fetching never holds up a tap.

    The snapshot is looked at when taps come, at most once a minute, and fetched when it changed.
    """

    def __init__(
        self, store: SnapshotStore, *, oldest: timedelta, look_every: float = LOOK_EVERY_SECONDS
    ) -> None:
        self._store = store
        self._oldest = oldest
        self._look_every = look_every
        self._looked: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._snapshot: Snapshot | None = None
        self._etag: str | None = None
        self._denials: OrderedDict[tuple[str, str], _Denial] = OrderedDict()

    async def look(self) -> None:
        """Fetch the snapshot if it changed; what is at hand stays where that is not possible."""
        self._looked = monotonic()
        try:
            snapshot, etag = await self._store.read(self._etag)
        except Exception as error:  # noqa: BLE001 - the next look may do better
            code = error.code if isinstance(error, EmablerFunctionsError) else type(error).__name__
            LOGGER.warning("snapshot_not_fetched: %s", code)
            return
        if etag is not None and snapshot is None and etag != self._etag:
            # Its ETag is not kept, so that it is looked at again: a version may be on its way.
            LOGGER.warning("snapshot_not_fetched: unreadable")
            return
        if etag is None:
            self._snapshot = None
        elif snapshot is not None:
            self._snapshot = snapshot
        self._etag = etag

    def look_soon(self) -> None:
        """See to it that the snapshot is looked at, beside whatever else goes on."""
        due = self._looked is None or monotonic() - self._looked >= self._look_every
        if due and (self._looking is None or self._looking.done()):
            self._looked = monotonic()
            # A context of its own: its requests are no invocation's.
            loop = asyncio.get_running_loop()
            self._looking = loop.create_task(self.look(), context=Context())

    def note(
        self,
        hashes: Sequence[str],
        charger: str,
        decision: Decision,
        read: datetime,
        until: datetime | None = None,
    ) -> None:
        """Remember a denial that was read live; forget it when the tag is allowed.

        Taps overtake each other: what was read earlier changes nothing that was read later. A
        limit is not remembered: nobody could tell when the sessions end. `until` is when the
        denial ends by itself.
        """
        self.look_soon()
        own = hashes[0]
        if decision.cause is Cause.KNOWN_TAG or decision.cause in OF_SESSIONS:
            for place in ((own, _ANYWHERE), (own, charger)):
                if not self._knows_later(place, read):
                    self._denials.pop(place, None)
        elif decision.allowed is False:
            place = own, _ANYWHERE if decision.cause in OF_THE_TAG else charger
            if self._knows_later(place, read):
                return
            self._denials[place] = _Denial(read, self._etag, decision, until)
            self._denials.move_to_end(place)
            if len(self._denials) > _MOST_DENIALS:
                self._denials.popitem(last=False)

    def _knows_later(self, place: tuple[str, str], read: datetime) -> bool:
        denial = self._denials.get(place)
        return denial is not None and denial.read > read

    def decide(self, hashes: Sequence[str], charger: str, now: datetime) -> Decision | None:
        """Decide while the store is away; None without a snapshot that is young enough."""
        self.look_soon()
        snapshot = self._snapshot
        if snapshot is None or now - snapshot.scanned > self._oldest:
            return None
        for place in ((hashes[0], _ANYWHERE), (hashes[0], charger)):
            denial = self._denials.get(place)
            if denial is not None and denial.outlasts(snapshot, self._etag, now):
                return Decision(
                    allowed=False,
                    cause=denial.decision.cause,
                    tag_kind=denial.decision.tag_kind,
                    source=Source.LAST_KNOWN,
                )
        found = (snapshot.validity(each) for each in hashes)
        validity = next((each for each in found if each is not None), None)
        if validity is not None and validity.holds(now):
            return Decision(allowed=True, cause=Cause.LAST_KNOWN_TAG, source=Source.LAST_KNOWN)
        return Decision(allowed=False, cause=Cause.NOT_LAST_KNOWN, source=Source.LAST_KNOWN)
