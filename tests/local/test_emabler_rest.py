"""The small eMabler's REST reads against the documented contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from local.emabler import BASE_PATH
from local.emabler.books import SHELF_TYPES, Books
from local.emabler.habits import PERMISSIONS, Habits
from local.emabler.server import make_app

KEY = "the-key"
TRANSACTIONS = f"{BASE_PATH}/v2/transactions"
CHARGERS = f"{BASE_PATH}/v2/chargers"
TAGS = f"{BASE_PATH}/v2/tags"
ONGOING = f"{BASE_PATH}/v2/ongoing-transactions"


def session(number: int, **fields: Any) -> dict[str, Any]:
    """A finished session that ended at `number` o'clock, half an hour after its start."""
    return {
        "id": 1000 + number,
        "chargerId": f"CH-{number % 2}",
        "socketId": 1 + number % 3,
        "evseTransactionId": str(500 + number),
        "timestampStart": f"2026-03-14T{number - 1:02}:30:00Z",
        "timestampEnd": f"2026-03-14T{number:02}:00:00.0000001Z",
        "authorizedTagId": f"TAG-{number}",
        "authorizedUserId": 70 + number,
        "siteId": 30 + number % 2,
        "fullConsumptionWh": 1500 * number,
    } | fields


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def client(books: Books) -> AsyncIterator[TestClient[Any, Any]]:
    """A caller that carries the key."""
    server = TestServer(make_app(books, KEY))
    async with TestClient(server, headers={"x-api-key": KEY}) as client:
        yield client


def fill(books: Books, shelf: str, *records: dict[str, Any]) -> None:
    books.put(shelf, msgspec.convert(list(records), SHELF_TYPES[shelf]))


def convert(*records: dict[str, Any]) -> list[Any]:
    return msgspec.convert(list(records), SHELF_TYPES["sessions"])  # type: ignore[no-any-return]


async def ask(client: TestClient[Any, Any], **query: Any) -> dict[str, Any]:
    """The page that a query of finished sessions is answered with."""
    answer = await client.post(TRANSACTIONS, json=query)
    assert answer.status == 200, await answer.text()
    page: dict[str, Any] = await answer.json()
    return page


async def ids(client: TestClient[Any, Any], **query: Any) -> list[int]:
    return [item["id"] - 1000 for item in (await ask(client, **query))["items"]]


async def test_a_call_without_the_key_is_refused(client: TestClient[Any, Any]) -> None:
    """No key, or another one, is answered 401 without a body, on every read."""
    for key in ("", "another"):
        for method, path in (
            ("POST", TRANSACTIONS),
            ("GET", CHARGERS),
            ("GET", TAGS),
            ("GET", ONGOING),
            ("GET", f"{BASE_PATH}/v2/nothing"),
        ):
            answer = await client.request(method, path, headers={"x-api-key": key})
            assert (answer.status, await answer.read()) == (401, b"")


async def test_an_empty_query_gives_the_first_hundred(
    client: TestClient[Any, Any], books: Books
) -> None:
    """Without a body the first page has up to 100 sessions and says whether there are more."""
    fill(books, "sessions", *(session(1, id=number) for number in range(1, 131)))

    answer = await client.post(TRANSACTIONS)
    page = await answer.json()

    assert [item["id"] for item in page.pop("items")] == list(range(1, 101))
    assert page == {
        "page": 1,
        "limit": 100,
        "totalRecords": 130,
        "hasNextPage": True,
        "hasPreviousPage": False,
    }


async def test_pages_are_walked_to_their_end(client: TestClient[Any, Any], books: Books) -> None:
    """Following hasNextPage meets every session once; the page behind the end is empty."""
    fill(books, "sessions", *(session(1, id=number) for number in range(1, 8)))

    pages = [await ask(client, page=number, limit=3) for number in (1, 2, 3, 4)]

    assert [[item["id"] for item in page["items"]] for page in pages] == [
        [1, 2, 3],
        [4, 5, 6],
        [7],
        [],
    ]
    assert [page["hasNextPage"] for page in pages] == [True, True, False, False]
    assert [page["hasPreviousPage"] for page in pages] == [False, True, True, True]


