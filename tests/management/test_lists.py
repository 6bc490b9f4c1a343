"""The lists: what is in the store, narrowed down as asked, for people and for programs."""

from __future__ import annotations

import pytest

from management.main import parser
from shared.storage.requests import counted
from tests import payloads
from tests.management.operator import Operator


def refused(*arguments: str) -> None:
    with pytest.raises(SystemExit) as error:
        parser().parse_args(arguments)
    assert error.value.code == 2


async def test_events_are_listed_as_a_table(operator: Operator) -> None:
    """For people: a heading, a line an event, and how many there were on standard error."""
    ran = await operator.run("events", "list", "--charger", "CH-0042", "--type", "ChargerBoot")

    assert ran.code == 0
    heading, line = ran.lines
    assert heading.split() == [
        *("INSTANT", "TYPE", "CHARGER", "SOCKET", "TRANSACTION", "GENERATION", "FLAGS")
    ]
    assert line.split() == ["2026-11-02T09:11:03.737391Z", "ChargerBoot", "CH-0042", "v2"]
    assert ran.err == "1 event\n"


async def test_events_are_listed_with_their_body(operator: Operator) -> None:
    """For programs: all that the journal knows of an event, the body as it came included."""
    ran = await operator.run("events", "list", "--json", "--type", "ChargingTransaction")

    found = {row["charger"]: row for row in ran.rows}
    assert found.keys() == {"CH-0042", "CH-0043"}
    assert found["CH-0042"]["body"] == payloads.start_v2().decode()
    assert found["CH-0042"]["transaction"] == "1032427936"
    assert found["CH-0043"]["flags"] == ["device_time_missing"]
    assert found["CH-0042"]["stored_at"] == "2026-11-03T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ("", 9),
        ("--charger CH-0042", 6),
        ("--charger CH-004", 0),
        ("--charger ch-0042", 0),
        ("--transaction 1032427936", 4),
        ("--transaction -1", 1),
        ("--type Measurements", 1),
        ("--from 2026-11-02", 8),
        ("--from 2026-11-02 --to 2026-11-02", 7),
        ("--from 2026-11-03", 1),
        ("--to 2026-11-02", 7),
        ("--to 2026-11-01", 0),
        ("--from 2026-11-02T09:11:03.680905Z --to 2026-11-02T09:11:03.680906Z", 2),
        ("--from 2026-11-02T09:11:03.680906Z --to 2026-11-02T09:11:32.399120Z", 1),
        ("--charger CH-0042 --from 2026-11-02 --to 2026-11-02 --type ChargerState", 2),
        ("--limit 3", 3),
        ("--limit 0", 0),
        ("--limit 99", 9),
        ("--from 2026-11-02 --limit 2", 2),
        ("--from 2027-01-01", 0),
        ("--from 2026-11-03 --to 2026-11-02", 0),
    ],
)
async def test_events_are_filtered(operator: Operator, arguments: str, count: int) -> None:
    """Charger, type, transaction and time narrow each other down; bounds are held exactly."""
    ran = await operator.run("events", "list", "--json", *arguments.split())

    assert (ran.code, len(ran.rows)) == (0, count)
    assert ran.err == ("1 event\n" if count == 1 else f"{count} events\n")


async def test_a_charger_s_day_is_one_range(operator: Operator) -> None:
    """With a charger and a day the journal is asked once, not walked; the stamp is one more."""
    day = ("--from", "2026-11-02", "--to", "2026-11-02T23:00Z")

    with counted() as requests:
        await operator.run("events", "list", "--charger", "CH-0042", *day)
    with counted() as of_type:
        one = ("--charger", "CH-0042", "--type", "Measurements")
        await operator.run("events", "list", *one, *day)

    assert (requests.total, of_type.total) == (1 + 5, 1 + 1)


async def test_sessions_are_listed(operator: Operator) -> None:
    """A line a session: state, ends, energy, who told it and what is odd about it."""
    ran = await operator.run("sessions", "list", "--charger", "CH-0042")
    as_json = await operator.run("sessions", "list", "--charger", "CH-0042", "--json")

    assert (
        ran.lines[1].split()
        == (
            "2026-11-02T09:11:32.400000Z 2026-11-02T10:41:43.633143Z ended CH-0042 1 1032427936 "
            "12300 start,stop"
        )
        .replace(",", ", ")
        .split()
    )
    (row,) = as_json.rows
    assert (row["sources"], row["findings"], row["tag"]) == (["start", "stop"], [], "TAG123")
    assert ran.err == "1 session\n"


