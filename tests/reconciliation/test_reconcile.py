"""Reconciliation: what eMabler lists is held against what push said, and gaps are repaired."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.errors import RestRefusedError, RestUnavailableError, StoreUnavailableError
from shared.instants import format_instant
from shared.rooms import Rooms
from shared.sessions.indexes import END_ROWS, OPEN_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.tables import ALL_TABLES, SESSIONS
from shared.telemetry import WideEvent
from tests import payloads
from tests.reconciliation.books import BASE, MISSED, NOW, PUSHED, Books, Clock, Store


@pytest.fixture
def store() -> Store:
    return Store()


async def test_a_session_that_push_never_brought_is_repaired(store: Store) -> None:
    """What only REST knows is in the store afterwards, with REST's whole answer."""
    run = await store.reconcile(Books(MISSED))

    assert dict(run.sessions) == {"repaired": 1}
    (summary,) = store.summaries
    expected = {
        "state": "ended",
        "sources": "rest",
        "energy_wh": 800.0,
        "start": "2026-11-02T09:11:32.400000Z",
        "end": "2026-11-02T10:41:43.633143Z",
        "tag": "TAG123",
        "rest_id": "9002",
    }
    assert expected.items() <= summary.columns.items()
    (claim,) = store.claims
    assert json.loads(str(claim.columns["body"])) == MISSED
    assert claim.key == "CH-0042|2|rest|9002"


async def test_a_session_that_push_brought_is_confirmed(store: Store) -> None:
    """REST's word stands beside push's, and what push said is not changed by it."""
    await store.ingest(payloads.start_v2(), payloads.full_v2())

    run = await store.reconcile(Books(PUSHED | {"fullConsumptionWh": 12345}))

    assert dict(run.sessions) == {"confirmed": 1}
    (summary,) = store.summaries
    assert summary.columns["sources"] == "start,stop,rest"
    assert summary.columns["energy_wh"] == summary.columns["stop_energy_wh"] == 12300.0
    assert summary.columns["rest_energy_wh"] == 12345.0


async def test_an_open_session_is_ended_by_rest(store: Store) -> None:
    """A stop that was lost is made up for, and the hint at an open session goes."""
    await store.ingest(payloads.start_v2())

    run = await store.reconcile(Books(PUSHED))

    assert dict(run.sessions) == {"confirmed": 1}
    (summary,) = store.summaries
    assert (summary.columns["state"], summary.columns["energy_wh"]) == ("ended", 12300.0)
    assert not any(row.key.startswith(OPEN_ROWS) for row in store.tables.rows(SESSIONS))


async def test_push_that_comes_after_rest_joins_it(store: Store) -> None:
    """A charger that was offline tells late what REST told before: one session all the same."""
    await store.reconcile(Books(PUSHED))

    await store.ingest(payloads.full_v2(), payloads.start_v2())

    (summary,) = store.summaries
    assert summary.columns["sources"] == "start,stop,rest"


async def test_a_second_run_changes_nothing(store: Store) -> None:
    """Sessions that REST lists as before are unchanged, and no session is written again."""
    await store.ingest(payloads.start_v2(), payloads.full_v2())
    books = Books(PUSHED, MISSED)
    await store.reconcile(books)
    before = store.content
    store.clock.advance(minutes=15)

    with counted() as requests:
        run = await store.reconcile(books)

    assert dict(run.sessions) == {"unchanged": 2}
    assert store.content == before
    assert requests.by_purpose["sessions_range"] == 2
    assert "sessions_write" not in requests.by_purpose


async def test_a_changed_answer_takes_the_place_of_the_one_before(store: Store) -> None:
    """Of two answers for one REST id the one observed last stands, in claim and summary."""
    await store.reconcile(Books(PUSHED))
    store.clock.advance(minutes=15)

    run = await store.reconcile(Books(PUSHED | {"totalCostInclVat": 9.5, "fullConsumptionWh": 5}))

    assert dict(run.sessions) == {"changed": 1}
    (summary,) = store.summaries
    assert summary.columns["energy_wh"] == 5.0
    assert summary.columns["rest_observed"] == format_instant(store.clock.now)
    (claim,) = store.claims
    assert json.loads(str(claim.columns["body"]))["totalCostInclVat"] == 9.5


