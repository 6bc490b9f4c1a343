"""Tags and chargers from eMabler by hand: what is taken, what is told, and what stays."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.emabler.client import EmablerClient
from shared.errors import OtherStoreError, RestRefusedError, SettingError
from shared.storage.tables import CHARGERS, STORE, TAGS
from shared.tags.records import tag_from_row
from tests.emabler.rest import Time, client, page_of
from tests.management.operator import Operator


class Rest:
    """eMabler's lists over HTTP, two rows a page."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.total_off_by = 0
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.status != 200:
            return httpx.Response(self.status)
        page = int(request.url.params["page"])
        shown = self.items[2 * page - 2 : 2 * page]
        total = len(self.items) + self.total_off_by
        return page_of(*shown, more=2 * page < len(self.items), totalRecords=total)


@pytest.fixture
def rest(operator: Operator) -> Rest:
    rest = Rest()
    operator.settings |= {"EMABLER_API_KEY": "key"}
    time = Time()

    def a_minute_later() -> EmablerClient:
        time.seconds += 60
        return client(rest, time=time, list_page_size=2, retry_seconds=0)

    operator.emabler = a_minute_later
    return rest


def tag(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "idTag": f"CANARY-{number}", "expiringDate": None} | changes


def tags_in(operator: Operator) -> set[str]:
    rows = operator.tables.rows(TAGS)
    return {tag_from_row(row).tag for row in rows if row.key.startswith("tag|")}


async def test_tags_are_taken_from_emabler(operator: Operator, rest: Rest) -> None:
    """Dry first: the same counts, and nothing written. No tag on any stream."""
    rest.items = [tag(1), tag(2), tag(3), tag(4, idTag="canary1")]

    dry = await operator.run("tags", "import", "--from-emabler", "--dry-run", "--json")
    assert tags_in(operator) == set()
    assert operator.tables.rows(STORE) == []
    ran = await operator.run("tags", "import", "--from-emabler", "--json")
    again = await operator.run("tags", "import", "--from-emabler")

    counts = {"new": 3, "changed": 0, "same": 0, "twice": 1, "unreadable": 0}
    assert (dry.code, dry.rows, dry.err) == (0, [counts], "nothing was written\n")
    assert (ran.code, ran.rows, ran.err) == (0, [counts], "")
    assert again.lines[1].split() == ["0", "0", "3", "1", "0"]
    assert len(tags_in(operator)) == 3
    assert "CANARY" not in (dry.out + ran.out + again.out + dry.err + ran.err + again.err).upper()


async def test_tags_that_cannot_be_read_are_told(operator: Operator, rest: Rest) -> None:
    """They are counted and left out, the others are written: exit 1."""
    rest.items = [tag(1), tag(2, expiringDate="soon"), None, tag(3, idTag=""), {}]

    ran = await operator.run("tags", "import", "--from-emabler", "--json")

    assert (ran.code, ran.rows[0]["new"], ran.rows[0]["unreadable"]) == (1, 1, 4)
    assert ran.err.startswith("error: tags_unreadable: 4 tags of eMabler's left out")


async def test_a_list_that_does_not_add_up_is_told(operator: Operator, rest: Rest) -> None:
    """Fewer tags than eMabler counts: what came is written, and the operator imports again."""
    rest.items, rest.total_off_by = [tag(1)], 1

    ran = await operator.run("tags", "import", "--from-emabler", "--json")

    assert (ran.code, ran.rows[0]["new"]) == (1, 1)
    assert ran.err.startswith("error: tags_incomplete: ")


async def test_tags_come_from_a_file_or_from_emabler(operator: Operator) -> None:
    """Both or neither is wrong usage."""
    for arguments in ((), ("tags.csv", "--from-emabler")):
        with pytest.raises(SystemExit) as raised:
            await operator.run("tags", "import", *arguments)
        assert raised.value.code == 2