@pytest.mark.parametrize(("version", "most"), [("v2", 1000), ("v3", 200)])
async def test_the_largest_page_depends_on_the_version(
    client: TestClient[Any, Any], version: str, most: int
) -> None:
    """v2 gives up to 1000 rows, v3 up to 200; more, or none, is a bad request."""
    for limit, status in ((most, 200), (most + 1, 400), (0, 400), (-1, 400)):
        answer = await client.post(f"{BASE_PATH}/{version}/transactions", json={"limit": limit})
        assert answer.status == status, limit


async def test_an_item_has_all_documented_fields(
    client: TestClient[Any, Any], books: Books
) -> None:
    """An item carries every field of the OpenAPI description, those derived included."""
    fill(books, "sessions", session(3))

    [item] = (await ask(client))["items"]

    assert item.keys() == set(DOCUMENTED_ITEM.split())
    assert item["fullConsumptionKWh"] == 4.5
    assert item["transactionLengthMinutes"] == pytest.approx(30)
    assert item["timestampEnd"] == "2026-03-14T03:00:00.0000001Z"
    assert item["vatPercent"] is None


DOCUMENTED_ITEM = """
timestampStart timestampEnd chargerId chargerName socketName authorizedTagId userName siteName
driverSiteName currency tariffId evseTransactionId origin vehicleId socketId fullConsumptionWh id
authorizedUserId siteId driverSiteId tariffVersion fullConsumptionKWh transactionLengthMinutes
unitPowerCost vatPercent energyPriceInclVat energyPriceExclVat chargingTimePriceInclVat
chargingTimePriceExclVat parkingTimePriceInclVat parkingTimePriceExclVat flatFeeInclVat
flatFeeExclVat totalMarginAmount reductionAmount totalCostInclVat totalCostExclVat totalVatAmount
operationTimestamp sanityFlags
"""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"startTime": "2026-03-14T02:30:00Z"}, [3, 4, 5]),
        ({"startTimeSearchEnd": "2026-03-14T02:30:00Z"}, [1, 2, 3]),
        ({"stopTimeSearchBegin": "2026-03-14T04:00:00Z"}, [4, 5]),
        ({"stopTime": "2026-03-14T03:59:59Z"}, [1, 2, 3]),
        ({"stopTimeSearchBegin": "2026-03-14T05:00:00+02:00", "stopTime": "2026-03-14T04:30:00Z"},
         [3, 4]),
        ({"chargerIDs": ["CH-1"]}, [1, 3, 5]),
        ({"chargerIDs": ["CH-1/2"]}, [1]),
        ({"chargerIDs": ["CH-0", "CH-1/3"]}, [2, 4, 5]),
        ({"driverIDs": ["72"]}, [2]),
        ({"siteIDs": ["30"]}, [2, 4]),
        ({"rfidTags": ["TAG-1", "TAG-5"]}, [1, 5]),
        ({"transactionIds": [1003]}, [3]),
        ({"evseTransactionIds": ["504", "505"]}, [4, 5]),
        ({"chargerIDs": [], "rfidTags": None, "stopTime": None}, [1, 2, 3, 4, 5]),
        ({"chargerIDs": ["CH-1"], "siteIDs": ["30"]}, []),
        ({"chargerIds": ["CH-1"]}, [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
async def test_filters(
    client: TestClient[Any, Any], books: Books, query: dict[str, Any], expected: list[int]
) -> None:
    """Each documented filter narrows, all together; null and empty do not; capitals count."""
    fill(books, "sessions", *(session(number) for number in range(1, 6)))

    assert await ids(client, **query) == expected


async def test_sorting(client: TestClient[Any, Any], books: Books) -> None:
    """A sort key names an item's field in any case; times sort as instants; nulls come first."""
    fill(
        books,
        "sessions",
        session(1, timestampEnd="2026-03-14T12:00:00+02:00", vatPercent=24.0),
        session(2, timestampEnd="2026-03-14T09:00:00Z", vatPercent=None),
        session(3, timestampEnd="2026-03-14T11:00:00Z", vatPercent=10.0),
    )

    assert await ids(client) == [1, 2, 3]
    assert await ids(client, sortDescending=True) == [3, 2, 1]
    assert await ids(client, sortKey="TimestampEnd") == [2, 1, 3]
    assert await ids(client, sortKey="vatPercent") == [2, 3, 1]
    assert await ids(client, sortKey="vatPercent", sortDescending=True) == [1, 3, 2]
    assert await ids(client, sortKey="StopTime") == [2, 1, 3]


async def test_pages_follow_what_the_books_become(
    client: TestClient[Any, Any], books: Books
) -> None:
    """What is added, replaced or removed shows in its place at once, whatever the order."""
    fill(books, "sessions", *(session(number) for number in (4, 2, 6)))
    window = {"stopTimeSearchBegin": "2026-03-14T02:30:00Z", "sortKey": "TimestampEnd"}

    async def seen() -> tuple[list[int], list[int]]:
        return await ids(client, **window), await ids(client, sortDescending=True)

    assert await seen() == ([4, 6], [6, 4, 2])
    books.add("sessions", convert(session(5), session(3)))
    assert await seen() == ([3, 4, 5, 6], [6, 5, 4, 3, 2])
    books.add("sessions", convert(session(4, timestampEnd="2026-03-14T09:00:00Z")))
    assert await seen() == ([3, 5, 6, 4], [6, 5, 4, 3, 2])
    books.add("sessions", convert(session(5, timestampEnd="2026-03-14T02:00:00Z")))
    assert await seen() == ([3, 6, 4], [6, 5, 4, 3, 2])
    books.change("sessions", added=convert(session(3), session(8)), removed=convert(session(3)))
    assert await seen() == ([6, 8, 4], [8, 6, 5, 4, 2])
    books.change("sessions", removed=convert(session(8)))
    assert await seen() == ([6, 4], [6, 5, 4, 2])
    [six] = [record for record in books.shelves.sessions if record.id == 1006]
    six.timestamp_end = "2026-03-14T10:00:00Z"
    books.add("sessions", [six])
    assert await seen() == ([4, 6], [6, 5, 4, 2])
    books.shelves.sessions.append(*convert(session(7)))
    assert await seen() == ([7, 4, 6], [7, 6, 5, 4, 2])


@pytest.mark.parametrize(
    ("bounds", "starts", "ends"),
    [("closed", [2, 3, 4], [2, 3, 4]), ("half_open", [2, 3], [2, 3]), ("open", [3], [3])],
)
async def test_bounds_of_time_filters_are_a_habit(
    books: Books, bounds: Any, starts: list[int], ends: list[int]
) -> None:
    """Which bounds belong to a time filter is not documented, and can be chosen."""
    records = (session(n, timestampEnd=f"2026-03-14T{n:02}:00:00Z") for n in range(1, 6))
    fill(books, "sessions", *records)
    server = TestServer(make_app(books, KEY, habits=Habits(bounds=bounds)))
    async with TestClient(server, headers={"x-api-key": KEY}) as client:
        first, last = "2026-03-14T01:30:00Z", "2026-03-14T03:30:00Z"
        assert await ids(client, startTime=first, startTimeSearchEnd=last) == starts
        first, last = "2026-03-14T02:00:00Z", "2026-03-14T04:00:00Z"
        assert await ids(client, stopTimeSearchBegin=first, stopTime=last) == ends


async def test_times_at_the_edges_of_the_calendar_are_times(
    client: TestClient[Any, Any], books: Books
) -> None:
    """A time whose instant in UTC lies beyond the calendar is taken for the nearest there is."""
    fill(books, "sessions", session(1))

    assert await ids(client, startTime="0001-01-01T00:00:00+14:00") == [1]
    assert await ids(client, stopTime="9999-12-31T23:59:59-12:00") == [1]
    assert await ids(client, stopTime="0001-01-01t00:00:00z") == []


async def test_sanity_flags_come_when_asked_for(client: TestClient[Any, Any], books: Books) -> None:
    """`includeSanityFlags` decides whether an item's flags are shown."""
    fill(books, "sessions", session(1, sanityFlags=["ENERGY_TOO_HIGH"]))

    shown = [(await ask(client, includeSanityFlags=flag))["items"] for flag in (True, False)]

    assert [items[0]["sanityFlags"] for items in shown] == [["ENERGY_TOO_HIGH"], []]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"page": 0}', "page"),
        (b'{"startTime": "yesterday"}', "startTime"),
        (b'{"stopTime": "2026-13-01T00:00:00Z"}', "stopTime"),
        (b'{"chargerIDs": "CH-1"}', "body"),
        (b'{"page": "one"}', "body"),
        (b"{", "body"),
    ],
)
async def test_a_bad_value_is_answered_as_a_problem(
    client: TestClient[Any, Any], body: bytes, field: str
) -> None:
    """A value that cannot be used gives 400 with an RFC 7807 body that names the field."""
    answer = await client.post(TRANSACTIONS, data=body)
    problem = await answer.json(content_type="application/problem+json")

    assert answer.status == 400
    assert problem.keys() == {"type", "title", "status", "detail", "instance", "extensions"}
    assert problem["status"] == 400
    assert field in problem["extensions"]


