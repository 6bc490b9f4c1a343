"""Claims without a transaction id find each other, in any order, again and again, and keep it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.azurite import Azurite
from shared.emabler.models.sessions import read_finished_session
from shared.identifiers import bucket_of
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Search
from shared.reconciliation.pairing import as_paired, belong_together
from shared.reconciliation.pairing_writer import Pairing
from shared.reconciliation.rest_claims import rest_claim
from shared.sessions.claims import Claim, Source, claim_from_row
from shared.sessions.indexes import NAMELESS_ROWS, index_rows
from shared.sessions.plausibility import USUAL
from shared.sessions.rebuilding import Rebuilding, session_of
from shared.sessions.summary import fold, summary_row
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Delete
from shared.storage.tables import SESSIONS
from tests.reconciliation.books import HASH_KEY, NOW
from tests.reconciliation.two_sides import CHARGER, END, START, TwoSides, start, stop
from tests.stores import InMemory, OnAzurite, content, is_claim

SECOND = timedelta(seconds=1)
BUCKET = bucket_of(CHARGER, 2)


def nameless_rest(number: int = 9, *, transaction: str = "-1", **fields: Any) -> Claim:
    told = {
        "id": number,
        "chargerId": CHARGER,
        "socketId": 1,
        "evseTransactionId": transaction,
        "timestampStart": START.isoformat(),
        "timestampEnd": END.isoformat(),
        "authorizedTagId": "T1",
        "fullConsumptionWh": 12_000,
    }
    session = read_finished_session(told | fields)
    assert session is not None
    return rest_claim(session, NOW)


def nameless_start(**fields: Any) -> Claim:
    return start(**({"transaction": "-1"} | fields))


def nameless_stop(**fields: Any) -> Claim:
    return stop(**({"transaction": "0"} | fields))


ALL_THREE = (nameless_start(start=START + SECOND), nameless_stop(), nameless_rest())
LATE_TWIN = nameless_stop(energy_wh=12_500.0)


def check(sides: TwoSides) -> None:
    """Summaries and index rows follow from the claims beside them; copies agree with their own."""
    sessions: dict[str, list[Claim]] = {}
    for row in sides.tables.rows(SESSIONS):
        if is_claim(row):
            claim = claim_from_row(row)
            assert claim.key == row.key
            sessions.setdefault(claim.session, []).append(claim)
    wanted = {
        row.key: dict(row.columns)
        for name, claims in sessions.items()
        for folded in [fold(claims)]
        for row in (
            summary_row(folded, BUCKET, name),
            *index_rows(BUCKET, name, claims, folded),
        )
    }
    found = {r.key: dict(r.columns) for r in sides.tables.rows(SESSIONS) if not is_claim(r)}
    assert found == wanted
    copies = {c.key for claims in sessions.values() for c in claims if c.within}
    parts = {
        replace(c, part_of=None, within=c.part_of).key
        for claims in sessions.values()
        for c in claims
        if c.part_of
    }
    assert copies == parts


async def seeds(sides: TwoSides) -> list[tuple[str, str]]:
    found = {session_of(r) for r in sides.tables.rows(SESSIONS) if not r.key.startswith("!")}
    return sorted((BUCKET, name) for name in found if "=none-" in name)


async def pair(sides: TwoSides, chance: Random | None = None) -> None:
    wanted = await seeds(sides)
    if chance is not None:
        chance.shuffle(wanted)
    claims = [claim_from_row(row) for row in sides.tables.rows(SESSIONS) if is_claim(row)]
    near = [(BUCKET, claim) for claim in claims if not claim.is_nameless]
    await sides.pairing.pair(wanted, near)


@pytest.fixture
def sides() -> TwoSides:
    return TwoSides()


async def test_start_stop_and_rest_become_one_session(sides: TwoSides) -> None:
    """Three claims without an id are listed once, with each source's word, open nowhere."""
    await sides.push(*ALL_THREE)
    assert len(await sides.listed()) == 3
    # A tap does not wait for it: an end that tells the same start ends the session.
    assert await sides.open_for("T1") == ()

    await pair(sides)

    summary = await sides.summary()
    assert summary["sources"] == "start,stop,rest"
    assert (summary["state"], summary["energy_wh"], "findings" in summary) == (
        "ended",
        12_000.0,
        False,
    )
    assert await sides.open_for("T1") == ()
    assert sides.index("!open|") == []
    check(sides)


