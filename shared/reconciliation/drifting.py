"""Which fields of eMabler's answers are not what we rely on, and since when that may be over. Pure.

A field that is missing is missing from all items of a kind: any few items show that it is there
again. Another flaw may be one item's: only the walk that met it may meet it again, and until that
walk is due once more nothing says that it is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.emabler.models.reading import ENOUGH_ITEMS, Drift, Flaw
from shared.identifiers import identifier_of
from shared.reconciliation.finding_book import FindingBook
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.passes import Schedule

_LATE = timedelta(days=1)
"""So much later than it is due may a walk come to an item."""


def drift_met(drift: Drift, now: datetime) -> list[Finding]:
    """What a run met."""
    cls = FindingClass.CONTRACT_DRIFT
    return [Finding(cls, None, now, subject=name) for name in drift.told()]


def drift_compared(
    drift: Drift, book: FindingBook, schedule: Schedule, now: datetime
) -> Iterator[str]:
    """The open findings (`Finding.about`) of which a run that does not meet them says: it is over.

    Of too few items nobody can say that.
    """
    longest = max(schedule.month_every, schedule.recent_every) + _LATE
    for about in book.abouts(FindingClass.CONTRACT_DRIFT):
        kind_and_field, _, flaw = str(identifier_of(about[1:])).rpartition(" ")
        if drift.items[kind_and_field.partition(".")[0]] < ENOUGH_ITEMS:
            continue
        last = book.last_met(about, FindingClass.CONTRACT_DRIFT)
        if flaw == Flaw.MISSING or (last is not None and last < (now - longest).date()):
            yield about
