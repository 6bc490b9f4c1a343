"""Settings of another environment or bucket count: every command says so before it says more."""

from __future__ import annotations

import argparse

import pytest

from management.commands import COMMANDS
from management.context import Command, Context
from management.output import Output
from management.running import run_command
from shared.errors import OtherStoreError, SettingError
from shared.rooms import Rooms
from shared.storage.tables import STORE
from tests.management.operator import Operator

ON_ANY_STORE = {"doctor", "store create"}


@pytest.fixture
async def stamped(operator: Operator) -> Operator:
    """An operator whose store carries its stamp."""
    assert (await operator.run("store", "create")).code == 0
    return operator


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if not each.on_any_store], ids=lambda each: each.name
)
async def test_no_command_works_on_another_s_store(stamped: Operator, command: Command) -> None:
    """Each is refused before it reads its arguments: nothing is listed, nothing is written."""
    rooms = Rooms(
        stamped.settings | {"STORE_BUCKETS": "2"}, tables=stamped.tables, blobs=stamped.blobs
    )
    options = argparse.Namespace(command=command)

    with pytest.raises(OtherStoreError, match="the store has buckets 4, this app 2"):
        await run_command(Context(options, Output(as_json=False), rooms))


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("EMABLER_ENVIRONMENT", "production", OtherStoreError),
        ("EMABLER_ENVIRONMENT", "live", SettingError),
        ("EMABLER_ENVIRONMENT", "", SettingError),
        ("STORE_BUCKETS", "8", OtherStoreError),
        ("STORE_BUCKETS", "many", SettingError),
    ],
)
async def test_a_list_is_never_a_part_without_a_word(
    stamped: Operator, setting: str, value: str, error: type[Exception]
) -> None:
    """What the store hangs on is wrong or another: the list is refused, and `doctor` tells it."""
    stamped.settings[setting] = value

    with pytest.raises(error, match=setting):
        await stamped.run("sessions", "list")
    doctor = await stamped.run("doctor", "--json")

    (row,) = [row for row in doctor.rows if row["check"] == "store's stamp"]
    assert row["well"] is False
    assert setting in row["detail"]


async def test_a_store_without_a_stamp_is_read_as_it_is(operator: Operator) -> None:
    """Nobody has claimed it yet, and a list does not: it writes no stamp."""
    operator.settings["EMABLER_ENVIRONMENT"] = "production"

    assert (await operator.run("sessions", "list")).code == 0
    assert operator.tables.rows(STORE) == []


def test_only_what_looks_after_the_store_itself_is_exempt() -> None:
    """The command that finds the fault, and the one that makes the store."""
    assert {each.name for each in COMMANDS if each.on_any_store} == ON_ANY_STORE