async def test_what_was_told_stays_where_it_was_told(sides: TwoSides) -> None:
    """Nothing is moved: each claim's own row says which session it is part of."""
    await sides.push(*ALL_THREE)
    before = {row.key: dict(row.columns) for row in sides.tables.rows(SESSIONS) if is_claim(row)}

    await pair(sides)

    after = {row.key: dict(row.columns) for row in sides.tables.rows(SESSIONS)}
    for key, columns in before.items():
        assert columns.items() <= after[key].items()
    (target,) = {str(after[key].get("part_of")) for key in before} - {"None"}
    assert target == f"{CHARGER}|=none-rest-9"


@settings(max_examples=60, deadline=None)
@given(st.permutations([*ALL_THREE, LATE_TWIN]), st.sets(st.integers(1, 3)), st.integers(0, 99))
async def test_any_order_ends_alike(claims: Sequence[Claim], cuts: set[int], seed: int) -> None:
    """Told in any order, paired in between or not, a late twin first or last: the same rows."""
    chance = Random(seed)
    sides, other = TwoSides(), TwoSides()
    bounds = [0, *sorted(cuts), len(claims)]
    for begin, end in itertools.pairwise(bounds):
        await sides.push(*claims[begin:end])
        await pair(sides, chance)
    await other.push(*ALL_THREE, LATE_TWIN)
    await pair(other)

    assert sides.rows == other.rows
    check(sides)
    await pair(sides, chance)
    assert sides.rows == other.rows


async def test_a_late_twin_joins_and_contradicts(sides: TwoSides) -> None:
    """A second stop without an id that says otherwise makes the session's conflict."""
    await sides.push(*ALL_THREE)
    await pair(sides)
    await sides.push(LATE_TWIN)

    await pair(sides)

    summary = await sides.summary()
    assert (summary["stops"], summary["findings"]) == (2, "stop_conflict")
    check(sides)


async def test_a_session_with_an_id_takes_those_without(sides: TwoSides) -> None:
    """REST knows the id that push did not: start and stop become part of that session."""
    await sides.push(ALL_THREE[0], ALL_THREE[1])
    await pair(sides)
    await sides.push(nameless_rest(transaction="77"))

    await pair(sides)

    summary = await sides.summary()
    assert (summary["transaction"], summary["sources"]) == ("77", "start,stop,rest")
    assert "findings" not in summary
    check(sides)


async def test_an_answer_that_changed_is_copied_anew(sides: TwoSides) -> None:
    """REST's item without an id changes: what it is part of shows the new answer."""
    await sides.push(stop(), nameless_rest())
    await pair(sides)
    changed = replace(nameless_rest(fullConsumptionWh=13_000), observed=NOW + SECOND)
    await sides.push(changed)

    await pair(sides)

    summary = await sides.summary()
    assert (summary["transaction"], summary["rest_energy_wh"]) == ("7", 13_000.0)
    check(sides)


APART = {
    "another socket": nameless_stop(socket=2),
    "an untold socket": nameless_stop(socket=None),
    "another charger": nameless_stop(charger="CH-2"),
    "a start 3 s later": nameless_stop(start=START + 3 * SECOND),
    "no start, and no end of the other": nameless_stop(start=None),
}


@pytest.mark.parametrize("other", APART.values(), ids=APART.keys())
async def test_what_does_not_belong_together_stays_apart(sides: TwoSides, other: Claim) -> None:
    """Another socket, charger or start: each stays a session of its own."""
    await sides.push(nameless_start(), other)
    before = sides.rows

    await pair(sides)

    assert sides.rows == before


async def test_stops_of_2022_are_paired_by_their_end(sides: TwoSides) -> None:
    """A stop that tells no start meets REST's item by the end, and the start by REST's."""
    await sides.push(nameless_start(), nameless_stop(start=None, end=END + SECOND))
    await pair(sides)
    assert len(await sides.listed()) == 2
    await sides.push(nameless_rest())

    await pair(sides)

    assert (await sides.summary())["sources"] == "start,stop,rest"
    check(sides)


