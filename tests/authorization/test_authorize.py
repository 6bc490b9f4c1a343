"""A tap decided from the store: what is read and when, what is remembered, and in what time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.authorization.authorize import Fallback
from shared.authorization.facts import Remembered
from shared.authorization.taps import Cause, Reason, Source
from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.sessions.claims import Claim
from shared.sessions.claims import Source as ClaimSource
from shared.sessions.writer import rows_under_tag
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Row
from shared.storage.tables import ALL_TABLES, CHARGERS, TAG_GROUPS, TAGS
from shared.tags.groups import Group
from shared.tags.reading import OpenSession, fold_rows
from shared.tags.records import Scope, Tag, tag_session_row
from tests.authorization.taps import CHARGER, HASH_KEY, MOMENT, NOW, TAG, Store, Tapper

HOUR = timedelta(hours=1)
PREVIOUS = b"p" * 32


@pytest.fixture
async def store() -> Store:
    store = Store()
    await store.has_charger()
    await store.has_inventory()
    return store


async def test_a_tap_is_one_range_of_the_tag_and_remembered_facts(store: Store) -> None:
    """The tag and its sessions are one request; the charger is read at the first tap only."""
    await store.knows(Tag(tag=TAG))
    await store.has_session(charger="CH-9")
    tapper = Tapper(store)

    with counted() as first:
        answered = await tapper.tap()
    with counted() as second:
        await tapper.tap("04:a2:2b:7f")

    assert answered.decision.cause is Cause.KNOWN_TAG
    assert first.by_purpose == {"tags_range": 1, "chargers_range": 1}
    assert second.by_purpose == {"tags_range": 1}


async def test_old_rows_are_not_read(store: Store) -> None:
    """The range begins at the longest time that a session counts as open."""
    await store.knows(Tag(tag=TAG, most_sessions=1))
    await store.has_session(charger="CH-9", start=NOW - 24 * HOUR)
    tapper = Tapper(store)

    assert (await tapper.tap()).decision.cause is Cause.KNOWN_TAG
    await store.has_session(charger="CH-9", transaction="8", start=NOW - 24 * HOUR + MOMENT)
    assert (await tapper.tap()).decision.cause is Cause.TAG_LIMIT


async def test_sessions_of_an_unknown_tag_make_it_no_known_one(store: Store) -> None:
    """A tag that eMabler let charge has rows under its hash; that is not the operator's word."""
    await store.has_session(charger="CH-9")

    decision = (await Tapper(store).tap()).decision

    assert decision.cause is Cause.UNKNOWN_TAG
    assert decision.reason is Reason.UNKNOWN_RFID_TAG_ID


async def test_a_tag_that_is_gone_may_stop_its_session(store: Store) -> None:
    """A session of its own on that very charger allows whatever else is known of a tag."""
    await store.has_session()

    assert (await Tapper(store).tap()).decision.cause is Cause.STOP
    assert (await Tapper(store).tap(charger="CH-9")).decision.cause is Cause.UNKNOWN_CHARGER


@pytest.mark.parametrize(
    ("rows", "is_open"),
    [
        ([("start", 0)], True),
        ([("start", 0), ("stop", 1)], False),
        ([("start", 0), ("stop", 0)], False),
        ([("start", 1), ("stop", 0)], True),
        ([("start", 0), ("stop", 1), ("start", 2)], True),
        ([("start", 0), ("start", 2), ("stop", 1), ("stop", 3)], False),
        ([("stop", 1)], False),
        ([("start", None)], False),
        ([("start", 0), ("stop", None)], False),
        ([("start", None), ("start", 0)], True),
        ([("start", 0), ("ongoing", 1)], False),
    ],
)
def test_a_session_is_open_when_its_latest_start_is_later_than_its_latest_end(
    rows: list[tuple[str, int | None]],
    is_open: bool,  # noqa: FBT001 - the expectation
) -> None:
    """Starts and ends in any number; without a time a start opens nothing and an end is final."""
    made = [
        tag_session_row("h", "CH|7", source, str(n), None if at is None else NOW + at * HOUR)
        for n, (source, at) in enumerate(rows)
    ]
    starts = [at for source, at in rows if source == "start" and at is not None]

    for ordered in (made, made[::-1], sorted(made, key=lambda row: row.key)):
        assert fold_rows(ordered).open_sessions == (
            (OpenSession("CH|7", NOW + max(starts) * HOUR),) if is_open else ()
        )


