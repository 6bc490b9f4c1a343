"""The alerts: described in one place each, and the metric alerts on series that must fire them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.infra.compiler import INFRA
from tests.infra.deployment import Deployment
from tests.infra.guards.alerts import METRIC_ALERTS, QUERY_ALERTS, listed, name_of
from tests.infra.limits import minutes_of
from tests.infra.metrics import Point, firings
from tests.infra.template import definition
from tests.infra.test_deployment import DEPLOYMENTS
from tests.test_docs import CHECKOUT, page

DAY = 24 * 60
QUERIES, METRICS = listed("alerts.json"), listed("metric-alerts.json")
NAMES = [alert["name"] for alert in (*QUERIES, *METRICS)]
RUNBOOKS = CHECKOUT / "docs" / "runbooks"


def deployed(deployment: str, alert: str) -> dict[str, Any]:
    """The rule of an alert in one of the deployments."""
    (chosen,) = (each for each in DEPLOYMENTS if each.name == deployment)
    (rule,) = (each for each in rules(chosen) if name_of(each) == alert)
    return rule


def rules(deployment: Deployment) -> Iterable[dict[str, Any]]:
    return (*deployment.of(QUERY_ALERTS), *deployment.of(METRIC_ALERTS))


def fires(deployment: str, alert: str, *points: Point, minutes: int = 60) -> list[int]:
    return firings(deployed(deployment, alert), points, minutes)


def letters(minute: int, count: float, queue: str = "push-events") -> Point:
    return Point(minute, count, dimensions={"EntityName": queue})


def answers(minute: int, count: float, kind: str) -> Point:
    return Point(minute, count, dimensions={"ResponseType": kind})


def calls(minute: int, *percents: float) -> Point:
    name = deployed("plain", "availability")["properties"]["criteria"]["allOf"][0]
    (test,) = name["dimensions"][0]["values"]
    return Point(minute, sum(percents), len(percents), dimensions={"availabilityResult/name": test})


def test_each_alert_can_be_set_and_no_other() -> None:
    """The type of the parameter names each alert of infra/monitoring, in its words and order."""
    declared, _ = definition("alertsType")
    told = {
        name: each["metadata"]["description"].removeprefix("Optional. ").partition(".")[0]
        for name, each in declared["properties"].items()
    }

    assert list(told) == NAMES
    assert list(told.values()) == [alert["title"] for alert in (*QUERIES, *METRICS)]
    assert declared["additionalProperties"] is False


def test_each_query_is_a_file_and_each_file_a_query() -> None:
    """No query is left over, and none is missing."""
    files = {path.stem for path in (INFRA / "monitoring" / "alerts").glob("*.kql")}

    assert files == {alert["name"] for alert in QUERIES}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """Each page of docs/runbooks is about one alert, opens with its title, and is linked."""
    pages = {path.stem: path.read_text("utf-8") for path in RUNBOOKS.glob("*.md")}
    index = pages.pop("README")

    assert pages.keys() == set(NAMES)
    assert re.findall(r"\]\((\w+)\.md\)", index) == NAMES
    for alert in (*QUERIES, *METRICS):
        assert alert["runbook"] == f"docs/runbooks/{alert['name']}.md"
        assert pages[alert["name"]].startswith(f"# {alert['title']}\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_and_what_to_do(name: str) -> None:
    """Four parts, in this order, and commands in those of looking and of being over."""
    text = page(f"docs/runbooks/{name}.md")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    parts = dict(zip(headings, re.split(r"^## .+$", text, flags=re.MULTILINE)[1:], strict=True))

    assert headings == ["What it means", "How to look", "What to do", "When it is over"]
    assert all(len(part.split()) >= 8 for part in parts.values())
    for part in ("How to look", "When it is over"):
        assert re.search(r"python manage\.py|^az |\baz \w+", parts[part], re.MULTILINE), part


def test_the_index_of_runbooks_says_how_each_alert_is_set() -> None:
    """docs/runbooks/README.md has a row for each alert: severity, default threshold, times."""
    rows = re.findall(
        r"^\| \[(.+)\]\((\w+)\.md\) \| (\d) \| (.+) \| (.+) \| (.+) \|$",
        page("docs/runbooks/README.md"),
        re.MULTILINE,
    )
    signs = {"GreaterThan": "over", "LessThan": "under"}

    assert rows == [
        (
            alert["title"],
            alert["name"],
            str(alert["severity"]),
            f"{signs[alert['operator']]} {alert['threshold']} {alert['unit']}",
            alert["window"],
            alert["frequency"],
        )
        for alert in (*QUERIES, *METRICS)
    ]


@pytest.mark.parametrize("alert", [*QUERIES, *METRICS], ids=lambda each: each["name"])
def test_what_comes_late_is_seen_all_the_same(alert: dict[str, Any]) -> None:
    """Looks overlap: a line that reaches the workspace minutes late is in the next one."""
    assert minutes_of(alert["window"]) >= 2 * minutes_of(alert["frequency"])


def test_each_address_is_told_once() -> None:
    """Of a list with a blank end and an address twice, Azure takes no receiver that it refuses."""
    group = DEPLOYMENTS_BY_NAME["large"].one("Microsoft.Insights/actionGroups")

    assert [each["name"] for each in group["properties"]["emailReceivers"]] == [
        "oncall@operator.example",
        "charging@operator.example",
    ]


def test_what_an_operator_sets_of_an_alert_is_deployed() -> None:
    """Threshold, severity, window and silence of one alert, and no other alert's."""
    plain = {name_of(each): each["properties"] for each in rules(DEPLOYMENTS_BY_NAME["plain"])}
    large = {name_of(each): each["properties"] for each in rules(DEPLOYMENTS_BY_NAME["large"])}

    def shown(properties: dict[str, Any]) -> list[object]:
        (condition,) = properties["criteria"]["allOf"]
        return [
            properties["enabled"],
            properties["severity"],
            condition["threshold"],
            properties["windowSize"],
        ]

    differing = {name for name in plain if shown(plain[name]) != shown(large[name])}
    assert differing == {
        *("parked_messages", "ingestion_age", "reconciliation_failing"),
        *("dead_letters", "queue_waiting", "availability", "daily_cap"),
    }
    assert shown(large["parked_messages"])[0] is False
    assert shown(large["ingestion_age"]) == [True, 1, 50, "PT30M"]
    assert shown(large["dead_letters"]) == [True, 2, 10, "PT30M"]
    # Four fifths of the cap: of 5 GB, and of 1,000 GB.
    assert (shown(plain["daily_cap"])[2], shown(large["daily_cap"])[2]) == (4_000, 800_000)


