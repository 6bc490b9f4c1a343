"""What runs of the backup tell on a day: the fields of their wide events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.monitoring.faults import Plan

_LASTS = timedelta(minutes=40)
_LATE = timedelta(hours=16)


def backup_told(plan: Plan, now: datetime) -> dict[str, Any]:
    """The fields of one run: a backup begins at half past one each night, and takes three runs."""
    begun = now.replace(hour=1, minute=30, second=0, microsecond=0)
    if begun > now:
        begun -= timedelta(days=1)
    late = plan.has("no_backup", now)
    under_way = late or now - begun < _LASTS
    latest = begun - timedelta(days=1) if under_way else begun
    told: dict[str, Any] = {
        "backup_age_s": round((now - latest + late * _LATE).total_seconds()),
    }
    if under_way:
        told |= {"backup": f"{begun:%Y%m%dT%H%M%SZ}", "copied": {"events": 90_000}}
        told["finished"] = False
    return told