def _rows(*claims: Claim) -> list[Row]:
    return [row for claim in claims for row in rows_under_tag("h", claim.session, claim)]


def _start(transaction: str | None, at: timedelta, name: str = "a") -> Claim:
    return Claim(
        source=ClaimSource.START,
        charger="CH",
        transaction=transaction,
        name=name,
        digest=name,
        start=NOW + at,
    )


def _stop(transaction: str | None, began: timedelta, ended: timedelta) -> Claim:
    return replace(
        _start(transaction, began), source=ClaimSource.STOP, name="b", digest="b", end=NOW + ended
    )


def test_an_end_ends_the_start_that_it_tells_itself() -> None:
    """Also where the charger's clock was set back in the middle of the session."""
    rows = _rows(_start("7", 20 * HOUR), _stop("7", 20 * HOUR, HOUR))

    assert fold_rows(rows).open_sessions == ()


@pytest.mark.parametrize(
    ("apart", "is_open"),
    [
        (timedelta(0), False),
        (timedelta(seconds=2), False),
        (timedelta(seconds=-2), False),
        (timedelta(seconds=3), True),
    ],
)
def test_an_end_without_an_id_ends_the_start_that_began_with_it(
    apart: timedelta,
    is_open: bool,  # noqa: FBT001 - the expectation
) -> None:
    """Before reconciliation has paired them: as close as it asks for, at the same charger."""
    start, stop = _start("-1", timedelta(0)), _stop("-1", apart, HOUR)

    for rows in (_rows(start, stop), _rows(stop, start)):
        assert bool(fold_rows(rows).open_sessions) is is_open
        elsewhere = _rows(replace(start, charger="CH-2"), stop)
        assert [each.charger for each in fold_rows(elsewhere).open_sessions] == ["CH-2"]


def test_an_end_without_an_id_ends_no_session_that_has_one() -> None:
    """A session with an id waits for its own end."""
    rows = _rows(_start("7", timedelta(0)), _stop("-1", timedelta(0), HOUR))

    assert [each.session for each in fold_rows(rows).open_sessions] == ["CH|7"]


async def test_a_denial_is_never_given_on_remembered_facts(store: Store) -> None:
    """What would deny on what is remembered of charger and group is read again first."""
    await store.knows(Tag(tag=TAG, group="G"))
    await store.has_groups(Group(name="G", blocked=True))
    tapper = Tapper(store)
    assert (await tapper.tap()).decision.cause is Cause.GROUP_BLOCKED
    await store.has_groups(Group(name="G"))

    with counted() as again:
        assert (await tapper.tap()).decision.cause is Cause.KNOWN_TAG

    assert again.by_purpose == {"tags_range": 1, "chargers_range": 1, "taggroups_get": 1}


async def test_an_allowance_may_rest_on_facts_of_half_a_minute(store: Store) -> None:
    """A group that is blocked is noticed when what is remembered of it is too old."""
    await store.knows(Tag(tag=TAG, group="G"))
    await store.has_groups(Group(name="G"))
    warm, cold = Tapper(store), Tapper(store, facts_last=0.0)
    for tapper in (warm, cold):
        assert (await tapper.tap()).decision.cause is Cause.KNOWN_TAG
    await store.has_groups(Group(name="G", blocked=True))

    assert (await warm.tap()).decision.cause is Cause.KNOWN_TAG
    assert (await cold.tap()).decision.cause is Cause.GROUP_BLOCKED


async def test_a_denial_on_facts_just_read_costs_no_second_read(store: Store) -> None:
    """Facts that were read for this very tap are not read again."""
    await store.knows(Tag(tag=TAG, scope=Scope(chargers=("CH-9",))))

    with counted() as requests:
        assert (await Tapper(store).tap()).decision.cause is Cause.OUT_OF_SCOPE

    assert requests.by_purpose == {"tags_range": 1, "chargers_range": 1}


