"""The settings of backups: when they are taken, how long they are kept."""

from __future__ import annotations

from shared.schedules import schedule
from shared.setting_values import whole
from shared.settings_checked import Setting

BACKUP = "backup"

BACKUP_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "BACKUP_SCHEDULE",
        "When the app looks whether a backup is due or under way: six fields, seconds first, UTC. "
        "Each time it works on it for eight minutes at most.",
        "0 */15 * * * *",
        schedule,
        (BACKUP,),
        default="0 */15 * * * *",
    ),
    Setting(
        "BACKUP_EVERY_HOURS",
        "How old the latest backup may be before the next one begins. 0: none is taken; old ones "
        "are deleted all the same.",
        "24",
        whole(0, 24 * 31),
        (BACKUP,),
        default=24,
    ),
    Setting(
        "BACKUP_KEEP_DAYS",
        "How many days a backup is kept after it began.",
        "30",
        whole(1, 90),
        (BACKUP,),
        default=30,
    ),
    Setting(
        "BACKUP_JOURNAL_DAYS",
        "How many days of the journal a backup takes along, by the day of each event. Of older "
        "days it holds the sessions, not the messages.",
        "3660",
        whole(1, 3660),
        (BACKUP,),
        default=3660,
    ),
    Setting(
        "BLOB_SOFT_DELETE_DAYS",
        "How many days the data account keeps a blob that was deleted; the template sets it. The "
        "report of an erasure counts with it.",
        "7",
        whole(0, 365),
        (BACKUP,),
        default=7,
    ),
)