async def test_a_bad_sort_key_is_answered_with_the_older_body(
    client: TestClient[Any, Any],
) -> None:
    """A sort key that is not known, or empty, gives 400 with the older error body."""
    for answer in (
        await client.post(TRANSACTIONS, json={"sortKey": "nonsense"}),
        await client.post(TRANSACTIONS, json={"sortKey": ""}),
        await client.get(f"{CHARGERS}?sortKey="),
    ):
        error = await answer.json()
        assert answer.status == 400
        assert error.keys() == {"errorCode", "message", "errorNumber", "helpLink"}


async def test_a_failure_within_is_answered_with_the_older_body(
    client: TestClient[Any, Any], books: Books
) -> None:
    """What nobody foresaw gives 500 with the older error body, and tells nothing of itself."""
    books.shelves.sessions.append("no session")  # type: ignore[arg-type] # a broken book

    answer = await client.post(TRANSACTIONS, json={"stopTime": "2026-03-14T00:00:00Z"})

    assert answer.status == 500
    assert (await answer.json()).keys() == {"errorCode", "message", "errorNumber", "helpLink"}


async def test_what_is_not_there_is_not_found(client: TestClient[Any, Any]) -> None:
    """An unknown path is 404, a wrong method 405."""
    assert (await client.get(f"{BASE_PATH}/v2/nothing")).status == 404
    assert (await client.get(TRANSACTIONS)).status == 405