async def test_a_tag_is_read_at_each_tap(store: Store) -> None:
    """A block holds from the next tap on, whatever is remembered."""
    tapper = Tapper(store)
    await store.knows(Tag(tag=TAG))
    assert (await tapper.tap()).decision.allowed
    await store.knows(Tag(tag=TAG, blocked=True))
    assert (await tapper.tap()).decision.cause is Cause.BLOCKED


async def test_sites_limit_where_a_tag_may_charge(store: Store) -> None:
    """The charger's site is the inventory's, else what boot and state say."""
    await store.knows(Tag(tag=TAG, scope=Scope(sites=("S1",))))
    tapper = Tapper(store, facts_last=0.0)

    assert (await tapper.tap()).decision.cause is Cause.SITE_UNKNOWN
    await store.has_charger(boot_site="S1")
    assert (await tapper.tap()).decision.cause is Cause.KNOWN_TAG
    await store.has_charger(boot_site="S1", inventory_site="S2")
    assert (await tapper.tap()).decision.cause is Cause.OUT_OF_SCOPE


async def test_chargers_are_judged_once_an_inventory_was_loaded() -> None:
    """Until then events tell of some chargers only, nobody is judged, and the answer says so."""
    store = Store()
    await store.knows(Tag(tag=TAG))
    await store.has_charger("CH-9")
    tapper = Tapper(store, facts_last=0.0)

    before = await tapper.tap()
    known = await tapper.tap(charger="CH-9")
    await store.has_inventory()
    after = await tapper.tap()
    with counted() as requests:
        await tapper.tap()

    assert (before.decision.cause, before.charger_judged) == (Cause.KNOWN_TAG, False)
    assert (known.decision.cause, known.charger_judged) == (Cause.KNOWN_TAG, True)
    assert (after.decision.reason, after.charger_judged) == (Reason.UNKNOWN_CHARGER_ID, True)
    assert "store_get" not in requests.by_purpose


@pytest.mark.parametrize(("elsewhere", "cause"), [(1, Cause.KNOWN_TAG), (2, Cause.GROUP_LIMIT)])
async def test_a_group_counts_the_sessions_of_all_its_tags(
    store: Store, elsewhere: int, cause: Cause
) -> None:
    """Members that left the group, ended sessions and other tags do not count."""
    await store.has_groups(Group(name="G", most_sessions=2))
    await store.knows(*(Tag(tag=f"M{n}", group="G") for n in range(4)), Tag(tag="X", group="G"))
    await store.knows(Tag(tag="X"), Tag(tag="OTHER"))
    for n in range(elsewhere):
        await store.has_session(f"M{n}", f"CH-{n}")
    await store.has_session("M3", "CH-3", end=NOW + MOMENT)
    await store.has_session("X", "CH-4")
    await store.has_session("OTHER", "CH-5")

    with counted() as requests:
        assert (await Tapper(store).tap("M3")).decision.cause is cause

    assert requests.by_purpose["taggroups_range"] == 1


