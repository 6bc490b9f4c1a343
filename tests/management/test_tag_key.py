"""A key that is not the store's: told before "there is nothing" is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from management.tag_key_check import tag_key
from shared.errors import EmablerFunctionsError
from shared.rooms import Rooms
from tests.management.operator import SECRET, Operator


@pytest.fixture
async def store(tmp_path: Path) -> Operator:
    """An operator with one tag."""
    operator, file = Operator(), tmp_path / "tags.csv"
    file.write_text("tag\n04-a2 24:7b\n", encoding="utf-8")
    assert (await operator.run("tags", "import", str(file))).code == 0
    return operator


def rooms(store: Operator, **settings: str) -> Rooms:
    return Rooms(store.settings | settings, tables=store.tables, blobs=store.blobs)


async def test_another_key_is_told(store: Operator) -> None:
    """The current key or the previous one has to be the one that the tags lie under."""
    other = SECRET[::-1]

    assert await tag_key(rooms(store)) == "a tag of the store lies where it should"
    rotating = rooms(store, TAG_HASH_KEY=other, TAG_HASH_KEY_PREVIOUS=SECRET)
    assert await tag_key(rotating) == "a tag of the store lies where it should"
    with pytest.raises(EmablerFunctionsError, match="under another TAG_HASH_KEY") as caught:
        await tag_key(rooms(store, TAG_HASH_KEY=other))
    assert caught.value.code == "tag_key_differs"


async def test_a_store_without_tags_says_nothing_of_the_key() -> None:
    """Where no record of a tag is there, any key may be right."""
    assert await tag_key(rooms(Operator())) == "not known: no record of a tag was found"


@pytest.mark.parametrize(
    "words",
    [
        ("authorize", "CH-0042", "04A2247B"),
        ("tags", "show", "04A2247B"),
        ("tags", "block", "04A2247B"),
        ("tags", "rehash"),
    ],
)
async def test_what_goes_by_a_tag_s_id_stops(store: Operator, words: tuple[str, ...]) -> None:
    """Under another key a known tag would be unknown, and a key that is none is refused."""
    store.settings["TAG_HASH_KEY"] = SECRET[::-1]
    store.settings["TAG_HASH_KEY_PREVIOUS"] = SECRET[::-1].upper()
    with pytest.raises(EmablerFunctionsError, match="under another TAG_HASH_KEY"):
        await store.run(*words)

    store.settings["TAG_HASH_KEY"] = "short"
    ran = await store.run(*words)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: setting_wrong: TAG_HASH_KEY ")


async def test_lists_need_no_key(store: Operator) -> None:
    """What walks the rows asks for no tag by its id."""
    store.settings["TAG_HASH_KEY"] = "short"

    for words in (("tags", "list"), ("tags", "unknown"), ("sessions", "list")):
        assert (await store.run(*words)).code == 0


async def test_doctor_and_erasures_look_at_it(store: Operator) -> None:
    """The doctor lists it; an erasure and an export stop instead of finding nothing."""
    store.settings["TAG_HASH_KEY"] = SECRET[::-1]

    doctor = await store.run("doctor", "--json")

    (row,) = [row for row in doctor.rows if row["check"] == "tags' key"]
    assert row["detail"].startswith("tag_key_differs: ")
    for words in (("erase", "04A2247B", "--yes"), ("export", "04A2247B")):
        with pytest.raises(EmablerFunctionsError, match="under another TAG_HASH_KEY"):
            await store.run("privacy", *words)
