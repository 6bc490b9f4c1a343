"""What a deployment costs and where it ends: `python infra/figures.py` prints the tables.

The assumptions and prices below are inputs: change them to yours. docs/cost.md and docs/limits.md
hold what this prints, and a test keeps them so. Standard library only.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS_A_DAY = 86_400
DAYS_A_MONTH = 30
SECONDS_A_MONTH = SECONDS_A_DAY * DAYS_A_MONTH
HOURS_A_MONTH = 730
MILLION = 1_000_000
FLEETS = (100, 1_000, 50_000)
GATHERINGS = ((1, 0), (20, 5), (100, 30))
"""Messages that a call waits for, for how many seconds: none, what we would try, the most."""

# A charger's day.
SESSIONS = 4
STATES = 20
CHARGING_HOURS = 6
MEASUREMENTS_AN_HOUR = 60
TAPS = 4
BYTES_OF_AN_EVENT = 1_000
BYTES_OF_A_ROW = 1_500

# Of the product: docs/performance.md, and one wide event for each invocation.
WORKER_SECONDS_AN_EVENT = 0.0035
SECONDS_OF_A_CALL = 0.05
"""What a call takes beside its events: waiting. What comes meanwhile is the next batch."""
MOST_OF_A_BATCH = 100
REQUESTS_OF_ONE_EVENT = 1.5
"""Counted for this mix: 1.3 for an event alone, 11 for 50 in a batch, 15 for 100: as its root."""
EVENTS_A_SECOND_AN_INSTANCE = 200
REQUESTS_A_TAP = 1
RECONCILIATION_SECONDS_A_RUN = 10
KILOBYTES_OF_LOG_AN_INVOCATION = 3
"""The wide event and what the host says beside it, in the traces and in the app's own log."""
KILOBYTES_OF_LOG_A_WRITE = 1
"""One line of the table service's log for each request that writes."""
JOURNAL_DAYS = 400
ROWS_OF_A_SESSION = 6
"""Two claims, the summary, the row by its end, and two under its tag."""
TAP_DAYS = 90
BACKUP_ROWS_A_SECOND = 5_000
"""Read, written down and compressed: 0.13 ms of a core for a row, and 60 ms for a page of 1,000."""
RESTORED_ROWS_A_SECOND = 1_900
"""Half a millisecond of a core for a row, which hides the waiting for 16 requests at once."""
RETAINED_ROWS_A_SECOND = 1_950
"""Half a millisecond of a core for a row of the journal, 16 transactions of 100 at once."""
RETAINED_SESSIONS_A_SECOND = 65
"""15 ms of a core for a session with its claims and two rows under its tag, eight at once."""
JOURNAL_DAYS_OF_A_SHORT_BACKUP = 7
BACKUP_MINUTES_A_RUN, MINUTES_BETWEEN_RUNS = 8, 15
BACKUP_SHARE = BACKUP_MINUTES_A_RUN / MINUTES_BETWEEN_RUNS

# Of Azure.
INSTANCE_GB = 2
SHORTEST_PAID_SECONDS = 1
"""https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#billing"""
OPERATIONS_A_MESSAGE = 3
"""Sent, delivered, completed: "any method call … counts", says Microsoft's Service Bus blog
(archive/blogs/servicebus/azure-service-bus-billing-vs-metrics-vs-current-monthly-cost)."""
QUEUE_GB = 5
STANDARD_OPERATIONS_A_SECOND = 1_000
ENTITIES_A_SECOND_A_PARTITION = 2_000
REQUESTS_A_SECOND_AN_ACCOUNT = 20_000
BUCKETS = 4
AVAILABILITY_PLACES = 3
AVAILABILITY_CALLS_AN_HOUR = 12
PEAK = 3
"""The busiest minutes of a day beside its average."""