async def test_a_member_under_both_keys_counts_once(store: Store) -> None:
    """While tags are moved, a tag that is a member twice has its sessions counted once."""
    await store.has_groups(Group(name="G", most_sessions=2))
    for key in (HASH_KEY, PREVIOUS):
        await store.knows(Tag(tag="M", group="G"), key=key)
    await store.knows(Tag(tag="X", group="G"))
    await store.has_session("M", "CH-9", key=PREVIOUS)
    tapper = Tapper(store, hash_keys=[HASH_KEY, PREVIOUS])

    assert (await tapper.tap("X")).decision.cause is Cause.KNOWN_TAG


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most recent facts are kept; what fell out is read again."""
    monkeypatch.setattr("shared.authorization.facts._MOST", 2)
    reads: list[str] = []

    async def read(name: str) -> str:
        reads.append(name)
        return name.upper()

    remembered = Remembered(read, 3600)
    for name in "aabbccbba":
        assert (await remembered.get(name)).value == name.upper()

    assert reads == ["a", "b", "c", "a"]


async def test_no_group_is_counted_without_need(store: Store) -> None:
    """Only an allowance in a group with a limit pays for the count."""
    await store.has_groups(Group(name="G", most_sessions=2))
    await store.knows(Tag(tag="B", group="G", blocked=True))

    with counted() as requests:
        assert (await Tapper(store).tap("B")).decision.cause is Cause.BLOCKED

    assert "taggroups_range" not in requests.by_purpose


async def test_both_hash_keys_are_read_side_by_side(store: Store) -> None:
    """While tags move to a new key both are found, the current one counts, sessions of both do."""
    await store.knows(Tag(tag="OLD", kind="old"), Tag(tag="BOTH", kind="old"), key=PREVIOUS)
    await store.knows(Tag(tag="BOTH", kind="new"))
    await store.has_session("OLD", start=NOW, key=PREVIOUS)
    tapper = Tapper(store, hash_keys=[HASH_KEY, PREVIOUS])

    with counted() as requests:
        assert (await tapper.tap("old")).decision.cause is Cause.STOP
    assert requests.by_purpose["tags_range"] == 2
    await store.has_session("OLD", start=NOW, end=NOW + MOMENT)
    assert (await tapper.tap("OLD")).decision.cause is Cause.KNOWN_TAG
    assert (await tapper.tap("OLD")).decision.tag_kind == "old"
    assert (await tapper.tap("BOTH")).decision.tag_kind == "new"
    assert (await Tapper(store).tap("OLD")).decision.cause is Cause.UNKNOWN_TAG


async def test_other_spellings_are_found_when_asked(store: Store) -> None:
    """Turned round or with zeros, one card is one tag; its own spelling counts first."""
    await store.knows(Tag(tag="7F2BA204", kind="reversed"), Tag(tag="00AB12CD", kind="padded"))
    asked = Tapper(store, spellings=("reversed", "padded"))

    assert (await asked.tap(TAG)).decision.tag_kind == "reversed"
    assert (await asked.tap("AB12CD")).decision.tag_kind == "padded"
    assert (await Tapper(store).tap(TAG)).decision.cause is Cause.UNKNOWN_TAG
    await store.knows(Tag(tag=TAG, blocked=True))
    assert (await asked.tap(TAG)).decision.cause is Cause.BLOCKED


@given(st.text("0123456789ABCDEF", min_size=2, max_size=20), st.sampled_from(["'", '"', "%", "*"]))
async def test_ids_change_no_query(text: str, odd: str) -> None:
    """Quotes, wildcards and syntax of queries are parts of an id and nothing else."""
    store = Store()
    hostile = f"{text}{odd} or PartitionKey ne '{odd}"
    await store.knows(Tag(tag=text))
    await store.has_charger(hostile)

    assert (await Tapper(store).tap(hostile, hostile)).decision.cause is Cause.UNKNOWN_TAG
    assert (await Tapper(store).tap(text, hostile)).decision.cause is Cause.KNOWN_TAG


async def away(_table: str, _moment: str) -> None:
    raise StoreUnavailableError("table tags: no answer", code="store_away")


async def never(_table: str, _moment: str) -> None:
    await asyncio.Event().wait()


async def broken(_table: str, _moment: str) -> None:
    raise ZeroDivisionError(TAG)


@pytest.mark.parametrize(
    ("fallback", "allowed"),
    [(Fallback.DEFER, None), (Fallback.DENY, False), (Fallback.LAST_KNOWN, None)],
)
@pytest.mark.parametrize(
    ("pause", "cause"),
    [
        (away, Cause.STORE_UNAVAILABLE),
        (never, Cause.BUDGET_USED_UP),
        (broken, Cause.UNEXPECTED),
    ],
)
async def test_the_policy_answers_for_a_store_that_does_not(
    fallback: Fallback,
    allowed: bool | None,  # noqa: FBT001 - the expectation
    pause: object,
    cause: Cause,
) -> None:
    """Away, silent or a mistake of ours: deferred or denied as set, never an exception.

    Without a snapshot last-known defers. A store that is back is asked again.
    """
    tables = MemoryTables(*ALL_TABLES)
    store = Store(tables)
    await store.knows(Tag(tag=TAG))
    tapper = Tapper(store, fallback=fallback, budget=0.02)
    quiet, tables.pause = tables.pause, pause  # type: ignore[assignment] # one of three

    answered = await tapper.tap()
    tables.pause = quiet

    decision = answered.decision
    assert (decision.allowed, decision.cause, decision.source) == (allowed, cause, Source.POLICY)
    assert decision.reason == (Reason.UNAUTHORIZED_RFID_TAG_ID if allowed is False else None)
    assert answered.error is not None
    assert (await tapper.tap()).decision.cause is Cause.KNOWN_TAG


async def test_the_budget_counts_from_the_request_s_beginning() -> None:
    """Time that passed before the tap was read is the budget's too."""
    tables = MemoryTables(*ALL_TABLES)
    tapper = Tapper(Store(tables), budget=3600)
    long_ago = asyncio.get_running_loop().time() - 3601

    answered = await tapper.authorization.authorize(
        {"charger_id": CHARGER, "rfid_tag_id": TAG}, began=long_ago
    )
    tables.pause = never
    waited = await tapper.authorization.authorize(
        {"charger_id": CHARGER, "rfid_tag_id": TAG}, began=long_ago
    )

    assert answered.milliseconds > 3_600_000
    assert waited.decision.cause is Cause.BUDGET_USED_UP