async def test_an_older_observation_never_wins(store: Store) -> None:
    """A run that hangs between asking and writing does not bring back what eMabler has mended."""
    slow = Books(PUSHED | {"fullConsumptionWh": 1})

    async def another_run() -> None:
        store.clock.advance(minutes=15)
        await store.reconcile(Books(PUSHED | {"fullConsumptionWh": 2}))

    slow.while_answering = another_run
    run = await store.reconcile(slow)

    assert dict(run.sessions) == {"unchanged": 1}
    (summary,) = store.summaries
    assert summary.columns["energy_wh"] == 2.0


async def test_a_page_is_observed_when_it_is_asked_for(store: Store) -> None:
    """Each page carries the instant before its own request, not that of the run's beginning."""
    books = Books(PUSHED, MISSED)

    async def a_minute_passes() -> None:
        store.clock.advance(minutes=1)

    books.while_answering = a_minute_passes
    await store.reconcile(books, page_size=1)

    observed = {s.columns["transaction"]: s.columns["rest_observed"] for s in store.summaries}
    assert observed == {
        "1032427936": format_instant(NOW),
        "2": format_instant(NOW + timedelta(minutes=1)),
    }


@pytest.mark.parametrize("nothing", [None, "", "-1", 0, -1])
async def test_a_session_without_a_transaction_is_its_own(store: Store, nothing: object) -> None:
    """REST items without a transaction id stay apart from each other and from push's."""
    await store.ingest(payloads.full_v2(transactionId="-1"))
    items = [PUSHED | {"id": n, "evseTransactionId": nothing} for n in (1, 2)]

    run = await store.reconcile(Books(*items))
    again = await store.reconcile(Books(*items))

    assert (dict(run.sessions), dict(again.sessions)) == ({"repaired": 2}, {"unchanged": 2})
    assert sorted(row.columns["sources"] for row in store.summaries) == [
        "rest",
        "rest",
        "stop",
    ]


async def test_what_nothing_identifies_is_counted(store: Store) -> None:
    """Items without id or charger are counted, never guessed at, and stop nothing."""
    without = [{k: v for k, v in PUSHED.items() if k != name} for name in ("id", "chargerId")]

    run = await store.reconcile(Books(*without, {}, MISSED))

    assert dict(run.sessions) == {"unidentified": 3, "repaired": 1}
    assert len(store.summaries) == 1


async def test_one_transaction_id_on_two_chargers_is_two_sessions(store: Store) -> None:
    """Ids repeat across chargers: the charger belongs to the identity."""
    run = await store.reconcile(Books(PUSHED, PUSHED | {"id": 9003, "chargerId": "CH-0043"}))

    assert dict(run.sessions) == {"repaired": 2}


async def test_a_number_and_a_text_are_one_transaction(store: Store) -> None:
    """REST's ids come as numbers in places: 1032427936 is push's "1032427936"."""
    await store.ingest(payloads.full_v2())

    run = await store.reconcile(Books(PUSHED | {"evseTransactionId": 1032427936}))

    assert dict(run.sessions) == {"confirmed": 1}


async def test_hostile_items_harm_nothing(store: Store) -> None:
    """Ids with separators, half surrogates and huge numbers are stored or left out, not fatal."""
    run = await store.reconcile(
        Books(
            PUSHED | {"id": "a/b|stop|#?", "chargerId": "C/\\#?|~", "evseTransactionId": "x|!"},
            PUSHED | {"id": "n" * 400, "chargerId": "c" * 400, "evseTransactionId": "t" * 400},
            MISSED | {"evseTransactionId": 7, "userName": "\ud800", "siteName": "\x00" * 9_000},
            MISSED | {"evseTransactionId": 8, "socketId": 10**40, "fullConsumptionWh": 10**400},
            MISSED | {"evseTransactionId": 9, "timestampEnd": "0001-01-01T00:00:00Z"},
            MISSED | {"evseTransactionId": 10, "note": "x" * 100_000},
            MISSED,
        )
    )

    assert dict(run.sessions) == {"repaired": 7}
    assert len(store.summaries) == 7