# US dollars, of the kind that Azure lists for a European region, from memory: NOT VERIFIED. Azure's
# own pages fill their numbers in by script, and the copies that could be read have none
# (https://azure.microsoft.com/pricing/details/service-bus/ has the steps of Standard, no prices).
# Seen elsewhere, for the United States: on demand a GB-second 0.000026
# (https://modal.com/blog/azure-function-pricing-guide, May 2025), logs a GB "around 2.30"
# (https://monitoringcost.com/azure-monitor-cost, 2026).
PRICES = {
    "on demand, a GB-second": 0.000026,
    "on demand, a million executions": 0.40,
    "always ready, a GB-second": 0.000004,
    "always ready, a GB-second of work beside": 0.000016,
    "Service Bus Standard, a month": 10.0,
    "Service Bus Standard, a million operations from 13 to 100 million": 0.80,
    "Service Bus Standard, a million operations beyond": 0.50,
    "Service Bus Premium, a messaging unit and hour": 0.928,
    "table, ten thousand requests": 0.00036,
    "table, a GB and month (zone redundant)": 0.056,
    "logs, a GB": 2.76,
    "query alert every 5 minutes, a month": 1.50,
    "query alert every 15 minutes or less often, a month": 0.50,
    "metric alert, a series and month": 0.10,
    "availability test, a call": 0.0005,
    "private endpoint, an hour": 0.01,
    "NAT gateway and its address, an hour": 0.05,
}
FREE_GB_SECONDS = 100_000
FREE_EXECUTIONS = 250_000
INCLUDED_OPERATIONS = 13 * MILLION
STEP_OF_OPERATIONS = 100 * MILLION
PRIVATE_ENDPOINTS = 7


@dataclass(frozen=True)
class Traffic:
    """What a fleet sends."""

    chargers: int
    gathered: int = 1
    """How many messages a call waits for: `gatherMessages`, the host's `minMessageBatchSize`."""
    within: float = 5
    """For how many seconds since the first: `gatherSeconds`, the host's `maxBatchWaitTime`."""

    @property
    def events_a_day(self) -> int:
        """Start, stop and the full message of each session, states, meter values."""
        return self.chargers * (3 * SESSIONS + STATES + CHARGING_HOURS * MEASUREMENTS_AN_HOUR)

    @property
    def events_a_second(self) -> float:
        """The average of a day."""
        return self.events_a_day / SECONDS_A_DAY

    @property
    def events_a_month(self) -> int:
        """Thirty days."""
        return self.events_a_day * DAYS_A_MONTH

    @property
    def taps_a_month(self) -> int:
        """Thirty days."""
        return self.chargers * TAPS * DAYS_A_MONTH

    @property
    def instances(self) -> int:
        """As few of ingestion as can keep up with the average."""
        return max(1, math.ceil(self.events_a_second / EVENTS_A_SECOND_AN_INSTANCE))

    @property
    def events_a_batch(self) -> float:
        """What comes while an instance is at the batch before, or what is gathered."""
        each = self.events_a_second / self.instances
        meanwhile = each * SECONDS_OF_A_CALL / (1 - each * WORKER_SECONDS_AN_EVENT)
        return min(MOST_OF_A_BATCH, max(1.0, meanwhile, 1 + each * self.seconds_gathered))

    @property
    def seconds_gathered(self) -> float:
        """How long the first of a batch waits for the others, at most `within`."""
        return min(self.within, (self.gathered - 1) * self.instances / self.events_a_second)

    @property
    def requests_an_event(self) -> float:
        """To Table Storage: the larger the batch, the more rows go together."""
        return REQUESTS_OF_ONE_EVENT / math.sqrt(self.events_a_batch)

    @property
    def batches_a_month(self) -> float:
        """Thirty days."""
        return self.events_a_month / self.events_a_batch

    @property
    def log_gb_a_month(self) -> float:
        """A line for each invocation, and one for each write."""
        invocations = self.batches_a_month + self.taps_a_month
        writes = self.events_a_month * self.requests_an_event
        kilobytes = invocations * KILOBYTES_OF_LOG_AN_INVOCATION + writes * KILOBYTES_OF_LOG_A_WRITE
        return kilobytes / 1e6


def paid_seconds(calls: float, seconds: float, instances: int) -> float:
    """Seconds of instances that so many calls are paid as: a second each, never more than all."""
    return min(calls * max(SHORTEST_PAID_SECONDS, seconds), instances * SECONDS_A_MONTH)


