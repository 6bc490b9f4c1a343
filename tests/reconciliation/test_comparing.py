"""The pure comparison: rows that say enough, whatever was told in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.emabler.models.sessions import FinishedSession, read_finished_session
from shared.reconciliation.comparing import compare, session_of, told_of
from shared.reconciliation.differing import Tolerances, differences
from shared.reconciliation.rest_claims import rest_claim
from shared.reconciliation.spans import Picture, Span
from shared.sessions.claims import Claim, Source
from shared.sessions.indexes import END_ROWS, index_rows, rest_row
from shared.sessions.summary import fold
from shared.storage.rows import Row
from tests.reconciliation.books import NOW
from tests.reconciliation.two_sides import DAY, END, START, start, stop

SECOND = timedelta(seconds=1)
TOLERANCES = Tolerances(energy_wh=100, energy_share=0.01, time=60 * SECOND)
SPAN = Span(NOW - DAY, NOW)

OFFSETS = st.sampled_from([0, 1, 2, 3, 59, 60, 61, 3600]).map(lambda n: n * SECOND)
ENERGIES = st.sampled_from([None, 0.0, 11_880.0, 11_899.0, 12_000.0, 12_100.0, 12_121.0, 50_000.0])
SOCKETS = st.sampled_from([None, 1, 2])
TAGS = st.sampled_from([None, "T1", "T2"])


def maybe(instant: datetime) -> st.SearchStrategy[datetime | None]:
    return st.one_of(st.none(), OFFSETS.map(lambda offset: instant + offset))


def item(transaction: str, number: int, **fields: Any) -> FinishedSession:
    told = {
        "id": number,
        "chargerId": "CH-1",
        "evseTransactionId": transaction,
        "timestampStart": _text(fields["start"]),
        "timestampEnd": _text(fields["end"]),
        "fullConsumptionWh": fields["energy_wh"],
        "socketId": fields["socket"],
        "authorizedTagId": fields["tag"],
    }
    session = read_finished_session(told)
    assert session is not None
    return session


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


TOLD = st.fixed_dictionaries(
    {
        "start": maybe(START),
        "end": maybe(END),
        "energy_wh": ENERGIES,
        "socket": SOCKETS,
        "tag": TAGS,
    }
)
IDS = st.sampled_from(["7", "8", "9", "-1"])
STOPS = st.builds(lambda fields, name: stop(transaction=name, **fields), TOLD, IDS)
STARTS = st.builds(
    lambda at, tag, socket, name: start(transaction=name, start=at, tag=tag, socket=socket),
    maybe(START),
    TAGS,
    SOCKETS,
    IDS,
)
ITEMS = st.lists(
    st.builds(lambda fields, name, n: item(name, n, **fields), TOLD, IDS, st.integers(1, 6)),
    max_size=5,
    unique_by=lambda each: each.rest_id,
)
PUSHED = st.lists(st.one_of(STOPS, STARTS), max_size=6)


def sessions(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, dict[str, Claim]] = {}
    for claim in claims:
        found.setdefault(claim.session, {})[claim.key] = claim
    return {name: list(each.values()) for name, each in found.items()}


def rows_of(claims: Sequence[Claim]) -> list[Row]:
    return [
        row
        for name, each in sessions(claims).items()
        for row in index_rows("0", name, each, fold(each))
        if row.key.startswith(END_ROWS)
    ]


@given(PUSHED, ITEMS)
def test_what_was_written_as_it_is_listed_is_unchanged(
    pushed: list[Claim], items: list[FinishedSession]
) -> None:
    """Once REST's answer is in the store, nothing of it is to be written or to be looked up."""
    stored = [*pushed, *(rest_claim(each, NOW) for each in items)]

    found = compare(rows_of(stored), Picture(Span(None, None), tuple(items), NOW))

    assert (found.changed, found.fresh, found.lacking, found.moved) == ([], set(), [], [])
    assert len({(told.session, told.name) for told in found.unchanged}) == len(items)
    listed = {session_of(each) for each in items}
    stops = {claim.session for claim in pushed if claim.source is Source.STOP}
    assert set(found.lone) == stops - listed


@given(PUSHED, ITEMS, ITEMS)
def test_each_item_is_unchanged_or_written_and_each_row_is_accounted_for(
    pushed: list[Claim], before: list[FinishedSession], items: list[FinishedSession]
) -> None:
    """Whatever the store holds: each item of the picture comes to one of two, once."""
    stored = [*pushed, *(rest_claim(each, NOW) for each in before)]
    rows = rows_of(stored)

    found = compare(rows, Picture(Span(None, None), tuple(items), NOW))

    as_before = {(session_of(each), each.rest_id, each.digest) for each in before}
    for each in items:
        known = (session_of(each), each.rest_id, each.digest) in as_before
        assert (each in found.changed) is not known
    assert found.fresh <= {session_of(each) for each in found.changed}
    assert found.fresh.isdisjoint(told_of(row).session for row in rows)
    heard = {each.rest_id for each in items}
    assert {told.name for told in found.lacking} == {
        each.rest_id for each in before if each.rest_id not in heard
    }