DEPLOYMENTS_BY_NAME = {each.name: each for each in DEPLOYMENTS}


def test_receivers_are_those_that_were_named() -> None:
    """Each address once, webhooks with a token where an application guards them; none: none."""
    plain, isolated = (
        DEPLOYMENTS_BY_NAME[name].one("Microsoft.Insights/actionGroups")["properties"]
        for name in ("plain", "isolated")
    )

    assert plain["emailReceivers"] == plain["webhookReceivers"] == []
    assert [each["emailAddress"] for each in isolated["emailReceivers"]] == [
        "oncall@operator.example",
        "charging@operator.example",
    ]
    assert [each["useAadAuth"] for each in isolated["webhookReceivers"]] == [True, False]


def test_the_availability_test_is_where_it_can_call() -> None:
    """By default not where callers are named; let through on request; never, when so set."""
    tested = {
        each.name
        for each in DEPLOYMENTS
        if each.one("Microsoft.Insights/webtests")["properties"]["Enabled"]
    }

    assert tested == {"plain", "large", "isolated"}


def test_a_dead_letter_fires() -> None:
    """One letter is enough, for as long as it lies there and a window longer."""
    quiet = [letters(minute, 0) for minute in range(60)]
    found = [*quiet[:20], *(letters(minute, 1) for minute in range(20, 40)), *quiet[40:]]

    assert fires("plain", "dead_letters", *quiet) == []
    assert fires("plain", "dead_letters", *found) == [25, 30, 35, 40, 45, 50]


def test_dead_letters_of_another_queue_do_not_fire() -> None:
    """The rule is about the queue of push events."""
    assert fires("plain", "dead_letters", *(letters(n, 9, "other") for n in range(60))) == []


def test_a_threshold_of_dead_letters_holds_below_it() -> None:
    """An operator who is content with ten letters is told of the eleventh."""
    assert fires("large", "dead_letters", *(_large_letters(n, 10) for n in range(60))) == []
    assert fires("large", "dead_letters", *(_large_letters(n, 11) for n in range(60)))


def _large_letters(minute: int, count: float) -> Point:
    return letters(minute, count, "push-events-of-the-whole-fleet")


