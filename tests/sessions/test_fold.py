"""The fold: what is known of a session from all that was said of it, in whatever order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.instants import format_instant
from shared.sessions.claims import Claim, Source, claim_from_row, claim_row
from shared.sessions.summary import State, fold, is_summary, summary_row
from shared.storage import limits
from shared.storage.rows import Row

START = datetime(2026, 11, 2, 9, 11, 32, tzinfo=UTC)
END = datetime(2026, 11, 2, 10, 41, 43, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MOMENT = timedelta(microseconds=1)


def claim(source: Source, name: str, **fields: Any) -> Claim:
    given_fields: dict[str, Any] = {
        "charger": "CH-0042",
        "transaction": "7",
        "digest": f"digest-{name}",
    }
    return Claim(source=source, name=name, **(given_fields | fields))


def start(name: str = "a", **fields: Any) -> Claim:
    return claim(
        Source.START,
        name,
        **({"start": START, "meter_start_wh": 1000.0, "tag": "T1", "socket": 1} | fields),
    )


def stop(name: str = "b", **fields: Any) -> Claim:
    return claim(Source.STOP, name, **({"end": END, "meter_end_wh": 13300.0} | fields))


def rest(name: str = "9", **fields: Any) -> Claim:
    told = {
        "start": START,
        "end": END,
        "energy_wh": 12345.0,
        "tag": "R1",
        "socket": 3,
        "observed": END + timedelta(hours=1),
    }
    return claim(Source.REST, name, **(told | fields))


INSTANTS = st.none() | st.sampled_from([START, START + SECOND, START + 2 * SECOND, END])
NUMBERS = st.none() | st.sampled_from([0.0, 1000.0, 13300.0])
TAGS = st.none() | st.sampled_from(["T1", "T2"])
CLAIMS = st.builds(
    claim,
    st.sampled_from(Source),
    st.text("abc", min_size=1, max_size=2),
    start=INSTANTS,
    end=INSTANTS,
    tag=TAGS,
    socket=st.none() | st.sampled_from([0, 1, 2]),
    site=TAGS,
    meter_start_wh=NUMBERS,
    meter_end_wh=NUMBERS,
    energy_wh=NUMBERS,
    observed=INSTANTS,
    gone=st.booleans(),
)


def named_once(claims: Iterable[Claim]) -> list[Claim]:
    return list({(each.source, each.name): each for each in claims}.values())


@given(st.data())
def test_the_order_of_the_claims_changes_nothing(data: st.DataObject) -> None:
    """A summary is a function of the set of claims."""
    claims = named_once(data.draw(st.lists(CLAIMS, min_size=1, max_size=6)))
    shuffled = data.draw(st.permutations(claims))

    assert fold(shuffled) == fold(claims)
    assert summary_row(fold(shuffled), "0", "s") == summary_row(fold(claims), "0", "s")


@given(st.lists(CLAIMS, min_size=1, max_size=6))
def test_any_summary_can_be_stored(claims: list[Claim]) -> None:
    """Whatever is known or not, the row keeps the limits and is told from a claim."""
    row = summary_row(fold(named_once(claims)), "0", claims[0].session)

    limits.check_row(row)
    assert is_summary(row)


@given(CLAIMS)
def test_a_claim_comes_back_from_its_row(one: Claim) -> None:
    """What was claimed is read as it was written, and its row is no summary."""
    row = claim_row(one, "0")

    limits.check_row(row)
    assert claim_from_row(row) == one
    assert not is_summary(row)


def test_a_start_alone_is_open() -> None:
    """Without an end a session is open and tells what its start told."""
    summary = fold([start()])

    assert (summary.state, summary.start, summary.end) == (State.OPEN, START, None)
    assert (summary.energy_wh, summary.meter_start_wh) == (None, 1000.0)
    assert (summary.starts, summary.stops, summary.sources) == (1, 0, (Source.START,))


@pytest.mark.parametrize("ended_by", [stop(), rest(), stop(end=None), rest(end=None)])
def test_a_stop_or_rest_ends_it(ended_by: Claim) -> None:
    """A stop ends a session also where its time is unknown, and so does REST, alone or not."""
    assert fold([ended_by]).state is State.ENDED
    assert fold([start(), ended_by]).state is State.ENDED


def test_what_push_says_stands_before_what_rest_says() -> None:
    """The stop's word counts first, then the start's, then REST's: each field for itself."""
    summary = fold([rest(site="S"), stop(start=None, tag="T2", energy_wh=12300.0), start()])

    assert summary.tag == "T2"
    assert summary.start == START
    assert summary.socket == 1
    assert summary.energy_wh == 12300.0
    assert summary.site == "S"
    assert summary.sources == (Source.START, Source.STOP, Source.REST)