def timer_seconds(traffic: Traffic) -> float:
    """What backups and retention, when the journal is full, and reconciliation run in a month."""
    most = SECONDS_A_DAY * BACKUP_SHARE
    a_day = min(hours_of_reading(traffic.chargers) * 3600, most)
    a_day += min(seconds_of_deleting(traffic.chargers), most)
    runs = SECONDS_A_MONTH / 60 / MINUTES_BETWEEN_RUNS
    # A run of retention that finds the day's work done takes as long as the shortest that is paid.
    each = RECONCILIATION_SECONDS_A_RUN + SHORTEST_PAID_SECONDS
    return a_day * DAYS_A_MONTH + runs * each


def ingestion_seconds(traffic: Traffic) -> float:
    """What batches are paid as in a month."""
    of_a_batch = SECONDS_OF_A_CALL + traffic.events_a_batch * WORKER_SECONDS_AN_EVENT
    return paid_seconds(traffic.batches_a_month, of_a_batch, traffic.instances)


def on_demand(traffic: Traffic) -> float:
    """Ingestion, backups and reconciliation."""
    seconds = ingestion_seconds(traffic) + timer_seconds(traffic)
    gb_seconds = seconds * INSTANCE_GB - FREE_GB_SECONDS
    executions = max(0, traffic.batches_a_month - FREE_EXECUTIONS) / MILLION
    return (
        max(0, gb_seconds) * PRICES["on demand, a GB-second"]
        + executions * PRICES["on demand, a million executions"]
    )


def always_ready(traffic: Traffic) -> float:
    """One instance for taps: that it is there, and what it does. Nothing of this is free."""
    calls = traffic.taps_a_month + AVAILABILITY_PLACES * AVAILABILITY_CALLS_AN_HOUR * HOURS_A_MONTH
    return (
        INSTANCE_GB
        * (
            HOURS_A_MONTH * 3600 * PRICES["always ready, a GB-second"]
            + paid_seconds(calls, 0, 1) * PRICES["always ready, a GB-second of work beside"]
        )
        + calls / MILLION * PRICES["on demand, a million executions"]
    )


def kept_ready(seconds: float) -> float:
    """What an instance costs more a month, kept ready for so many seconds of work, than without."""
    return INSTANCE_GB * (
        HOURS_A_MONTH * 3600 * PRICES["always ready, a GB-second"]
        + seconds * PRICES["always ready, a GB-second of work beside"]
        - seconds * PRICES["on demand, a GB-second"]
    )


def costs(traffic: Traffic) -> dict[str, float]:
    """US dollars a month by driver."""
    requests = (
        traffic.events_a_month * traffic.requests_an_event + traffic.taps_a_month * REQUESTS_A_TAP
    )
    stored_gb = traffic.events_a_day * JOURNAL_DAYS * BYTES_OF_A_ROW / 1e9
    return {
        "instances on demand": on_demand(traffic),
        "one instance always ready": always_ready(traffic),
        "Service Bus": min(standard(traffic), premium()),
        "table requests": requests / 1e4 * PRICES["table, ten thousand requests"],
        "tables, when the journal is full": stored_gb
        * PRICES["table, a GB and month (zone redundant)"],
        "logs": traffic.log_gb_a_month * PRICES["logs, a GB"],
        "alerts and the availability test": watching(),
    }


def watching() -> float:
    """The rules of infra/monitoring, one series for each value, and the calls from outside."""
    lists = Path(__file__).resolve().parent / "monitoring"
    queries, metrics = (
        json.loads((lists / name).read_text(encoding="utf-8"))["alerts"]
        for name in ("alerts.json", "metric-alerts.json")
    )
    often = sum(alert["frequency"] == "PT5M" for alert in queries)
    calls = AVAILABILITY_PLACES * AVAILABILITY_CALLS_AN_HOUR * HOURS_A_MONTH
    cost: float = (
        often * PRICES["query alert every 5 minutes, a month"]
        + (len(queries) - often) * PRICES["query alert every 15 minutes or less often, a month"]
        + sum(max(1, len(alert["values"])) for alert in metrics)
        * PRICES["metric alert, a series and month"]
        + calls * PRICES["availability test, a call"]
    )
    return cost


