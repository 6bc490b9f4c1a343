"""What reconciliation compares with: the store, eMabler, the rules; and what a work came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.emabler.client import EmablerClient
from shared.identifiers import hash_tag
from shared.instants import format_instant
from shared.reconciliation.differing import Tolerances
from shared.reconciliation.findings import Finding
from shared.reconciliation.pairing_writer import Pairing
from shared.reconciliation.silence import PushSeen
from shared.reconciliation.spans import OVERLAP, Lie, Span
from shared.sessions.claims import Claim
from shared.sessions.indexes import END_COLUMNS, END_ROWS, UNDATED
from shared.sessions.planning import Written
from shared.sessions.writer import SessionWriter
from shared.storage.rows import Row, Tables
from shared.storage.tables import SESSIONS
from shared.storage.together import all_done


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is tolerated, and after which time something that lacks is a finding.

    `longest_open`: how long a session that eMabler lists as ongoing may be open.
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    grace: timedelta = timedelta(hours=24)
    longest_open: timedelta = timedelta(hours=24)


@dataclass(slots=True)
class Worked:
    """What a piece of work came to.

    `counts`: sessions by what came of them. `findings`: what is so, for the book to hold against
    what it knows of `compared`. `repaired`: what was mended as it was met. `lies`: answers to
    look-ups that contradict themselves: what was asked for is in neither. `push`: what push told of
    the sessions that REST lists. `after`: of work in parts, the session (its key) up to which all
    is done; None where nothing is left.
    """

    as_of: datetime
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    lies: list[Lie] = field(default_factory=list)
    push: PushSeen = field(default_factory=PushSeen)
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What reconciliation works on sessions with: the store, eMabler and the rules."""

    tables: Tables
    sessions: SessionWriter
    client: EmablerClient
    pairing: Pairing
    buckets: int
    tag_hash_key: bytes
    rules: Rules = field(default_factory=Rules)

    def hashed(self, tag: str) -> str:
        """What stands for a tag in a finding."""
        return hash_tag(tag, self.tag_hash_key)

    async def rows(self, span: Span) -> list[Row]:
        """The rows by end of a span, widened as eMabler is asked for it: each bucket in one range.

        Ends that nobody told are in spans that are open to either side.
        """
        first = "" if span.start is None else format_instant(span.start - OVERLAP)
        # A row at the last instant itself has more to its key than that.
        last = "~" if span.end is None else format_instant(span.end + OVERLAP) + "|~"
        ranges = [(f"{END_ROWS}{first}", f"{END_ROWS}{last}")]
        if span.start is None and span.end is not None:
            ranges.append((f"{END_ROWS}{UNDATED}|", f"{END_ROWS}{UNDATED}|~"))
        found = await all_done(
            self._range(str(bucket), start, end)
            for bucket in range(self.buckets)
            for start, end in ranges
        )
        return [row for rows in found for row in rows]

    async def _range(self, bucket: str, start: str, end: str) -> list[Row]:
        rows = self.tables.range(SESSIONS, bucket, start, end, columns=END_COLUMNS)
        return [row async for row in rows]

    async def write(
        self,
        claims: Sequence[Claim],
        *,
        fresh: Collection[str] = (),
        raising: bool = False,
        dry_run: bool = False,
    ) -> list[Written]:
        """Write claims, or tell what would be written; see `SessionWriter.write`."""
        if not claims:
            return []
        if dry_run:
            return await self.sessions.look(claims)
        return await self.sessions.write(claims, fresh=fresh, raising=raising)