def test_the_start_shown_is_the_stop_s_where_it_tells_one() -> None:
    """A full message tells the start once more; it stands before the start message."""
    assert fold([start(), stop(start=START + SECOND)]).start == START + SECOND


@pytest.mark.parametrize(
    ("claims", "energy"),
    [
        ([stop(energy_wh=12300.0), rest()], 12300.0),
        ([stop(energy_wh=0.0), rest()], 0.0),
        ([stop(energy_wh=None), start()], 12300.0),
        ([stop(energy_wh=None, meter_start_wh=300.0), start()], 13000.0),
        ([stop(energy_wh=None), rest()], 12345.0),
        ([stop(energy_wh=None, meter_end_wh=None), start(), rest()], 12345.0),
        ([stop(energy_wh=None)], None),
        ([start()], None),
        ([start(), rest()], 12345.0),
    ],
    ids=[
        "told",
        "nothing charged",
        "meters of stop and start",
        "meters of the stop",
        "one meter, REST",
        "no meter, REST",
        "one meter",
        "open",
        "REST ends it",
    ],
)
def test_energy_is_told_or_follows_from_the_meters(
    claims: list[Claim], energy: float | None
) -> None:
    """The stop's energy, else the difference of its meters, else REST's; never a guess."""
    assert fold(claims).energy_wh == energy


def test_each_source_keeps_columns_of_its_own() -> None:
    """What one source said stays readable beside what another said of the same field."""
    row = summary_row(fold([start(), stop(tag="T2", energy_wh=1.0), rest()]), "0", "s")

    found = row.columns
    assert (found["start_tag"], found["stop_tag"], found["rest_tag"]) == ("T1", "T2", "R1")
    assert (found["stop_energy_wh"], found["rest_energy_wh"]) == (1.0, 12345.0)
    assert (found["start_start"], found["rest_end"]) == (format_instant(START), format_instant(END))
    assert found["rest_id"] == "9"
    assert found["rest_observed"] == format_instant(END + timedelta(hours=1))


def test_of_rest_s_answers_the_one_observed_last_counts() -> None:
    """Not the latest end decides among REST's items, but when eMabler was asked."""
    older = rest("8", end=END + SECOND, energy_wh=1.0)
    newer = rest("9", energy_wh=2.0, observed=END + timedelta(hours=2))

    assert fold([newer, older]).energy_wh == 2.0


def test_of_several_stops_the_latest_end_is_shown() -> None:
    """The others are counted, and ties are broken by content."""
    stops = [stop("b", energy_wh=1.0), stop("c", end=END + SECOND, energy_wh=2.0)]
    tied = [replace(each, end=END, energy_wh=None) for each in stops]

    assert (fold(stops).energy_wh, fold(stops).stops) == (2.0, 2)
    assert fold(tied).stop_claim == tied[1]


@pytest.mark.parametrize(
    ("changes", "conflict"),
    [
        ({}, False),
        ({"end": END + 2 * SECOND}, False),
        ({"end": END + 2 * SECOND + MOMENT}, True),
        ({"end": END - 2 * SECOND - MOMENT}, True),
        ({"meter_end_wh": 13301.0}, True),
        ({"energy_wh": 12301.0}, True),
        ({"end": None, "meter_end_wh": None, "energy_wh": None}, False),
        ({"tag": "OTHER", "socket": 9, "start": START, "meter_start_wh": 1.0}, False),
    ],
    ids=[
        "same",
        "2 s later",
        "more than 2 s later",
        "earlier",
        "meter",
        "energy",
        "silent",
        "other fields",
    ],
)
def test_stops_conflict_only_in_what_both_tell(changes: dict[str, Any], conflict: bool) -> None:  # noqa: FBT001 - the expectation
    """End (beyond 2 s), meter and energy contradict each other; silence contradicts nothing."""
    one = stop("b", energy_wh=12300.0)
    other = replace(stop("c", energy_wh=12300.0), **changes)

    assert ("stop_conflict" in fold([one, other, start()]).findings) is conflict