async def test_chargers(client: TestClient[Any, Any], books: Books) -> None:
    """Chargers come by id, filtered by site and search; `lastSeen` may be the year 1."""
    fill(
        books,
        "chargers",
        {"id": 2, "chargerId": "B-2", "name": "Harbour", "siteId": 7, "serial": "S-99"},
        {"id": 1, "chargerId": "A-1", "siteId": 8, "lastSeen": "0001-01-01T00:00:00Z"},
        {"id": 3, "chargerId": "C-3", "siteId": 7, "sockets": [{"id": 1, "name": "left"}]},
    )

    async def found(**query: Any) -> list[str]:
        answer = await client.get(CHARGERS, params=query)
        return [item["chargerId"] for item in (await answer.json())["items"]]

    assert await found() == ["A-1", "B-2", "C-3"]
    assert await found(sortKey="ChargerId", sortDescending="true") == ["C-3", "B-2", "A-1"]
    assert await found(siteId=7) == ["B-2", "C-3"]
    assert await found(search="harb") == ["B-2"]
    assert await found(search="s-99") == ["B-2"]
    assert await found(limit=1, page=3) == ["C-3"]


async def test_tags(client: TestClient[Any, Any], books: Books) -> None:
    """Tags come by id tag, filtered by driver and search."""
    fill(
        books,
        "tags",
        {"id": 1, "idTag": "04BB", "driverId": 5, "tokenName": "Blue card"},
        {"id": 2, "idTag": "04AA", "driverId": 6},
    )

    async def found(**query: Any) -> list[str]:
        answer = await client.get(TAGS, params=query)
        return [item["idTag"] for item in (await answer.json())["items"]]

    assert await found() == ["04AA", "04BB"]
    assert await found(driverId=5) == ["04BB"]
    assert await found(search="blue") == ["04BB"]