def standard(traffic: Traffic) -> float:
    """Service Bus Standard, a month."""
    operations = OPERATIONS_A_MESSAGE * traffic.events_a_month
    first = min(max(0, operations - INCLUDED_OPERATIONS), STEP_OF_OPERATIONS - INCLUDED_OPERATIONS)
    rest = max(0, operations - STEP_OF_OPERATIONS)
    return (
        PRICES["Service Bus Standard, a month"]
        + first
        / MILLION
        * PRICES["Service Bus Standard, a million operations from 13 to 100 million"]
        + rest / MILLION * PRICES["Service Bus Standard, a million operations beyond"]
    )


def premium() -> float:
    """Service Bus Premium with one messaging unit, a month."""
    return HOURS_A_MONTH * PRICES["Service Bus Premium, a messaging unit and hour"]


def isolation() -> float:
    """What a closed network adds a month, Premium aside."""
    return HOURS_A_MONTH * (
        PRIVATE_ENDPOINTS * PRICES["private endpoint, an hour"]
        + PRICES["NAT gateway and its address, an hour"]
    )


def cost_table() -> list[str]:
    """The worked example of docs/cost.md."""
    fleets = [costs(Traffic(chargers)) for chargers in FLEETS]
    lines = [
        "| US dollars a month | " + " | ".join(f"{n:,} chargers" for n in FLEETS) + " |",
        "|---|" + "---:|" * len(FLEETS),
        *(
            f"| {driver} | " + " | ".join(f"{each[driver]:,.0f}" for each in fleets) + " |"
            for driver in fleets[0]
        ),
        "| **together** | " + " | ".join(f"**{sum(e.values()):,.0f}**" for e in fleets) + " |",
    ]
    per_charger = (sum(e.values()) / n for e, n in zip(fleets, FLEETS, strict=True))
    lines.append("| a charger | " + " | ".join(f"{each:,.2f}" for each in per_charger) + " |")
    return lines


def by_fleet(rows: dict[str, list[str]]) -> list[str]:
    """A table with a column for each fleet."""
    return [
        "| | " + " | ".join(f"{n:,} chargers" for n in FLEETS) + " |",
        "|---|" + "---:|" * len(FLEETS),
        *(f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()),
    ]


def gathering_table() -> list[str]:
    """What gathering messages saves and takes, for docs/cost.md."""
    rows: dict[str, list[str]] = {}
    for messages, seconds in GATHERINGS:
        what = f"{messages} or {seconds} s" if messages > 1 else "nothing gathered"
        for fleet in (Traffic(n, messages, seconds) for n in FLEETS):
            for name, value in {
                f"**{what}**: dollars a month": f"**{sum(costs(fleet).values()):,.0f}**",
                f"{what}: messages in a call": f"{fleet.events_a_batch:,.1f}",
                f"{what}: seconds that the first waits": f"{fleet.seconds_gathered:,.1f}",
            }.items():
                rows.setdefault(name, []).append(value)
    return by_fleet(rows)


def drain_minutes(traffic: Traffic, hours: float, deliveries_a_second: float) -> float:
    """How long a backlog of so many hours takes while new events go on arriving."""
    backlog = traffic.events_a_second * hours * 3600
    return backlog / (deliveries_a_second - traffic.events_a_second) / 60