@pytest.mark.parametrize("table", [TAGS, CHARGERS, TAG_GROUPS])
async def test_each_read_that_fails_is_answered_by_the_policy(store: Store, table: str) -> None:
    """Whichever of the tables does not answer, nobody is allowed or denied by accident."""
    await store.knows(Tag(tag=TAG, group="G"))
    await store.has_groups(Group(name="G", most_sessions=1))

    async def one_away(name: str, _moment: str) -> None:
        if name == table:
            raise StoreUnavailableError("away")

    store.tables.pause = one_away

    assert (await Tapper(store).tap()).decision.cause is Cause.STORE_UNAVAILABLE


async def test_a_hundred_taps_at_once_are_each_decided_by_what_was_known(store: Store) -> None:
    """With a limit of one session: all are allowed before the first start is known, none after.

    A tap makes no session; the charger's start does, when its event is in the store.
    """
    await store.knows(Tag(tag=TAG, most_sessions=1))
    tapper = Tapper(store)
    chargers = [f"CH-{n}" for n in range(100)]
    for charger in chargers:
        await store.has_charger(charger)

    before = await asyncio.gather(*(tapper.tap(charger=charger) for charger in chargers))
    await store.has_session(charger="CH-0")
    after = await asyncio.gather(*(tapper.tap(charger=charger) for charger in chargers))

    assert {answered.decision.cause for answered in before} == {Cause.KNOWN_TAG}
    assert [answered.decision.cause for answered in after] == [Cause.STOP] + [Cause.TAG_LIMIT] * 99


async def test_no_tap_after_a_block_is_allowed(store: Store) -> None:
    """In a stream of taps, those that arrive after the block was written are all denied."""
    await store.knows(Tag(tag=TAG))
    tapper = Tapper(store)

    async def yielding(_table: str, _moment: str) -> None:
        await asyncio.sleep(0)

    store.tables.pause = yielding
    early = [asyncio.create_task(tapper.tap()) for _ in range(50)]
    await store.knows(Tag(tag=TAG, blocked=True))
    late = [asyncio.create_task(tapper.tap()) for _ in range(50)]

    assert {(await task).decision.cause for task in late} == {Cause.BLOCKED}
    assert {(await task).decision.cause for task in early} <= {Cause.KNOWN_TAG, Cause.BLOCKED}


async def test_no_key_holds_the_tag(store: Store) -> None:
    """Tag, group member, sessions, audit and inbox: the tag is in columns only."""
    await store.knows(Tag(tag="CANARY77", group="G"))
    await store.has_session("CANARY77")
    tapper = Tapper(store)
    await tapper.tap("canary77")
    await tapper.tap("CANARY78")
    await tapper.audit.written()

    keys = [
        f"{row.partition}|{row.key}" for table in ALL_TABLES for row in store.tables.rows(table)
    ]
    assert len(keys) > 6
    assert [key for key in keys if "canary" in key.casefold()] == []
    assert any(hash_tag("CANARY77", HASH_KEY) in key for key in keys)
