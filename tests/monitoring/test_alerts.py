"""Each alert on captured telemetry: its fault fires it, a calm day does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.log_analytics.rules import play as play_rules
from local.log_analytics.rules import read_rules
from local.log_analytics.workspace import Workspace
from tests.monitoring.azure_itself import whole
from tests.monitoring.day import play
from tests.monitoring.faults import FAULTS, Plan
from tests.monitoring.played import Played

# A day is played and looked at some thousand times, which a busy machine stretches.
pytestmark = pytest.mark.timeout(900)

DAY = datetime(2026, 11, 24, tzinfo=UTC)
BEFORE, AFTER = timedelta(minutes=45), timedelta(minutes=35)
BEATS = timedelta(minutes=15)
BEGINS = {
    # The vault is looked at once a day, at midnight.
    "secret_ends": 22.5,
    # A backup begins at half past one.
    "no_backup": 0.25,
}
"""The hours at which plays begin that do not begin in the afternoon."""


def fired(played: Played, since: datetime) -> set[str]:
    """The alerts that fire from an instant on.

    They are looked at every quarter of an hour, which no window is shorter than: nothing escapes.
    """
    rules = [replace(rule, frequency=max(rule.frequency, BEATS)) for rule in read_rules()]
    assert all(rule.frequency <= rule.window for rule in rules)
    with Workspace() as workspace:
        workspace.add(whole(played))
        return {each.rule for each in play_rules(rules, workspace, since, played.ended)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_raises_its_alerts_and_no_others(name: str) -> None:
    """Among the work of a calm afternoon, one fault fires exactly the alerts that tell of it."""
    fault = FAULTS[name]
    began = DAY + timedelta(hours=BEGINS.get(name, 16))
    begin = began + BEFORE
    lasting = BEFORE + timedelta(minutes=fault.minutes) + AFTER
    if name == "secret_ends":
        lasting = timedelta(hours=1.75)

    assert fired(play(began, lasting, Plan({name: begin})), begin) == fault.raises


def test_a_calm_day_raises_nothing() -> None:
    """A whole day of charging, the quiet night and the busy evening, fires no alert."""
    played = play(DAY, timedelta(hours=24))

    assert len(played.envelopes) > 10_000
    assert fired(played, DAY) == set()


def test_each_alert_has_a_fault_that_raises_it() -> None:
    """No query alert is without its fault."""
    raised = frozenset().union(*(fault.raises for fault in FAULTS.values()))

    assert raised == {rule.name for rule in read_rules()}


def test_a_day_is_played_alike_each_time() -> None:
    """The same seed gives the same telemetry, another one another."""
    one, again, other = (play(DAY, timedelta(hours=1), seed=seed) for seed in (3, 3, 4))

    assert one.envelopes == again.envelopes
    assert one.envelopes != other.envelopes


def test_no_telemetry_tells_a_tag() -> None:
    """Not on a day with failing stores, unknown tags and guesses: every tag is a canary."""
    began = DAY + timedelta(hours=17)
    minute = timedelta(minutes=1)
    faults = ("stalled_tags", "guesser", "audit_away", "wrong_value", "poison")
    plan = Plan({name: began + (5 + 10 * n) * minute for n, name in enumerate(faults)})

    played = play(began, timedelta(minutes=80), plan)

    assert any("unknown_tag" in str(each) for each in played.envelopes)
    assert [each for each in played.envelopes if "CANARY" in str(each).upper()] == []


def test_a_new_app_is_not_late() -> None:
    """In the hour after a deployment, before any timer ran, nothing fires."""
    began = DAY + timedelta(hours=9, minutes=1)
    plan = Plan({"no_timer": began})

    assert fired(play(began, timedelta(minutes=30), plan), began) == set()