async def test_all_pages_are_walked(store: Store) -> None:
    """Every item of every page is taken, and pages and requests are counted."""
    books = Books(*(PUSHED | {"id": n, "evseTransactionId": str(n)} for n in range(1, 8)))

    run = await store.reconcile(books, page_size=3)

    assert (run.pages, len(books.asked), dict(run.sessions)) == (3, 3, {"repaired": 7})
    assert len(store.summaries) == 7
    assert sum(row.key.startswith(END_ROWS) for row in store.tables.rows(SESSIONS)) == 7


async def test_an_item_on_two_pages_is_one_session(store: Store) -> None:
    """Pages move while they are read: a row that appears twice is repaired once."""
    run = await store.reconcile(Books(MISSED, PUSHED, MISSED))

    assert dict(run.sessions) == {"repaired": 2, "unchanged": 1}


async def test_eMabler_is_asked_for_the_window(store: Store) -> None:  # noqa: N802 - a name
    """The window goes from the lookback to two minutes ago, by the ends of sessions."""
    books = Books()

    run = await store.reconcile(books, hours=24, page_size=200)

    assert books.asked == [
        {
            "stopTimeSearchBegin": "2026-11-01T12:00:00.000000Z",
            "stopTime": "2026-11-02T11:58:00.000000Z",
            "includeSanityFlags": True,
            "page": 1,
            "limit": 200,
        }
    ]
    assert (run.window_start, run.window_end) == (
        NOW - timedelta(hours=24),
        NOW - timedelta(minutes=2),
    )
    assert (run.pages, dict(run.sessions)) == (1, {})


async def test_what_was_done_before_a_failure_stays(store: Store) -> None:
    """A walk that breaks off keeps its pages; the next run goes over them again."""
    items = [PUSHED | {"id": n, "evseTransactionId": str(n)} for n in range(1, 5)]

    class Failing(Books):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = await super().__call__(request)
            return answer if len(self.asked) == 1 else httpx.Response(503)

    with pytest.raises(RestUnavailableError):
        await store.reconcile(Failing(*items))
    assert len(store.summaries) == 2

    run = await store.reconcile(Books(*items))

    assert dict(run.sessions) == {"unchanged": 2, "repaired": 2}


async def test_a_store_that_is_away_is_told(store: Store) -> None:
    """The run fails as a whole; nothing counts as reconciled."""

    async def away(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("away")

    store.tables.pause = away

    with pytest.raises(StoreUnavailableError):
        await store.reconcile(Books(PUSHED))


async def test_a_run_is_told_in_the_wide_event() -> None:
    """Pages, requests, sessions by class and the window stand in the line of the invocation."""
    books = Books(PUSHED, MISSED, {})
    rooms = Rooms(
        {
            "DataStorageConnection": "UseDevelopmentStorage=true",
            "TAG_HASH_KEY": "k" * 32,
            "EMABLER_ENVIRONMENT": "test",
            "EMABLER_API_KEY": "key",
            "RECONCILE_SCHEDULE": "0 */15 * * * *",
            "RECONCILE_FIRST_DAYS": "1",
        },
        tables=MemoryTables(*ALL_TABLES),
        clock=Clock(),
        emabler=lambda: EmablerClient(
            BASE,
            "key",
            options=Options(page_size=2, requests_per_second=1e6),
            transport=httpx.MockTransport(books),
        ),
    )
    wide = WideEvent("reconcile")

    await rooms.reconciliation.reconcile(wide)

    expected = {
        "pages": 2,
        "rest_requests": 2,
        "sessions": {"repaired": 2, "unidentified": 1},
        "window_start": "2026-11-02T11:00:00.000000Z",
        "window_end": "2026-11-02T11:58:00.000000Z",
    }
    assert expected.items() <= wide.fields.items()
    json.dumps(wide.fields)


async def test_a_refused_key_ends_the_run(store: Store) -> None:
    """A wrong key is the operator's to mend: it is told, and nothing is written."""

    class Refusing(Books):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            await super().__call__(request)
            return httpx.Response(401)

    with pytest.raises(RestRefusedError, match="check EMABLER_API_KEY"):
        await store.reconcile(Refusing(PUSHED))

    assert store.summaries == []