async def test_tags_need_the_permission_and_the_key(operator: Operator, rest: Rest) -> None:
    """Without the permission the error names it; without a key, the setting."""
    rest.status = 403
    with pytest.raises(RestRefusedError, match="ReadTags"):
        await operator.run("tags", "import", "--from-emabler")
    del operator.settings["EMABLER_API_KEY"]
    with pytest.raises(SettingError, match="EMABLER_API_KEY is not set"):
        await operator.run("tags", "import", "--from-emabler")


async def test_tags_go_to_the_app_s_own_store_only(operator: Operator, rest: Rest) -> None:
    """An import into a store of another environment is refused whole."""
    rest.items = [tag(1)]
    await operator.run("store", "create")
    operator.settings["EMABLER_ENVIRONMENT"] = "production"

    with pytest.raises(OtherStoreError):
        await operator.run("tags", "import", "--from-emabler")

    assert tags_in(operator) == set()


def charger(number: int) -> dict[str, Any]:
    socket = {"id": 1, "name": "A", "status": "Charging", "lastUpdated": "2026-11-02T10:00:00Z"}
    return {
        "id": number,
        "chargerId": f"CH-{number:04}",
        "siteId": 9,
        "siteName": "Yard",
        "model": "Duo",
        "pushIntegrationEnabled": number % 2 == 0,
        "sockets": [socket],
    }


async def test_the_inventory_is_refreshed_by_hand(operator: Operator, rest: Rest) -> None:
    """Chargers, sockets and sites are in the list afterwards, the later state of each shown."""
    rest.items = [charger(42), charger(50), charger(51)]

    ran = await operator.run("chargers", "refresh", "--json")
    rows = (await operator.run("chargers", "list", "--json")).rows

    assert ran.code == 0
    assert ran.rows[0] == {
        "listed": 3,
        "rows_written": 6,
        "vanished": 0,
        "unreadable": 0,
        "numberless": 0,
        "not_believed": 0,
        "complete": True,
    }
    told = {(row["charger"], row["socket"]): row for row in rows}
    # Push told of it at 09:11, REST at 10:00.
    assert told["CH-0042", 1]["status"] == "Charging"
    assert told["CH-0042", 1]["status_source"] == "rest"
    assert told["CH-0042", 2]["status_source"] == "push"
    new = told["CH-0051", None]
    assert (new["site"], new["site_name"], new["push_enabled"]) == ("9", "Yard", False)
    assert new["model"] == "Duo"


async def test_a_fleet_that_shrinks_is_asked_about(operator: Operator, rest: Rest) -> None:
    """Most of it gone is told and not marked; with --believe it is."""
    rest.items = [charger(n) for n in range(1, 6)]
    await operator.run("chargers", "refresh")
    rest.items = rest.items[:1]

    doubted = await operator.run("chargers", "refresh", "--json")
    believed = await operator.run("chargers", "refresh", "--believe", "--json")

    assert doubted.code == 1
    assert doubted.err.startswith("error: inventory_not_believed: not listed any more: 4 chargers")
    assert (believed.code, believed.rows[0]["vanished"]) == (0, 4)
    listed = (await operator.run("chargers", "list", "--json")).rows
    assert sum(row["vanished"] is not None for row in listed) == 8


async def test_sockets_without_a_number_are_told(operator: Operator, rest: Rest) -> None:
    """They are left out, and the inventory is whole all the same: exit 0, with what to do."""
    rest.items = [charger(1) | {"sockets": [{"name": "?"}, {"id": 1}]}]

    ran = await operator.run("chargers", "refresh", "--json")

    assert (ran.code, ran.rows[0]["numberless"], ran.rows[0]["complete"]) == (0, 1, True)
    assert "no number: 1 socket." in ran.err


async def test_an_incomplete_inventory_is_told(operator: Operator, rest: Rest) -> None:
    """What came is written; the operator refreshes again: exit 1."""
    rest.items, rest.total_off_by = [charger(1)], 1

    ran = await operator.run("chargers", "refresh", "--json")

    assert ran.code == 1
    assert ran.err.startswith("error: inventory_incomplete: ")
    assert any(row.key == "CH-0001|!" for row in operator.tables.rows(CHARGERS))
