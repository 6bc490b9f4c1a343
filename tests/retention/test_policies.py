"""Every table and container has its policy: nothing is kept, erased or left out by accident."""

from __future__ import annotations

import pytest

from shared.retention.policies import POLICIES, ByPrefix, Kept, Policy
from shared.settings import SETTINGS
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.tables import ALL_TABLES


def test_every_table_and_container_has_a_policy() -> None:
    """A new table or container says how long it is kept, what erasure does, whether it is saved."""
    named = [policy.name for policy in POLICIES]
    missing = sorted({*ALL_TABLES, *ALL_CONTAINERS} - set(named))

    assert not missing, (
        f"{missing} have no policy. Add to POLICIES in shared/retention/policies.py a "
        "Policy(name=…, ages=ByDay(setting) where its partitions are {bucket}-{yyyymmdd}, "
        "ByColumn(setting, columns) where a column tells its instant, ByPrefix(partition, parts) "
        "where one partition holds several kinds, or Kept(why); "
        "erasure=what `privacy erase` does there; backup=…; walked=True where a tag's rows are to "
        "be found by walking the table, else shared/privacy has to know where to look)"
    )
    assert sorted(named) == sorted({*ALL_TABLES, *ALL_CONTAINERS}), "a policy for nothing"


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_policy_is_whole(policy: Policy) -> None:
    """It names a setting that is there, or says why there is none; and what erasure does."""
    settings = {setting.name for setting in SETTINGS}
    match policy.ages:
        case Kept(why=why):
            assert why
        case ByPrefix(parts=parts):
            assert {part.setting for part in parts} <= settings
        case ages:
            assert ages.setting in settings
    assert policy.erasure