@given(PUSHED, ITEMS, st.sets(st.integers(1, 6)))
def test_what_is_gone_is_known_to_be_while_another_item_counts(
    pushed: list[Claim], items: list[FinishedSession], vanished: set[int]
) -> None:
    """It is not looked up again; alone in its session it is. Listed again it is to be written."""
    gone = [each for each in items if int(each.rest_id) in vanished]
    listed = [each for each in items if each not in gone]
    claims = [replace(rest_claim(each, NOW), gone=each in gone) for each in items]
    rows = rows_of([*pushed, *claims])

    found = compare(rows, Picture(Span(None, None), tuple(listed), NOW))

    assert (found.changed, found.moved, found.apart) == ([], [], [])
    still = {session_of(each) for each in listed}
    alone = {session_of(each) for each in gone} - still
    assert {told.session for told in found.lacking} == alone
    again = compare(rows, Picture(Span(None, None), tuple(items), NOW))
    assert again.changed == [each for each in items if each in gone]
    raised = compare(rows, Picture(Span(None, None), tuple(listed), NOW), raising=True)
    assert {told.name for told in raised.lacking} == {each.rest_id for each in gone}


@given(PUSHED, ITEMS)
def test_rows_tell_what_the_claims_would(pushed: list[Claim], items: list[FinishedSession]) -> None:
    """The row of the answer that counts says all that is to be compared: as from the claims."""
    stored = [*pushed, *(rest_claim(each, NOW) for each in items)]
    for claims in sessions(stored).values():
        summary = fold(claims)
        row = rest_row("0", summary)
        if row is None:
            continue
        found = differences(told_of(row), TOLERANCES, NOW, lambda tag: f"{ord(tag[-1]):064x}")

        assert {str(each.cls) for each in found} == _expected(claims)


def _expected(claims: Sequence[Claim]) -> set[str]:
    summary = fold(claims)
    rest, told = summary.rest_claim, [c for c in (summary.stop_claim, summary.start_claim) if c]
    assert rest is not None
    found = {"conflict"} if "stop_conflict" in summary.findings else set()
    if sum(claim.source is Source.REST for claim in claims) > 1:
        return found | {"rest_items_conflict"}
    energy = summary.stop_claim.energy_wh if summary.stop_claim else None
    if energy is not None and rest.energy_wh is not None:
        within = max(100.0, abs(rest.energy_wh) * 0.01)
        found |= {"energy_differs"} if abs(energy - rest.energy_wh) > within else set()
    for cls, name in (
        ("time_differs", "start"),
        ("time_differs", "end"),
        ("tag_differs", "tag"),
        ("socket_differs", "socket"),
    ):
        pushed = next((v for c in told if (v := getattr(c, name)) is not None), None)
        other = getattr(rest, name)
        if pushed is None or other is None:
            continue
        apart = abs(pushed - other) > 60 * SECOND if cls == "time_differs" else pushed != other
        found |= {cls} if apart else set()
    return found


@given(TOLD, TOLD)
def test_a_difference_is_mutual(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Exchange what push and REST say: the same classes, the values exchanged."""
    found = []
    for pushed, listed in ((one, other), (other, one)):
        claims = [stop(**pushed), rest_claim(item("7", 1, **listed), NOW)]
        # A share of REST's energy is no share of push's.
        row = rest_row("0", fold(claims))
        assert row is not None
        tolerances = replace(TOLERANCES, energy_share=0.0)
        found.append(list(differences(told_of(row), tolerances, NOW, lambda tag: tag[-1] * 64)))

    assert [(each.cls, each.store, each.emabler) for each in found[0]] == [
        (each.cls, each.emabler, each.store) for each in found[1]
    ]


def test_the_neighbour_s_sessions_are_the_neighbour_s() -> None:
    """What ends within the second around a window is not written by it, and not missed either."""
    inside, outside = SPAN.end - SECOND, SPAN.end + SECOND / 2  # type: ignore[operator] # bounded
    fields = {"start": START, "energy_wh": 1.0, "socket": 1, "tag": None}
    items = (item("7", 1, end=inside, **fields), item("8", 2, end=outside, **fields))

    found = compare([], Picture(SPAN, items, NOW))

    assert [each.transaction for each in found.changed] == ["7"]
    stored = rows_of([rest_claim(each, NOW) for each in items])
    assert compare(stored, Picture(SPAN, items[:1], NOW)).lacking == []
