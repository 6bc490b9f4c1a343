"""Every table and container is named by backups: taken along, or left out for a reason."""

from __future__ import annotations

from shared.backup.contents import CONTAINERS, LEFT_OUT, TABLES
from shared.retention.policies import POLICIES
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.tables import ALL_TABLES, EVENTS, SESSIONS, STORE, TAGS


def test_every_table_and_container_is_named() -> None:
    """A new one is in a backup, or shared/backup/contents.py says why not."""
    missing = sorted({*ALL_TABLES, *ALL_CONTAINERS} - {*TABLES, *CONTAINERS, *LEFT_OUT})

    assert not missing, (
        f"{missing} are named by no backup. Add each to _ORDER (a table) or CONTAINERS in "
        "shared/backup/contents.py, where what is derived stands before what it is derived from, "
        "or to LEFT_OUT with the reason; and backup=… to its policy in shared/retention/policies.py"
    )
    assert {*LEFT_OUT} <= {*ALL_TABLES, *ALL_CONTAINERS}
    assert {*CONTAINERS} <= {*ALL_CONTAINERS}
    assert all(LEFT_OUT.values())


def test_backups_hold_what_the_policies_say() -> None:
    """The one table of what becomes of everything, and what backups copy, agree."""
    assert {policy.name for policy in POLICIES if policy.backup} == {*TABLES, *CONTAINERS}


def test_what_is_derived_is_copied_before_what_it_comes_from() -> None:
    """Tags first, then sessions, then the journal, then the marks of erasures."""
    order = [TABLES.index(name) for name in (TAGS, SESSIONS, EVENTS, STORE)]

    assert order == sorted(order)
    assert (TABLES[0], TABLES[-1]) == (TAGS, STORE)