async def test_ongoing_sessions(client: TestClient[Any, Any], books: Books) -> None:
    """Ongoing sessions are filtered by comma separated arrays and by the time of their start."""
    fill(
        books,
        "ongoing",
        *(
            {
                "chargerId": f"CH-{number}",
                "socketId": number,
                "transactionId": str(number),
                "startTime": f"2026-03-14T0{number}:00:00Z",
                "authorizedUserId": 70 + number,
                "externalDriverId": f"ext-{number}",
            }
            for number in (1, 2, 3)
        ),
    )

    async def found(**query: Any) -> list[str]:
        answer = await client.get(ONGOING, params=query)
        return [item["transactionId"] for item in (await answer.json())["items"]]

    assert await found() == ["1", "2", "3"]
    assert await found(chargerIds="CH-1,CH-3") == ["1", "3"]
    assert await found(socketIds="2") == ["2"]
    assert await found(driverIds="71,72") == ["1", "2"]
    assert await found(externalDriverIds="ext-3") == ["3"]
    assert await found(**{"from": "2026-03-14T02:00:00Z"}) == ["2", "3"]
    assert await found(to="2026-03-14T02:00:00Z", sortDescending="true") == ["2", "1"]
    answer = await client.get(ONGOING)
    assert "externalDriverId" not in (await answer.json())["items"][0]


async def test_push_integrations(client: TestClient[Any, Any], books: Books) -> None:
    """Configurations are listed, and below each of them its endpoints and their messages."""
    endpoint = {"id": 3, "endpointType": "AzureServiceBus"}
    message = {"id": 5, "endpointId": 3, "messageType": "ChargerState", "enabled": False}
    configuration = {"id": 7, "name": "events", "endpoints": [endpoint], "messages": [message]}
    fill(books, "push_configurations", {"id": 9}, configuration)
    configurations = f"{BASE_PATH}/v2/push-integrations/configurations"

    async def items(path: str) -> list[dict[str, Any]]:
        answer = await client.get(configurations + path)
        found: list[dict[str, Any]] = (await answer.json())["items"]
        return found

    assert await items("") == [
        {"id": 7, "name": "events", "enabled": True},
        {"id": 9, "name": "", "enabled": True},
    ]
    assert await items("/7/endpoints") == [endpoint | {"name": "", "enabled": True}]
    assert await items("/7/messages") == [message]
    assert await items("/9/messages") == []
    for path, status in (("/8/messages", 404), ("/eight/endpoints", 400)):
        answer = await client.get(configurations + path)
        assert (answer.status, answer.content_type) == (status, "application/problem+json")


@pytest.mark.parametrize(
    ("permission", "paths"),
    [
        ("ReadSessions", {TRANSACTIONS, TRANSACTIONS.replace("v2/t", "v3/t"), ONGOING}),
        ("ReadChargers", {CHARGERS}),
        ("ReadTags", {TAGS}),
        ("ReadIntegrations", {f"{BASE_PATH}/v2/push-integrations/configurations"}),
        ("ReadSites", set()),
    ],
)
async def test_a_missing_permission_is_answered_403(
    client: TestClient[Any, Any], permission: str, paths: set[str]
) -> None:
    """A key whose operator lacks a permission is refused where it is needed, not elsewhere."""
    others = [each for each in PERMISSIONS if each != permission]
    await client.put("/_habits", json={"permissions": others})

    refused = set()
    for method, path in (
        ("POST", TRANSACTIONS),
        ("POST", TRANSACTIONS.replace("v2/t", "v3/t")),
        ("GET", ONGOING),
        ("GET", CHARGERS),
        ("GET", TAGS),
        ("GET", f"{BASE_PATH}/v2/push-integrations/configurations"),
    ):
        answer = await client.request(method, path)
        if answer.status == 403:
            refused.add(path)
            assert (await answer.json())["errorCode"] == "FORBIDDEN"

    assert refused == paths


