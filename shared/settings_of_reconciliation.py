"""The settings of reconciliation's runs: when, how far back, and what is tolerated."""

from __future__ import annotations

from shared.setting_values import text as _text
from shared.setting_values import whole as _whole
from shared.settings_checked import Setting

ROOM = "reconciliation"

_MAX_FIRST_DAYS = 366

OF_RECONCILIATION: tuple[Setting, ...] = (
    Setting(
        "RECONCILE_SCHEDULE",
        "When reconciliation runs: six fields, seconds first, UTC.",
        "0 */15 * * * *",
        _text,
        (ROOM,),
    ),
    Setting(
        "RECONCILE_FIRST_DAYS",
        "How far back the first run begins to prove finished sessions, by their end. What "
        "is older: `manage.py reconcile --from`.",
        "3",
        _whole(1, _MAX_FIRST_DAYS),
        (ROOM,),
        default=3,
    ),
    Setting(
        "RECONCILE_OVERLAP_MINUTES",
        "How much of what is proven already each run walks again, since sessions appear late.",
        "60",
        _whole(0, 1440),
        (ROOM,),
        default=60,
    ),
    Setting(
        "RECONCILE_SETTLING_MINUTES",
        "How long after its end a session is not looked for yet.",
        "2",
        _whole(0, 1440),
        (ROOM,),
        default=2,
    ),
    Setting(
        "RECONCILE_RECENT_DAYS",
        "How many days back are proven again every day.",
        "3",
        _whole(1, 35),
        (ROOM,),
        default=3,
    ),
    Setting(
        "RECONCILE_MONTH_DAYS",
        "How many days back are proven again every week.",
        "35",
        _whole(1, 400),
        (ROOM,),
        default=35,
    ),
    Setting(
        "RECONCILE_ONGOING_MINUTES",
        "How often the store's open sessions are compared with eMabler's ongoing ones.",
        "60",
        _whole(15, 1440),
        (ROOM,),
        default=60,
    ),
    Setting(
        "RECONCILE_BEHIND_REQUESTS",
        "How many requests to eMabler's REST API one run spends at most on what was proven "
        "before; the rest goes to the next run.",
        "600",
        _whole(10, 100_000),
        (ROOM,),
        default=600,
    ),
    Setting(
        "RECONCILE_LEASE_SECONDS",
        "After how long without a sign of life another run takes over. Longer than the "
        "longest step of a run: EMABLER_RETRY_SECONDS several times.",
        "600",
        _whole(10, 3600),
        (ROOM,),
        default=600,
    ),
    Setting(
        "RECONCILE_ENERGY_TOLERANCE_WH",
        "By how many Wh the stop's energy and REST's may differ before it is a finding, or by "
        "RECONCILE_ENERGY_TOLERANCE_PERCENT where that is more.",
        "100",
        _whole(0, 100_000),
        (ROOM,),
        default=100,
    ),
    Setting(
        "RECONCILE_ENERGY_TOLERANCE_PERCENT",
        "By how many percent of what REST says energies may differ likewise.",
        "1",
        _whole(0, 100),
        (ROOM,),
        default=1,
    ),
    Setting(
        "RECONCILE_TIME_TOLERANCE_SECONDS",
        "By how many seconds starts or ends of push and REST may differ before it is a finding.",
        "120",
        _whole(2, 86_400),
        (ROOM,),
        default=120,
    ),
    Setting(
        "RECONCILE_GRACE_HOURS",
        "How many hours after its end a session that eMabler lists nowhere is a finding, and "
        "after its start one without a transaction id that belongs to nothing.",
        "24",
        _whole(1, 8_784),
        (ROOM,),
        default=24,
    ),
    Setting(
        "RECONCILE_OPEN_HOURS",
        "How many hours a session may be open, at eMabler as well, before it is a finding.",
        "24",
        _whole(1, 8_784),
        (ROOM,),
        default=24,
    ),
    Setting(
        "INVENTORY_EVERY_MINUTES",
        "How old the inventory may be before a run of reconciliation refreshes it. 0: never.",
        "60",
        _whole(0, 10_080),
        (ROOM,),
        default=60,
    ),
)
