"""Keys made of identifiers: no two ids meet, none breaks a limit, none tells whose tag it was."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.identifiers import (
    READABLE_CHARACTERS,
    bucket_of,
    hash_tag,
    identifies_a_transaction,
    key_part,
    normalise_tag,
)
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.sessions.claims import Claim, Source
from shared.sessions.summary import SUMMARY_NAME
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES
from shared.tags.records import Tag
from tests import payloads
from tests.tagging import put_tags

HASH_KEY = b"k" * 32

# Few characters, so that drawn ids are often alike: escapes, separators, both cases, astral ones.
HOSTILE = st.text(st.sampled_from("aA2F=~|!/\\#?% .-_\x00\x1f\x7f\xa0äÄßéé🚗\ud800"), max_size=12)
LONG = st.builds(
    lambda start, middle, end: start * 30 + middle + end * 30, HOSTILE, HOSTILE, HOSTILE
)
IDS = HOSTILE | LONG | st.text(max_size=300)


@given(IDS, IDS)
def test_two_ids_never_give_one_key(one: str, other: str) -> None:
    """Different ids have different keys, however alike, long or hostile they are."""
    assume(one != other)

    assert key_part(one) != key_part(other)


@given(IDS)
def test_a_key_holds_only_what_keys_may_hold(identifier: str) -> None:
    """A key part has at most 96 characters, all of them harmless in keys, and no separator."""
    part = key_part(identifier)

    assert re.fullmatch(r"[A-Za-z0-9._\-=~]*", part)
    assert len(part) <= READABLE_CHARACTERS


@given(IDS)
def test_what_an_escaped_id_yields_is_another_id(identifier: str) -> None:
    """An id that looks like another id's key, escaped or hashed, has a key of its own."""
    part = key_part(identifier)
    assume(part != identifier)

    assert key_part(part) != part


@pytest.mark.parametrize(
    ("identifier", "part"),
    [
        ("CH-0042", "CH-0042"),
        ("ch-0042", "ch-0042"),
        ("a.b_c-d", "a.b_c-d"),
        ("", ""),
        ("a/b", "a=2Fb"),
        ("a=2Fb", "a=3D2Fb"),
        ("a\\b", "a=5Cb"),
        ("a#b", "a=23b"),
        ("a?b", "a=3Fb"),
        ("a%2Fb", "a=252Fb"),
        ("a|b", "a=7Cb"),
        ("~", "=7E"),
        ("a b", "a=20b"),
        ("a\nb", "a=0Ab"),
        ("a\x85b", "a=C2=85b"),
        ("ä", "=C3=A4"),
        ("🚗", "=F0=9F=9A=97"),
    ],
)
def test_short_ids_stay_readable(identifier: str, part: str) -> None:
    """Letters, digits and three marks stand for themselves, all else for the bytes of its UTF-8."""
    assert key_part(identifier) == part


@pytest.mark.parametrize(
    ("identifier", "prefix"),
    [("x" * 97, "x" * 60), ("x" * 255, "x" * 60), ("é" * 17, "=C3=A9" * 10)],
    ids=["97 characters", "255 characters", "17 characters of 6 in their escaped form"],
)
def test_long_ids_become_a_prefix_and_a_hash(identifier: str, prefix: str) -> None:
    """Beyond 96 characters in its escaped form, a key is 60 of them, `=~` and 128 bits of hash."""
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:32]

    assert key_part(identifier) == f"{prefix}=~{digest}"


def test_the_longest_readable_ids_stay_readable() -> None:
    """An id of 96 characters, or of 16 whose escapes have 96, is no hash yet."""
    assert key_part("x" * 96) == "x" * 96
    assert key_part("é" * 16) == "=C3=A9" * 16


def test_long_ids_that_differ_in_their_last_character_only_stay_apart() -> None:
    """The hash covers the whole id, both cases of a letter apart."""
    ids = ["x" * 254 + last for last in "aAbB/|"]

    assert len({key_part(each) for each in ids}) == len(ids)


@given(st.lists(st.tuples(IDS, IDS), min_size=2, max_size=6, unique=True))
def test_the_range_of_a_session_holds_exactly_its_own_rows(pairs: list[tuple[str, str]]) -> None:
    """Between `{charger}|{transaction}|` and `…|~` lie one session's claims and summary only."""
    keys: dict[str, set[str]] = {}
    for charger, transaction in pairs:
        claims = [
            Claim(source=source, charger=charger, transaction=transaction, name=name, digest="d")
            for source, name in ((Source.START, "0a"), (Source.STOP, "ff"), (Source.REST, "9"))
        ]
        for claim in claims:
            own = keys.setdefault(claim.session, {f"{claim.session}|{SUMMARY_NAME}"})
            own.add(claim.key)
    everything = set().union(*keys.values())

    for session, own in keys.items():
        found = {key for key in everything if f"{session}|" <= key < f"{session}|~"}
        assert found == own


@given(st.lists(IDS, min_size=2, max_size=6, unique=True))
def test_the_range_of_a_charger_holds_exactly_its_own_rows(chargers: list[str]) -> None:
    """Between `{charger}|` and `…|~` lies what is one charger's: no charger's id begins another."""
    keys = {
        charger: {f"{key_part(charger)}|{rest}" for rest in ("!", "0", "12", "=none-start-0a|!")}
        for charger in chargers
    }
    everything = set().union(*keys.values())

    for charger, own in keys.items():
        part = key_part(charger)
        assert {key for key in everything if f"{part}|" <= key < f"{part}|~"} == own