def waiting(rate: int, begins: int, ends: int, minutes: int) -> Iterable[Point]:
    """The queue of a fleet that sends so many a minute, of which none is taken for a time.

    Otherwise some seconds' worth wait, and a burst of ten minutes' worth comes once an hour.
    """
    held = 0
    for minute in range(minutes):
        held = held + rate if begins <= minute < ends else max(0, held - 10 * rate)
        yield letters(minute, held + rate // 4 + (10 * rate if minute % 60 == 0 else 0))


def test_a_queue_that_nobody_empties_fires() -> None:
    """100 chargers send 27 messages a minute: within three quarters of an hour it is told."""
    stopped = fires("plain", "queue_waiting", *waiting(27, 60, 180, 300), minutes=300)

    assert 60 < stopped[0] <= 105
    assert stopped == list(range(stopped[0], stopped[-1] + 1, 5))
    assert stopped[-1] <= 205, "it ends when they are taken again"


def test_a_queue_that_is_emptied_does_not_fire() -> None:
    """Bursts of a few minutes, a day long, and messages of another queue are no backlog."""
    other = [letters(minute, 9_000, "other") for minute in range(DAY)]
    large = [
        Point(each.minute, each.total, dimensions={"EntityName": "push-events-of-the-whole-fleet"})
        for each in waiting(13_600, 0, 0, DAY)
    ]

    for rate in (27, 270):
        assert fires("plain", "queue_waiting", *waiting(rate, 0, 0, DAY), minutes=DAY) == []
    assert fires("plain", "queue_waiting", *other, minutes=DAY) == []
    assert fires("large", "queue_waiting", *large, minutes=DAY) == []


@pytest.mark.parametrize(
    "kind",
    [
        *("ServerBusyError", "ServerTimeoutError", "ClientThrottlingError"),
        *("ClientAccountRequestThrottlingError", "ClientAccountBandwidthThrottlingError"),
    ],
)
def test_a_store_that_turns_requests_away_fires(kind: str) -> None:
    """Six a minute for ten minutes are over the threshold; when they stop, it ends."""
    points = [answers(minute, 6, kind) for minute in range(10, 20)]

    assert fires("plain", "table_throttling", *points) == [20, 25]


def test_a_busy_day_of_the_store_does_not_fire() -> None:
    """Thousands of good answers, the conflicts of ingestion, and a busy answer now and then."""
    points = [
        *(answers(minute, 5_000, "Success") for minute in range(DAY)),
        *(answers(minute, 300, "ClientOtherError") for minute in range(DAY)),
        *(answers(minute, 2, "ServerBusyError") for minute in range(DAY)),
    ]

    assert fires("plain", "table_throttling", *points, minutes=DAY) == []


def test_two_places_without_an_answer_fire() -> None:
    """Two of three calls fail for a quarter of an hour; one of three for a day does not fire."""
    good = [calls(minute, 100, 100, 100) for minute in range(0, DAY, 5)]
    one_place = [calls(minute, 100, 100, 0) for minute in range(0, DAY, 5)]
    outage = [
        calls(minute, 100, 0, 0) if 30 <= minute < 45 else calls(minute, 100, 100, 100)
        for minute in range(0, 120, 5)
    ]

    assert fires("plain", "availability", *good, minutes=DAY) == []
    assert fires("plain", "availability", *one_place, minutes=DAY) == []
    assert fires("plain", "availability", *outage, minutes=120) == [40, 45, 50]


def test_an_outage_is_told_within_ten_minutes() -> None:
    """When no place is answered any more, the second round of calls is enough."""
    gone = [calls(minute, *([100] * 3 if minute < 30 else [0] * 3)) for minute in range(0, 120, 5)]

    assert fires("plain", "availability", *gone, minutes=120)[0] <= 40


def test_a_test_that_does_not_report_says_nothing() -> None:
    """A rule on a metric is silent without points: docs/runbooks/availability.md says so."""
    assert fires("plain", "availability", minutes=DAY) == []


@pytest.mark.parametrize(
    ("text", "minutes"), [("PT5M", 5), ("PT1H", 60), ("P2D", 2880), ("P1DT2H3M", 1563)]
)
def test_durations_are_read(text: str, minutes: int) -> None:
    """Days, hours and minutes; anything else is refused."""
    assert minutes_of(text) == minutes
    for wrong in ("", "P", "PT", "5M", "PT5S"):
        with pytest.raises(ValueError, match=f"^{wrong}$"):
            minutes_of(wrong)