def test_any_two_of_many_stops_can_conflict() -> None:
    """Ends that differ by a little each add up: the first and the last are compared too."""
    stops = [stop(str(n), end=END + n * 2 * SECOND) for n in range(3)]

    assert fold(stops).findings == ("stop_conflict",)


@pytest.mark.parametrize(
    ("apart", "reused"),
    [(timedelta(days=1), False), (timedelta(days=1) + MOMENT, True)],
    ids=["a day", "more than a day"],
)
def test_one_id_for_starts_more_than_a_day_apart_is_found(apart: timedelta, reused: bool) -> None:  # noqa: FBT001 - the expectation
    """The limit itself is no reuse; an unknown start says nothing."""
    claims = [start("a"), start("b", start=START + apart), start("c", start=None)]

    assert fold(claims).findings == (("transaction_id_reused",) if reused else ())
    assert fold(claims).starts == 3


@pytest.mark.parametrize("nothing", [None, "", "0", "-1", " 00 "])
def test_without_a_transaction_each_claim_is_a_session(nothing: str | None) -> None:
    """Ids that identify nothing join no two claims, whatever their source."""
    claims = [start("a"), start("b"), stop("a"), rest("7")]
    nameless = [replace(each, transaction=nothing) for each in claims]

    assert len({each.session for each in nameless}) == len(nameless)
    assert len({each.session for each in claims}) == 1


@pytest.mark.parametrize("name", ["9001", "a/b", "a|stop|x", "#?\\", "x" * 300, "ä"])
@pytest.mark.parametrize("transaction", ["7", None])
def test_any_id_of_rest_makes_a_key(name: str, transaction: str | None) -> None:
    """REST's own id is a number as far as anybody knows; another one breaks no key."""
    one = rest(name, transaction=transaction)
    key = one.key

    limits.check_row(Row("0", key, {}))
    assert key.startswith(f"{one.session}|rest|")
    assert key.count("|") == 3
    assert claim_from_row(claim_row(one, "0")).name == name


def test_keys_sort_a_summary_before_its_claims() -> None:
    """One range of a session begins with its summary."""
    keys = [each.key for each in (rest(), start(), stop())]

    summary = summary_row(fold([start()]), "0", start().session).key
    assert min(*keys, summary) == summary


def test_an_item_that_is_gone_counts_only_where_none_is_listed() -> None:
    """Of two items the one that eMabler lists counts, though the other was observed later."""
    listed, later = rest("9"), rest("10", energy_wh=5.0, observed=END + timedelta(hours=2))
    gone = replace(later, gone=True)

    assert (fold([listed, later]).rest_claim, fold([listed, later]).rests) == (later, 2)
    assert (fold([listed, gone]).rest_claim, fold([listed, gone]).rests) == (listed, 1)
    alone = fold([gone])
    assert (alone.rest_claim, alone.rests, alone.energy_wh) == (gone, 0, 5.0)
    assert alone.state is State.ENDED


@given(st.lists(CLAIMS, min_size=1, max_size=6))
def test_what_is_gone_beside_what_is_listed_changes_no_summary(claims: list[Claim]) -> None:
    """Whatever else is claimed: a session is the same without what eMabler lists no more."""
    told = named_once(claims)
    rests = [each for each in told if each.source is Source.REST]
    left = [each for each in told if each.source is not Source.REST or not each.gone]
    erased = any(each.erased for each in told)

    if any(not each.gone for each in rests):
        assert fold(told) == replace(fold(left), erased=erased)
