"""A day as it was told: the envelopes, and what becomes of them in a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from local.log_analytics.tables import TableRow, rows_of
from tests.monitoring.faults import Plan
from tests.monitoring.host import Envelope


@dataclass(frozen=True, slots=True)
class Played:
    """The envelopes of a day in their order, its span of time, and what went wrong on it."""

    envelopes: Sequence[Envelope]
    began: datetime
    ended: datetime
    plan: Plan

    def told(self) -> list[TableRow]:
        """The rows of what the app and its host told."""
        return list(rows_of(self.envelopes))
