"""One table of what becomes of each table and container: how long, on erasure, in a backup.

Whoever adds a table or a container adds its policy here; a test fails until they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.storage import ledger_keys
from shared.storage.containers import BACKUPS, BODIES, SNAPSHOTS
from shared.storage.tables import (
    AUTHORIZATIONS,
    CHARGERS,
    EVENTS,
    PARKED,
    RECONCILIATION,
    SESSIONS,
    STORE,
    TAG_GROUPS,
    TAG_ROSTER,
    TAGS,
    UNKNOWN_TAGS,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing is deleted for its age; `why` says why not, or with what it goes."""

    why: str


@dataclass(frozen=True, slots=True)
class ByDay:
    """Partitions `{bucket}-{yyyymmdd}`: rows go with their day."""

    setting: str


@dataclass(frozen=True, slots=True)
class BySession:
    """Sessions go whole, by their last instant, with what finds them and the rows of their tags.

    They stay at least as long as the journal that `journal` tells the age of: an erasure finds a
    session's events by the session, and a rebuild makes sessions of the events that are there.
    """

    setting: str
    journal: str


@dataclass(frozen=True, slots=True)
class ByColumn:
    """A small table that is walked whole: rows go by the instant in the first column they have."""

    setting: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one partition whose keys begin with `prefix`, by the first column they have."""

    prefix: str
    setting: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByPrefix:
    """One partition that holds rows of several kinds, each with an age; other rows are kept."""

    partition: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class OfJournalDays:
    """Marks on days of the journal: they go after the day."""

    setting: str


@dataclass(frozen=True, slots=True)
class Orphans:
    """Blobs go with their rows; what a crash left behind is found and deleted."""

    setting: str


type OfOneAge = ByDay | BySession | ByColumn | OfJournalDays | Orphans
type Ages = Kept | ByPrefix | OfOneAge


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What becomes of one table or container.

    `ages` is what retention does, `erasure` what `manage.py privacy erase` does, `backup` whether a
    backup takes it along. `walked`: an erasure finds a tag's rows by walking the table, by its id
    or its keyed hash; of the others `shared/privacy/finding.py` knows where to look.
    """

    name: str
    ages: Ages
    erasure: str
    backup: bool
    walked: bool = False


POLICIES: tuple[Policy, ...] = (
    Policy(
        name=EVENTS,
        ages=ByDay("RETENTION_JOURNAL_DAYS"),
        erasure="bodies that name the tag are written without it",
        backup=True,
    ),
    Policy(
        name=SESSIONS,
        ages=BySession("RETENTION_SESSIONS_DAYS", "RETENTION_JOURNAL_DAYS"),
        erasure="claims, summaries and rows by end lose the tag; energy and times stay",
        backup=True,
    ),
    Policy(
        name=CHARGERS,
        ages=Kept("the latest state of each socket, written over by the next"),
        erasure="a state's message that names the tag is taken out",
        backup=True,
    ),
    Policy(
        name=TAGS,
        ages=Kept(
            "a tag stays until it is taken out; rows of its sessions go with the sessions, or alone"
        ),
        erasure="the tag's whole partition is deleted",
        backup=True,
    ),
    Policy(
        name=TAG_ROSTER,
        ages=Kept("a copy of each tag's record, which goes with it"),
        erasure="the tag's row is deleted",
        backup=False,
    ),
    Policy(
        name=TAG_GROUPS,
        ages=Kept("a group stays until it is taken out"),
        erasure="the tag's membership is deleted",
        backup=True,
        walked=True,
    ),
    Policy(
        name=AUTHORIZATIONS,
        ages=ByDay("RETENTION_AUTHORIZATION_DAYS"),
        erasure="taps lose the tag and its hash; what was decided stays",
        backup=True,
        walked=True,
    ),
    Policy(
        name=UNKNOWN_TAGS,
        ages=ByColumn("RETENTION_AUTHORIZATION_DAYS", ("last",)),
        erasure="the tag's row is deleted",
        backup=True,
        walked=True,
    ),
    Policy(
        name=PARKED,
        ages=ByColumn("RETENTION_PARKED_DAYS", ("last_parked_at", "parked_at")),
        erasure="bodies, details and properties that name the tag are written without it",
        backup=True,
    ),
    Policy(
        name=RECONCILIATION,
        ages=ByPrefix(
            ledger_keys.PARTITION,
            (
                Part(ledger_keys.RUN_ROWS, "RETENTION_RUNS_DAYS", ("began",)),
                Part(ledger_keys.WINDOW_ROWS, "RETENTION_WINDOWS_DAYS", ("end",)),
                Part(ledger_keys.WIDE_ROWS, "RETENTION_WINDOWS_DAYS", ("end",)),
                Part(ledger_keys.CLOSED_ROWS, "RETENTION_FINDINGS_DAYS", ("changed", "observed")),
                Part(ledger_keys.RESOLVED_ROWS, "RETENTION_FINDINGS_DAYS", ("changed",)),
                # What nobody dealt with goes with the sessions that it is about.
                Part(ledger_keys.OPEN_ROWS, "RETENTION_SESSIONS_DAYS", ("observed",)),
            ),
        ),
        erasure="findings lose the tag's keyed hash; that tags differed stays",
        backup=True,
        walked=True,
    ),
    Policy(
        name=STORE,
        ages=OfJournalDays("RETENTION_JOURNAL_DAYS"),
        erasure="marks and reports of erasures are written here, and the tag's keyed hash, which "
        "restores need and which goes with the last backup",
        backup=True,
    ),
    Policy(
        name=BODIES,
        ages=Orphans("RETENTION_JOURNAL_DAYS"),
        erasure="as the rows they belong to",
        backup=True,
    ),
    Policy(
        name=SNAPSHOTS,
        ages=Kept("written over by the workers that keep them"),
        erasure="a snapshot that names the tag is deleted; the workers make it anew",
        backup=False,
    ),
    Policy(
        name=BACKUPS,
        ages=Kept("the function back_up deletes what is older than BACKUP_KEEP_DAYS"),
        erasure="backups stay until their age; every restore of one from before goes without the "
        "tag",
        backup=False,
    ),
)
"""In the order in which a run goes through them."""

WALKED_FOR_TAGS = tuple(policy.name for policy in POLICIES if policy.walked)


def _settings_of(ages: Ages) -> tuple[str, ...]:
    match ages:
        case Kept():
            return ()
        case ByPrefix():
            return tuple(part.setting for part in ages.parts)
        case BySession():
            return (ages.setting, ages.journal)
        case _:
            return (ages.setting,)


AGE_SETTINGS = tuple(
    dict.fromkeys(name for policy in POLICIES for name in _settings_of(policy.ages))
)
"""Each setting that tells an age (days), once: what a run of retention has to be given."""