def limit_table() -> list[str]:
    """The arithmetic of docs/limits.md: what each limit leaves for each fleet."""
    rows: dict[str, list[str]] = {}
    for traffic in map(Traffic, FLEETS):
        peak = traffic.events_a_second * PEAK
        instances = max(1, -(-peak // EVENTS_A_SECOND_AN_INSTANCE))
        # Standard counts sending and delivering together.
        deliveries = STANDARD_OPERATIONS_A_SECOND - traffic.events_a_second
        backlog = traffic.events_a_second * 2 * 3600
        for name, value in {
            "events a second, average": f"{traffic.events_a_second:,.1f}",
            "events a second, peak": f"{peak:,.0f}",
            "instances of ingestion at the peak": f"{instances:.0f}",
            "Service Bus Standard, used at the peak": (
                f"{2 * peak / STANDARD_OPERATIONS_A_SECOND:.0%}"
            ),
            "busiest partition, used at the peak": (
                f"{peak / BUCKETS / ENTITIES_A_SECOND_A_PARTITION:.1%}"
            ),
            "account, used at the peak": (
                f"{peak * traffic.requests_an_event / REQUESTS_A_SECOND_AN_ACCOUNT:.1%}"
            ),
            "messages after two hours of outage": f"{backlog:,.0f}",
            "of a queue of 5 GB": f"{backlog * BYTES_OF_AN_EVENT / (QUEUE_GB * 1e9):.0%}",
            "minutes to drain them on Standard": f"{drain_minutes(traffic, 2, deliveries):,.0f}",
            "instances that this takes": f"{-(-deliveries // EVENTS_A_SECOND_AN_INSTANCE):.0f}",
            "minutes with 20 instances on Premium": (
                f"{drain_minutes(traffic, 2, 20 * EVENTS_A_SECOND_AN_INSTANCE):,.0f}"
            ),
        }.items():
            rows.setdefault(name, []).append(value)
    return by_fleet(rows)


def rows_after_a_year(chargers: int) -> int:
    """Of the journal, of sessions and of taps."""
    sessions = SESSIONS * ROWS_OF_A_SESSION * 365
    return chargers * (Traffic(1).events_a_day * 365 + sessions + TAPS * TAP_DAYS)


def hours_of_reading(chargers: int) -> float:
    """What one backup of them takes at least."""
    return rows_after_a_year(chargers) / BACKUP_ROWS_A_SECOND / 3600


def backup_table() -> list[str]:
    """What a backup and a restore take after a year, for docs/limits.md."""
    rows: dict[str, list[str]] = {}
    for chargers in FLEETS:
        stored = rows_after_a_year(chargers)
        reading = hours_of_reading(chargers)
        taking = reading * MINUTES_BETWEEN_RUNS / BACKUP_MINUTES_A_RUN
        older = chargers * Traffic(1).events_a_day * (365 - JOURNAL_DAYS_OF_A_SHORT_BACKUP)
        for name, value in {
            "millions of rows after a year": f"{stored / 1e6:,.0f}",
            "hours of reading": f"{reading:,.1f}",
            "hours that a backup takes, eight minutes in each quarter": f"{taking:,.1f}",
            "the same with a week of the journal": f"{taking * (1 - older / stored):,.1f}",
            "hours to write all of them into an empty store": (
                f"{stored / RESTORED_ROWS_A_SECOND / 3600:,.1f}"
            ),
        }.items():
            rows.setdefault(name, []).append(value)
    return by_fleet(rows)


def seconds_of_deleting(chargers: int) -> float:
    """What a day takes to delete when it is beyond its age: events, taps and sessions."""
    rows = chargers * (Traffic(1).events_a_day + TAPS)
    return rows / RETAINED_ROWS_A_SECOND + chargers * SESSIONS / RETAINED_SESSIONS_A_SECOND


def retention_table() -> list[str]:
    """What retention deletes each day, and how much of its time that takes, for docs/limits.md."""
    rows: dict[str, list[str]] = {}
    for chargers in FLEETS:
        seconds = seconds_of_deleting(chargers)
        for name, value in {
            "rows of the journal a day": f"{chargers * Traffic(1).events_a_day:,}",
            "sessions a day": f"{chargers * SESSIONS:,}",
            "minutes to delete them": f"{seconds / 60:,.1f}",
            "of eight minutes in each quarter": f"{seconds / SECONDS_A_DAY / BACKUP_SHARE:.0%}",
            "of eight minutes once a night": f"{seconds / 60 / BACKUP_MINUTES_A_RUN:.0%}",
        }.items():
            rows.setdefault(name, []).append(value)
    return by_fleet(rows)


def main(arguments: Sequence[str]) -> int:
    """Print all tables; the exit code."""
    if arguments:
        print(__doc__)
        return 0 if arguments[0] in {"-h", "--help"} else 2
    tables = (cost_table(), gathering_table(), limit_table(), backup_table(), retention_table())
    print("\n\n".join("\n".join(table) for table in tables))
    print(
        f"\na closed network adds {isolation():,.0f} US dollars a month, Premium {premium():,.0f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
