"""Open sessions as a warm worker wrote them: their stop, which comes next, then needs no read.

What is remembered can only be older than the store, and a write under its ETag tells whether it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from shared.sessions.planning import Stored, Written
from shared.sessions.summary import SUMMARY_NAME, State
from shared.storage.rows import Row

_REMEMBERED_SESSIONS = 5_000
"""About 5 KB each."""


class RememberedSessions:
    """The sessions that were written last, as long as they are open."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], Stored] = OrderedDict()

    def get(self, bucket: str, session: str) -> Stored | None:
        """What was written of a session; None where that is not known."""
        return self._sessions.get((bucket, session))

    def keep(self, bucket: str, written: Written, rows: Mapping[str, Row]) -> None:
        """Remember a session from the rows that were just written of it, with their ETags."""
        name = (bucket, written.session)
        summary = rows.get(f"{written.session}|{SUMMARY_NAME}")
        if written.summary.state is State.ENDED:
            self._sessions.pop(name, None)
        elif summary is not None:
            before = {} if written.before is None else written.before.claims
            # Of a claim's row only the ETag is asked for again.
            claims = {
                claim.key: (claim, replace(rows[claim.key], columns={}))
                if claim.key in rows
                else before[claim.key]
                for claim in written.claims
            }
            self._sessions[name] = Stored(claims, summary)
            self._sessions.move_to_end(name)
        while len(self._sessions) > _REMEMBERED_SESSIONS:
            self._sessions.popitem(last=False)
