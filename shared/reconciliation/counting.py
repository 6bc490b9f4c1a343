"""What came of the sessions that the work on a window wrote: counted, and told where it mends."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from shared.reconciliation.finding_reading import is_closed
from shared.reconciliation.findings import Finding
from shared.reconciliation.means import Means, Worked
from shared.reconciliation.outcomes import Outcome, change_told, missing_in_store, outcome_of
from shared.reconciliation.spans import Picture
from shared.sessions.claims import Claim, Source
from shared.sessions.planning import Written
from shared.sessions.summary import Summary
from shared.storage.together import all_done


class Counting:
    """Counts into `worked` what a window came to; `began` and `raising` as of `WindowWork.work`."""

    def __init__(
        self,
        means: Means,
        picture: Picture,
        worked: Worked,
        began: datetime | None,
        *,
        raising: bool,
    ) -> None:
        self._means = means
        self._picture = picture
        self._worked = worked
        self._began = began
        self._raising = raising
        self._maybe_told: list[Finding] = []

    def is_history(self, end: datetime | None) -> bool:
        """Whether a session ended before this store was first reconciled."""
        return self._began is not None and end is not None and end < self._began

    def count(self, written: Written, summary: Summary, moved: Collection[str]) -> None:
        """Count what came of a session that was written, and tell what was mended by it.

        Of sessions that `moved` it is told elsewhere what changed.
        """
        worked, outcome = self._worked, outcome_of(written)
        rest = next((claim for claim in written.added if claim.source is Source.REST), None)
        if outcome is Outcome.REPAIRED and summary.pushed is not None:
            outcome = Outcome.CONFIRMED  # it was paired with what push told
        if outcome is Outcome.REPAIRED and rest is not None:
            if self.is_history(rest.end):
                outcome = Outcome.HISTORY
            else:
                worked.repaired.append(self._missing_in_store(rest))
        if self._raising and outcome is Outcome.UNCHANGED and summary.pushed is None:
            # A run that was lost may have repaired it, and not come to say so.
            kept = summary.rest_claim
            if kept is not None and not self.is_history(kept.end):
                self._maybe_told.append(self._missing_in_store(kept))
        end = None if summary.rest_claim is None else summary.rest_claim.end
        # What ends with the window the next one counts.
        worked.counts[outcome] += end is None or end != self._picture.span.end
        if outcome is Outcome.CHANGED and written.session not in moved:
            change = change_told(written, summary, worked.as_of, self._means.hashed)
            worked.repaired += [change] if change is not None else []

    async def tell_what_was_not_told(self) -> None:
        """Tell what a run before may have mended, unless it came to say so.

        Raises:
            StoreUnavailableError: The findings cannot be read now.
        """
        tables, found = self._means.tables, self._maybe_told
        told = await all_done(is_closed(tables, each) for each in found)
        self._worked.repaired += [e for e, known in zip(found, told, strict=True) if not known]

    def _missing_in_store(self, rest: Claim) -> Finding:
        return missing_in_store(rest, self._worked.as_of, self._means.hashed)