@pytest.mark.parametrize(
    ("arguments", "chargers"),
    [
        ("", "CH-0042 CH-0043 CH-0044 CH-0045"),
        ("--state open", "CH-0043"),
        ("--state ended", "CH-0042 CH-0044 CH-0045"),
        ("--from 2026-11-02 --to 2026-11-02", "CH-0042 CH-0045"),
        ("--from 2026-11-03", "CH-0044"),
        ("--from 2026-11-03 --to 2026-11-03", "CH-0044"),
        ("--from 2026-11-03T00:00:01Z", ""),
        ("--to 2026-11-03T00:00:00Z", "CH-0042 CH-0045"),
        ("--from 2026-11-02T10:41:43.633143Z --to 2026-11-02T10:41:43.633144Z", "CH-0042"),
        ("--from 2026-11-02T10:00Z --to 2026-11-02T10:30Z", ""),
        ("--charger CH-0042 --from 2026-11-02T10:00Z --to 2026-11-02T10:30Z", ""),
        ("--charger CH-0043 --from 2026-11-02", ""),
        ("--to 2026-11-01", ""),
        ("--state open --from 2026-11-02 --to 2026-11-02", "CH-0043"),
        ("--state open --charger CH-0043 --from 2026-11-02", "CH-0043"),
        ("--state open --from 2026-11-03", ""),
        ("--touching --from 2026-11-02 --to 2026-11-02", "CH-0042 CH-0043 CH-0044 CH-0045"),
        ("--touching --from 2026-11-03", "CH-0043 CH-0044"),
        ("--touching --from 2026-11-03T00:00:01Z", "CH-0043"),
        ("--touching --from 2026-11-02T10:00Z --to 2026-11-02T10:30Z", "CH-0042 CH-0043"),
        ("--touching --to 2026-11-02T09:11:32.4Z", ""),
        ("--touching --state open --from 2026-11-03", "CH-0043"),
        ("--limit 0", ""),
        ("--limit 1 --from 2026-11-02", "CH-0042"),
    ],
)
async def test_sessions_are_filtered(operator: Operator, arguments: str, chargers: str) -> None:
    """By state, and by the time of their end: an open one has none, and touches all after it."""
    ran = await operator.run("sessions", "list", "--json", *arguments.split())

    assert sorted(ran.all("charger")) == chargers.split()


async def test_months_of_sessions_add_up(operator: Operator) -> None:
    """A session over midnight is in the month of its end, an open one in none."""
    await operator.ingest(
        payloads.full_v2(
            chargerId="CH-9",
            receivedTimestamp="2026-11-01T06:00:01Z",
            deviceTimeStampStart="2026-10-31T22:00:00Z",
            deviceTimeStampEnd="2026-11-01T06:00:00Z",
        )
    )

    months = []
    for first, last in (("2026-10-01", "2026-10-31"), ("2026-11-01", "2026-11-30")):
        ran = await operator.run("sessions", "list", "--json", "--from", first, "--to", last)
        months.append(ran.all("charger"))
    touching = await operator.run(
        *("sessions", "list", "--json", "--touching", "--to", "2026-10-31")
    )

    assert (months[0], sorted(months[1])) == ([], ["CH-0042", "CH-0044", "CH-0045", "CH-9"])
    assert touching.all("charger") == ["CH-9"]


async def test_findings_are_listed_with_their_session(operator: Operator) -> None:
    """A session with stops that contradict each other says so."""
    await operator.ingest(payloads.full_v2(consumptionWh=1))

    ran = await operator.run("sessions", "list", "--json", "--charger", "CH-0042")

    assert ran.all("findings") == [["stop_conflict", "energy_differs_from_meter"]]
    assert ran.all("held") == [True]


async def test_chargers_are_listed_with_their_sockets(operator: Operator) -> None:
    """A line for the charger itself, and one for each socket that told a state."""
    ran = await operator.run("chargers", "list", "--charger", "CH-0042", "--json")

    told = [(row["socket"], row["status"], row["model"], row["last_seen"]) for row in ran.rows]
    assert told == [
        (None, None, "Wallbox 22", "2026-11-02T10:30:00.000000Z"),
        (1, "Available", None, None),
        (2, "Faulted", None, None),
    ]
    assert len((await operator.run("chargers", "list")).lines) == 1 + 6
    assert (await operator.run("chargers", "list", "--charger", "CH", "--json")).rows == []


async def test_parked_messages_are_listed_with_their_reason(operator: Operator) -> None:
    """Why a message could not be read, and its bytes."""
    ran = await operator.run("parked", "list", "--json")
    one = await operator.run("parked", "list", "--json", "--reason", "bad_field")
    people = await operator.run("parked", "list", "--reason", "not_json")

    assert sorted(ran.all("reason")) == ["bad_field", "not_json"]
    assert one.all("body") == [payloads.start_v2(socketId="left").decode()]
    assert "socketId: expected a whole number from 0 on, found text 'left'" in one.rows[0]["detail"]
    words = people.lines[1].split()
    assert [words[0], *words[2:5]] == ["2026-11-03T12:00:00.000000Z", "parked", "not_json", "8"]
    assert people.err == "1 parked message\n"


async def test_an_empty_store_lists_nothing() -> None:
    """No rows are no fault."""
    operator = Operator()

    for group in ("events", "sessions", "chargers", "parked"):
        ran = await operator.run(group, "list")
        assert (ran.code, len(ran.lines)) == (0, 1)
        assert ran.err.startswith("0 ")
        assert (await operator.run(group, "list", "--json")).out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "events",
        "events lst",
        "events list --type Boot",
        "events list --from yesterday",
        "events list --to 2026-13-01",
        "events list --to 9999-12-31",
        "events list --limit -1",
        "events list --limit many",
        "sessions list --state closed",
        "tags import",
        "store drop",
    ],
)
def test_wrong_usage_is_refused(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the command line does not know ends with exit 2 and how it is used, before anything."""
    refused(*arguments.split())

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: ")