@pytest.mark.parametrize(
    ("charger", "of_4", "of_64"),
    [
        ("CH-0042", "1", "49"),
        ("ch-0042", "0", "32"),
        ("007", "1", "61"),
        ("Ladesäule 🚗", "1", "57"),
        ("CH/1", "3", "63"),
    ],
)
def test_a_charger_keeps_its_bucket(charger: str, of_4: str, of_64: str) -> None:
    """Buckets never change: the rows that are stored lie in them."""
    assert bucket_of(charger, 1) == "0"
    assert bucket_of(charger, 4) == of_4
    assert bucket_of(charger, 64) == of_64


def test_chargers_spread_evenly_over_the_buckets() -> None:
    """Ids that count up, as they do, fill each of four buckets with about a quarter of them."""
    found = [bucket_of(f"CH-{n:04d}", 4) for n in range(4000)]

    assert {bucket: 900 < found.count(bucket) < 1100 for bucket in set(found)} == {
        "0": True,
        "1": True,
        "2": True,
        "3": True,
    }


@pytest.mark.parametrize(
    "nothing",
    [
        *(None, "", " ", "\t\n"),
        *("0", "00", " 0 ", "-0", "+0", "0.0", "0.", ".0", "0000000"),
        *("-1", "-01", " -1\n", "-1.5", "-0.0", "-.5"),
    ],
)
def test_ids_that_identify_no_transaction(nothing: str | None) -> None:
    """None, blank, and any number not above 0 identify nothing, however they are written."""
    assert not identifies_a_transaction(nothing)


@pytest.mark.parametrize(
    "identifier",
    [
        *("1", "007", "0.5", "1032427936", "-1a", "0x0", "0 0", "00-1", "- 1"),
        *("a", "-", "+", ".", "-.", "none", "null", "3b0c-4e", "\x000"),
    ],
)
def test_ids_that_identify_a_transaction(identifier: str) -> None:
    """What is no number, or one above 0, is an id."""
    assert identifies_a_transaction(identifier)


@pytest.mark.parametrize(
    ("spelled", "compared"),
    [
        ("TAG123", "TAG123"),
        ("tag123", "TAG123"),
        ("04:a2:2b:7f", "04A22B7F"),
        ("04-A2-2B-7F", "04A22B7F"),
        (" 04 a2\t2b_7f.\n", "04A22B7F"),
        ("straße", "STRASSE"),
        ("STRASSE", "STRASSE"),
        ("a/b", "A/B"),
        (":-._", ":-._"),
        (" :- ", ":-"),
        (":", ":"),
        (" ", ""),
    ],
)
def test_tags_are_compared_without_case_and_separators(spelled: str, compared: str) -> None:
    """Readers write one card with and without separators; a tag of nothing else keeps them."""
    assert normalise_tag(spelled) == compared


@given(st.text() | HOSTILE)
def test_a_normalised_tag_is_its_own(tag: str) -> None:
    """Normalising twice changes nothing: claims hold tags that were normalised before hashing."""
    assert normalise_tag(normalise_tag(tag)) == normalise_tag(tag)


def test_a_tag_s_hash_is_keyed() -> None:
    """Without the key nobody can try all card ids; with another key the same tag is another row."""
    ours = hash_tag("04:a2:2b:7f", HASH_KEY)

    assert ours == hmac.new(HASH_KEY, b"04A22B7F", "sha256").hexdigest()
    assert ours == hash_tag("04A22B7F", HASH_KEY)
    assert ours != hash_tag("04A22B7F", b"K" * 32)
    assert ours != hash_tag("04A22B7E", HASH_KEY)


@given(IDS)
def test_any_tag_can_be_hashed(tag: str) -> None:
    """Half a surrogate pair, which JSON can hold, is hashed as well."""
    assert re.fullmatch(r"[0-9a-f]{64}", hash_tag(tag, HASH_KEY))


async def test_no_key_of_any_table_tells_a_tag() -> None:
    """Sessions, their index and the tag's own row name a tag in columns only, never in keys."""
    tables = MemoryTables(*ALL_TABLES)
    writer = SessionWriter(tables, buckets=4, tag_hash_key=HASH_KEY)
    ingestion = Ingestion(
        tables,
        MemoryBlobs(*ALL_CONTAINERS),
        buckets=4,
        sessions=writer,
        clock=lambda: datetime(2026, 11, 2, 12, tzinfo=UTC),
    )
    bodies = [
        payloads.start_v2(authorizedIdTag="SECRET-77"),
        payloads.full_v2(authorizedIdTag="SECRET-77"),
        payloads.start_v2(authorizedIdTag="SECRET-77", transactionId="-1"),
        payloads.start_v2(authorizedIdTag="SECRET-77", socketId="none"),
    ]

    await ingestion.ingest([IncomingMessage(body=body) for body in bodies])
    await put_tags(tables, [Tag(tag="secret-77")], HASH_KEY)

    keys = [(r.partition + r.key).upper() for name in ALL_TABLES for r in tables.rows(name)]
    assert len(keys) > 10
    assert [key for key in keys if "SECRET" in key] == []
