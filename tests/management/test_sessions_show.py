"""One session whole: each claim beside the others, and the events they came from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from shared.sessions.claims import Claim, Source
from shared.sessions.writer import SessionWriter
from shared.storage.tables import SESSIONS
from tests import payloads
from tests.management.operator import SECRET, Operator


async def test_claims_stand_side_by_side(operator: Operator) -> None:
    """What start and two stops say, field by field beside the summary; the events in order."""
    await operator.ingest(payloads.full_v2(consumptionWh=1))

    ran = await operator.run("sessions", "show", "CH-0042", "1032427936")

    lines = {line.split()[0]: line.split()[1:] for line in ran.lines if line.strip()}
    assert lines["FIELD"] == ["SUMMARY", "1", "START", "2", "STOP", "3", "STOP"]
    assert sorted(lines["energy_wh"][1:]) == ["1", "12300"]
    assert lines["findings"][0].startswith("stop_conflict,")
    assert lines["meter_start_wh"] == ["1000", "1000", "1000", "1000"]
    types = [line.split()[1] for line in ran.lines if line.startswith("2026-")]
    assert types == ["ChargingTransaction", "Measurements", *["FullChargingTransaction"] * 2]
    assert ran.err == "3 claims, 4 events\n"


async def test_a_program_gets_one_object(operator: Operator) -> None:
    """Summary, claims and events whole."""
    ran = await operator.run("sessions", "show", "CH-0042", "1032427936", "--json")

    (told,) = ran.rows
    assert told["summary"]["energy_wh"] == 12300
    assert [claim["source"] for claim in told["claims"]] == ["start", "stop"]
    assert [event["type"] for event in told["events"]] == [
        "ChargingTransaction",
        "Measurements",
        "FullChargingTransaction",
    ]
    assert told["events"][0]["digest"] == told["claims"][0]["digest"]


async def test_a_session_without_an_id_is_found_by_its_key(operator: Operator) -> None:
    """The last part of the field `session` that a list shows."""
    listed = await operator.run("sessions", "list", "--charger", "CH-0044", "--json")
    name = listed.all("session")[0].partition("|")[2]

    ran = await operator.run("sessions", "show", "CH-0044", name, "--json")

    assert name.startswith("=none-stop-")
    assert ran.rows[0]["summary"]["transaction"] == "-1"


async def test_an_item_that_emabler_lists_no_more_is_told(operator: Operator) -> None:
    """Of two items of REST the one that is gone says so, and the summary shows the other one."""
    told = Claim(
        source=Source.REST, charger="CH-0042", transaction="1032427936", name="9", digest="a"
    )
    observed = datetime(2026, 11, 3, tzinfo=UTC)
    gone = replace(told, gone=True, observed=observed)
    other = replace(told, name="10", digest="b", observed=observed)
    writer = SessionWriter(operator.tables, buckets=4, tag_hash_key=SECRET.encode())
    await writer.write([gone, other])

    ran = await operator.run("sessions", "show", "CH-0042", "1032427936")

    lines = {line.split()[0]: line.split()[1:] for line in ran.lines if line.strip()}
    heads = lines["FIELD"]
    assert (heads.count("REST"), lines["name"].count("9"), lines["gone"]) == (2, 1, ["yes"])
    ran = await operator.run("sessions", "show", "CH-0042", "1032427936", "--json")
    assert ran.rows[0]["summary"]["rest_id"] == "10"
    assert [c.get("gone") for c in ran.rows[0]["claims"] if c["source"] == "rest"] == [None, True]


async def test_what_is_not_there_is_told(operator: Operator) -> None:
    """Exit 1, and where to look."""
    ran = await operator.run("sessions", "show", "CH-0042", "999")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: not_found: there is no such session. What to do: python")
    assert operator.tables.rows(SESSIONS)


async def test_what_is_listed_in_place_of_an_id_finds_the_session(operator: Operator) -> None:
    """`-1` is no transaction's id: it means the session that came with it, if that is one."""
    ran = await operator.run("sessions", "show", "CH-0044", "-1", "--json")
    assert (ran.code, ran.rows[0]["summary"]["transaction"]) == (0, "-1")
    await operator.ingest(
        payloads.full_v2(
            chargerId="CH-0044",
            transactionId="-1",
            deviceTimeStampStart="2026-11-02T20:00:00Z",
            deviceTimeStampEnd="2026-11-02T21:00:00Z",
        )
    )

    several = await operator.run("sessions", "show", "CH-0044", "-1")

    assert (several.code, several.out) == (1, "")
    assert several.err.startswith("error: several_found: 2 sessions of CH-0044 came with -1, ")
    names = several.err.rpartition(": ")[2].strip().split(", ")
    for name in names:
        assert (await operator.run("sessions", "show", "CH-0044", name)).code == 0
    assert len(set(names)) == 2