@pytest.mark.parametrize(
    "second",
    [nameless_rest(10, timestampEnd=NOW.isoformat()), stop(transaction="8")],
    ids=["two items", "two ids"],
)
async def test_who_could_belong_to_two_belongs_to_none(sides: TwoSides, second: Claim) -> None:
    """Two REST items, or two sessions with ids, at one socket and start: nothing is guessed."""
    first = nameless_rest() if second.source is Source.REST else stop()
    await sides.push(first, nameless_start())
    await pair(sides)
    assert len(await sides.listed()) == 1
    await sides.push(second)

    await pair(sides)

    assert len(await sides.listed()) == 3
    # Whichever end is the session's, it is over for taps; an end with an id is another session's.
    assert len(await sides.open_for("T1")) == (0 if second.source is Source.REST else 1)
    check(sides)


async def test_a_crowd_is_no_session(sides: TwoSides) -> None:
    """More claims than one transaction could hold are left alone."""
    await sides.push(*(nameless_stop(energy_wh=float(n)) for n in range(12)))

    await pair(sides)

    assert len(await sides.listed()) == 12
    check(sides)


async def test_rebuilding_keeps_what_is_paired(sides: TwoSides) -> None:
    """Compared with the journal's claims and with their own, paired sessions are right."""
    await sides.push(*ALL_THREE)
    await pair(sides)
    before = sides.rows
    rebuilding = Rebuilding(sides.tables, tag_hash_key=HASH_KEY, plausible=USUAL, dry_run=False)

    differences = []
    async for rows in rebuilding.sessions(BUCKET, "", None):
        name = session_of(rows[0])
        told = [claim for claim in ALL_THREE if claim.session == name]
        differences += await rebuilding.compare(BUCKET, name, rows, told)
        differences += await rebuilding.compare(BUCKET, name, rows)
    differences += [each async for each in rebuilding.superfluous(BUCKET)]

    assert differences == []
    assert sides.rows == before


async def test_an_erasure_keeps_what_is_paired_and_takes_the_person(sides: TwoSides) -> None:
    """The person goes from the claims and from their copies; what is paired stays so."""
    tag = "CANARY"
    await sides.push(*(replace(claim, tag=tag) for claim in ALL_THREE))
    await pair(sides)
    blobs = MemoryBlobs(*ALL_CONTAINERS)
    sides.nothing_is_under_way()
    search = Search(sides.tables, blobs, tag, hash_keys=[HASH_KEY], buckets=2)

    report = await Erasure(sides.tables, blobs, search, lambda: NOW).run("a test")

    assert not report.left
    assert tag not in str(sides.rows)
    assert (await sides.summary())["sources"] == "start,stop,rest"
    check(sides)
    before = sides.rows
    await pair(sides)
    assert sides.rows == before


async def test_a_late_twin_does_not_bring_a_person_back(sides: TwoSides) -> None:
    """What joins an erased session names nobody there."""
    await sides.push(*(replace(claim, tag="CANARY") for claim in ALL_THREE))
    await pair(sides)
    blobs = MemoryBlobs(*ALL_CONTAINERS)
    sides.nothing_is_under_way()
    search = Search(sides.tables, blobs, "CANARY", hash_keys=[HASH_KEY], buckets=2)
    await Erasure(sides.tables, blobs, search, lambda: NOW).run("a test")

    await sides.push(replace(LATE_TWIN, tag="CANARY"))
    await pair(sides)

    summary = await sides.summary()
    assert (summary["stops"], "tag" in summary) == (2, False)
    check(sides)


async def test_a_worker_that_stops_in_between_leaves_nothing_half_paired() -> None:
    """Stopped before any write, pairing is whole or not there; the next one makes it whole."""
    for stops_at in range(1, 6):
        sides = TwoSides()
        await sides.push(*ALL_THREE)
        left = stops_at

        async def pause(_table: str, moment: str) -> None:
            nonlocal left
            left -= moment == "before_write"
            if left == 0:
                raise RuntimeError("stopped")

        quiet, sides.tables.pause = sides.tables.pause, pause
        try:
            await pair(sides)
        except RuntimeError:
            assert len(await _quietly(sides, quiet)) in (1, 3)
        sides.tables.pause = quiet
        await pair(sides)
        check(sides)
        assert len(await sides.listed()) == 1
        assert await sides.open_for("T1") == ()


async def _quietly(sides: TwoSides, quiet: Any) -> list[Any]:
    sides.tables.pause = quiet
    return await sides.listed()


