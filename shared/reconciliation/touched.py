"""The sessions that the work on a window wrote or paired, as they are by now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from shared.identifiers import bucket_of
from shared.reconciliation.means import Means
from shared.reconciliation.outcomes import together
from shared.sessions.claims import Claim
from shared.sessions.planning import Written
from shared.sessions.summary import Summary, fold


@dataclass(slots=True)
class Session:
    """A session as it is by now; `written` None where pairing made it so, or it was only read."""

    bucket: str
    claims: Collection[Claim]
    summary: Summary
    written: Written | None = None


class Touched:
    """Writes claims and pairs; holds what came of each session, by its key.

    `homes`: of sessions that were looked at for pairing the one that each is in.
    """

    def __init__(self, means: Means, *, raising: bool, dry_run: bool) -> None:
        self.sessions: dict[str, Session] = {}
        self.homes: dict[str, str] = {}
        self._means = means
        self._raising = raising
        self._dry_run = dry_run
        self._seeds: dict[tuple[str, str], None] = {}

    def seed(self, sessions: Iterable[tuple[str, str]]) -> None:
        """Sessions (bucket and key) without an id that are to be paired."""
        self._seeds |= dict.fromkeys(sessions)

    def note(self, bucket: str, session: str, claims: Collection[Claim]) -> None:
        """A session as it was read, unless it is known better."""
        if session not in self.sessions:
            self.sessions[session] = Session(bucket, claims, fold(claims))

    def now(self, session: str, read: Collection[Claim]) -> Collection[Claim]:
        """What a session holds by now, as it was read unless it was written since."""
        found = self.sessions.get(self.homes.get(session, session))
        return read if found is None else found.claims

    async def write(self, claims: Sequence[Claim], *, fresh: Collection[str] = ()) -> None:
        """Write claims, see `Means.write`; what is written twice of a session is held together.

        Raises:
            StoreUnavailableError: Some is written; the same call makes it whole.
        """
        written = await self._means.write(
            claims, fresh=fresh, raising=self._raising, dry_run=self._dry_run
        )
        for told in written:
            before = self.sessions.get(told.session)
            first = None if before is None else before.written
            each = told if first is None else together(first, told, dry_run=self._dry_run)
            bucket = bucket_of(each.summary.charger, self._means.buckets)
            self.sessions[each.session] = Session(bucket, each.claims, each.summary, each)
            if each.claims[0].is_nameless:
                self.seed([(bucket, each.session)])

    async def pair(self, near: Sequence[tuple[str, Claim]]) -> list[tuple[Written, Summary]]:
        """Pair what is to be paired, also with claims (and their buckets) of other sessions.

        Returns:
            What was written of sessions that were looked at for it, each with what it came to.

        Raises:
            StoreUnavailableError: Some may be paired; the same call makes it whole.
        """
        seeds, self._seeds = self._seeds, {}
        if self._dry_run or not seeds:
            return []
        around = [(e.bucket, claim) for e in self.sessions.values() for claim in e.claims]
        came: list[tuple[Written, Summary]] = []
        for paired in await self._means.pairing.pair(seeds, [*around, *near]):
            for member in paired.members:
                before = self.sessions.pop(member, None)
                if before is not None and before.written is not None:
                    came.append((before.written, paired.summary))
                self.homes[member] = paired.session
            self.sessions[paired.session] = Session(paired.bucket, paired.claims, paired.summary)
        return came
