"""The keys of the table `reconciliation`: what its rows begin with, for who writes and who deletes.

All rows lie in one partition, so that each write can hold the lease's row beside what it writes
(docs/decisions/0025).
"""

PARTITION = "reconciliation"

LEASE = "!lease"

RUN_ROWS = "run|"

WINDOW_ROWS = "window|"
"""Windows within one day, by their start: those that touch a stretch lie in one range."""

WIDE_ROWS = "wide|"
"""Windows that are longer than a day or open-ended: few, and read whole."""

OPEN_ROWS = "open|"
RESOLVED_ROWS = "resolved|"
CLOSED_ROWS = "closed|"
"""Findings: those that are open, those that an operator resolved, all others."""