async def test_a_writer_that_comes_between_is_seen(sides: TwoSides) -> None:
    """A late stop that arrives while a pairing is written makes it read again."""
    await sides.push(stop(), nameless_start(start=START))
    quiet = sides.tables.pause

    async def pause(table: str, moment: str) -> None:
        if (table, moment) == (SESSIONS, "before_write"):
            sides.tables.pause = quiet
            await sides.push(stop(energy_wh=5.0))

    sides.tables.pause = pause
    await pair(sides)

    summary = await sides.summary()
    assert (summary["starts"], summary["stops"]) == (1, 2)
    check(sides)


async def test_retention_s_index_goes_with_the_claims(sides: TwoSides) -> None:
    """Each claim without an id has one row by which its kin find it, whether paired or not."""
    await sides.push(*ALL_THREE)
    alone = sides.index(NAMELESS_ROWS)

    await pair(sides)

    assert sides.index(NAMELESS_ROWS) == alone
    assert len(alone) == 3


async def test_a_copy_outlives_its_own_claim(sides: TwoSides) -> None:
    """Retention takes the start before the session that holds its copy: nothing is lost there."""
    await sides.push(*ALL_THREE)
    await pair(sides)
    gone = [r for r in sides.tables.rows(SESSIONS) if "=none-start" in r.key.split("|")[1]]
    await sides.tables.write(SESSIONS, [Delete(row.partition, row.key) for row in gone])

    await sides.push(LATE_TWIN)
    await pair(sides)

    summary = await sides.summary()
    assert (summary["sources"], summary["stops"]) == ("start,stop,rest", 2)


TIMES = st.integers(0, 6).map(lambda n: START + n * SECOND)
CLAIMS = st.builds(
    lambda source, at, ends, socket, number, gone: {
        Source.START: nameless_start(start=at, socket=socket, energy_wh=float(number)),
        Source.STOP: nameless_stop(
            start=at, end=END + ends * SECOND, socket=socket, energy_wh=float(number)
        ),
        Source.REST: replace(
            nameless_rest(number, timestampStart=at.isoformat(), socketId=socket),
            gone=gone,
            observed=NOW + ends * SECOND,
        ),
    }[source],
    st.sampled_from([Source.START, Source.STOP, Source.REST]),
    TIMES,
    st.integers(0, 4),
    st.integers(1, 2),
    st.integers(1, 3),
    st.booleans(),
)


@given(st.lists(CLAIMS, min_size=1, max_size=7, unique_by=lambda claim: claim.key))
def test_pairing_is_a_function_of_the_claims(claims: list[Claim]) -> None:
    """Paired again, or from what was paired otherwise before, the outcome is the same."""
    sessions = {claim.session: {claim.key: claim} for claim in claims}

    once = as_paired(sessions)

    assert as_paired(once) == once
    held = [claim for each in once.values() for claim in each.values() if claim.within is None]
    assert {replace(claim, part_of=None) for claim in held} == set(claims)
    for claim in held:
        if claim.part_of is not None:
            copied = replace(claim, part_of=None, within=claim.part_of)
            assert once[claim.part_of][copied.key] == copied
            kin = (other for other in claims if other.session != claim.session)
            assert any(belong_together(claim, other) for other in kin)


@given(CLAIMS, CLAIMS)
def test_belonging_together_is_mutual(one: Claim, other: Claim) -> None:
    """Whoever is asked first: two claims belong together or do not."""
    assert belong_together(one, other) == belong_together(other, one)


async def test_azurite_holds_what_the_fake_holds(azurite: Azurite) -> None:
    """Pairing, moved by REST's item and joined by a late twin, ends alike on the real thing."""
    contents = []
    for stores in (InMemory(), OnAzurite(azurite)):
        (tables,) = await stores.fresh()
        writer = SessionWriter(tables, buckets=2, tag_hash_key=HASH_KEY)
        pairing = Pairing(tables, tag_hash_key=HASH_KEY)
        for told in (ALL_THREE[0], ALL_THREE[1], ALL_THREE[2], LATE_TWIN):
            await writer.write([told])
            await pairing.pair([(BUCKET, told.session)])
        contents.append(await content(tables))
        await stores.close()

    assert contents[0] == contents[1]