async def test_limits_of_rate_are_a_habit(client: TestClient[Any, Any]) -> None:
    """Each version of transactions has its own limit in a minute; beyond it comes 429."""
    limits = {"v2CallsAMinute": 2, "v3CallsAMinute": 3}
    assert (await client.put("/_habits", json=limits)).status == 400
    limits = {"v2_calls_a_minute": 2, "v3_calls_a_minute": 3}
    assert (await client.put("/_habits", json=limits)).status == 204

    for version, most in (("v2", 2), ("v3", 3)):
        answers = [await client.post(f"{BASE_PATH}/{version}/transactions") for _ in range(4)]
        assert [answer.status for answer in answers] == [200] * most + [429] * (4 - most)
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    shown = await (await client.get("/_habits")).json()
    assert shown["v2_calls_a_minute"] == 2


@pytest.mark.parametrize(
    "query",
    [
        "limit=101",
        "page=x",
        "page=0",
        "page=",
        "page=1_0",
        "page=99999999999",
        "sortDescending=maybe",
        "siteId=one",
        "siteId=99999999999999999999",
    ],
)
async def test_a_bad_query_is_a_problem(client: TestClient[Any, Any], query: str) -> None:
    """A list refuses more than 100 rows and values that are none."""
    answer = await client.get(f"{CHARGERS}?{query}")

    assert answer.status == 400
    assert answer.content_type == "application/problem+json"


async def test_the_books_can_be_filled_from_outside(
    client: TestClient[Any, Any], books: Books
) -> None:
    """PUT replaces a shelf, POST adds to it by subject, DELETE empties everything."""
    put = await client.put("/_books/sessions", json=[session(1), session(2)])
    added = await client.post("/_books/sessions", json=[session(2, siteId=99), session(3)])

    assert (put.status, added.status) == (204, 204)
    assert [(record.id, record.site_id) for record in books.shelves.sessions] == [
        (1001, 31),
        (1002, 99),
        (1003, 31),
    ]
    shown = await (await client.get("/_books/sessions")).json()
    assert [item["id"] for item in shown] == [1001, 1002, 1003]
    await client.delete("/_books")
    assert books.shelves.sessions == []


@pytest.mark.parametrize(
    ("shelf", "record"),
    [
        ("sessions", {"id": 1}),
        ("sessions", session(1) | {"chargerID": "a typing error"}),
        ("sessions", session(1) | {"timestampEnd": "noon"}),
        ("nowhere", {}),
    ],
)
async def test_a_record_in_another_shape_is_refused(
    client: TestClient[Any, Any], books: Books, shelf: str, record: dict[str, Any]
) -> None:
    """A record that lacks a field, has an unknown one or a bad time is refused, the rest kept."""
    fill(books, "sessions", session(1))

    answer = await client.put(f"/_books/{shelf}", json=[record])

    assert answer.status == 400
    assert len(books.shelves.sessions) == 1


async def test_calls_are_listed(client: TestClient[Any, Any]) -> None:
    """The reads that were answered can be counted, refused ones included, without secrets."""
    await client.post(TRANSACTIONS)
    await client.get(CHARGERS, headers={"x-api-key": "wrong"})

    calls = await (await client.get("/_books/calls")).json()

    assert calls == [
        {"method": "POST", "path": TRANSACTIONS, "status": 200},
        {"method": "GET", "path": CHARGERS, "status": 401},
    ]
