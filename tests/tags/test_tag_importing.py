"""Tags from CSV: every fault with its line, no tag twice, and rows that read back as they were."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.identifiers import hash_tag, normalise_tag
from shared.storage import limits
from shared.tags.csv_reading import Line
from shared.tags.importing import COLUMNS, fields_of, read_tags, read_tags_again, write_csv
from shared.tags.records import Scope, Tag, tag_from_row, tag_row, tag_session_row

HASH_KEY = b"k" * 32
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def read(text: str) -> list[Line[Tag]]:
    return list(read_tags(io.StringIO(text, newline="")).lines)


def faults(text: str) -> dict[int, str]:
    return {line.number: line.fault for line in read(text) if line.fault is not None}


def only_tag(fields: str, header: str = ",".join(COLUMNS)) -> Tag | None:
    (line,) = read(f"{header}\n{fields}\n")
    return line.record


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ("T", Tag(tag="T")),
        (" 04:A2:2b ,,,,", Tag(tag="04:A2:2b")),
        ("T,yes", Tag(tag="T", blocked=True)),
        ("T,No", Tag(tag="T")),
        ("T,TRUE", Tag(tag="T", blocked=True)),
        ("T,false", Tag(tag="T")),
        ("T,1", Tag(tag="T", blocked=True)),
        ("T,0", Tag(tag="T")),
        ("T,,2026-11-01", Tag(tag="T", valid_from=NOVEMBER)),
        (
            "T,,,2026-11-01T08:30:00+02:00",
            Tag(tag="T", valid_until=NOVEMBER + timedelta(hours=6, minutes=30)),
        ),
        (
            "T,,2026-11-01,2026-11-01T00:00:00.000001Z",
            Tag(
                tag="T",
                valid_from=NOVEMBER,
                valid_until=NOVEMBER + timedelta(microseconds=1),
            ),
        ),
        ("T,,,,VIN", Tag(tag="T", kind="VIN")),
        ('"a ""quoted"", tag",,,,', Tag(tag='a "quoted", tag')),
        ("::,,,,", Tag(tag="::")),
        ("x" * 255, Tag(tag="x" * 255)),
        (f"T,,,,{'y' * 32}", Tag(tag="T", kind="y" * 32)),
        ("T,,,,,Family", Tag(tag="T", group="Family")),
        ("T,,,,,,CH-1 | CH 2||CH-1,S", Tag(tag="T", scope=Scope(("CH-1", "CH 2"), ("S",)))),
        ("T,,,,,,,,3,yes", Tag(tag="T", most_sessions=3, offline=True)),
        ("T,,,,,,,,10000,no", Tag(tag="T", most_sessions=10_000, offline=False)),
    ],
)
def test_a_line_is_a_tag(fields: str, tag: Tag) -> None:
    """Blanks around values do not count, what is left out has its meaning, bounds are held."""
    assert only_tag(fields) == tag


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (",yes", "tag is empty"),
        ("   ", "tag is empty"),
        ("x" * 256, "tag has more than 255 characters"),
        ("T,maybe", "blocked is none of yes, no, true, false, 1, 0"),
        ("T,,soon", "valid_from is no instant such as 2026-11-01"),
        ("T,,,2026-13-01", "valid_until is no instant such as 2026-11-01"),
        ("T,,,2026-11-01 at noon", "valid_until is no instant such as 2026-11-01"),
        ("T,,2026-11-02,2026-11-01", "valid_until is not after valid_from"),
        ("T,,2026-11-01,2026-11-01", "valid_until is not after valid_from"),
        (f"T,,,,{'y' * 33}", "type has more than 32 characters"),
        ("T,,,,,,,,0", "most_sessions is no whole number from 1 to 10000"),
        ("T,,,,,,,,10001", "most_sessions is no whole number from 1 to 10000"),
        ("T,,,,,,,,many", "most_sessions is no whole number from 1 to 10000"),
        ("T,,,,,,,,,maybe", "offline is none of yes, no, true, false, 1, 0"),
        ("T,,,,," + "g" * 256, "group has more than 255 characters"),
        ("T,,,,,," + "c" * 256, "chargers has more than 255 characters"),
        ("T,,,,,,," + "|".join(map(str, range(501))), "sites holds more than 500 ids"),
        ("T,,,,,,,,,,more", "more fields than the header has"),
        ('T,"no"t', "is no CSV"),
        ('T,"no', "is no CSV"),
        (f"T,{'y' * 140_000}", "is no CSV"),
    ],
)
def test_each_fault_names_its_line(fields: str, fault: str) -> None:
    """A wrong line is told with its number and what is wrong; the others are read all the same."""
    header = ",".join(COLUMNS)

    before, wrong = read(f"{header}\nA\n{fields}\n")
    assert before == Line(2, Tag(tag="A"))
    assert (wrong.number, wrong.record) == (3, None)
    assert fault in str(wrong.fault)
    if '"no' not in fields or fields.endswith("t"):
        after = read(f"{header}\n{fields}\nB\n")[-1]
        assert after == Line(3, Tag(tag="B"))


def test_an_id_has_one_line() -> None:
    """Ids of a list stand in a column one below the other: none of them has two lines."""
    assert faults('tag,chargers\nA,"a\nb"\nB,"c|\n d"\n') == {
        3: "chargers holds an id of two lines"
    }


def test_a_fault_tells_no_tag() -> None:
    """Faults are printed and may be logged: they name lines, not tags."""
    text = "tag,blocked,valid_until\nSECRET,maybe\nSECRET,,never\nSECRET\nsec-ret\nS,,,,SECRET\n"

    assert len(faults(text)) == 4
    assert "secret" not in str(faults(text)).casefold()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "\n",
        "blocked,type",
        "Tag",
        "tag;blocked",
        "tag,colour",
        "tag, blocked",
        "tag,",
        "tag,tag",
        "tag,blocked,type,blocked",
        'tag,"blocked',
        "\ufefftag",
    ],
)
def test_a_header_names_the_columns(header: str) -> None:
    """A file whose first line does not name the columns, each once, is refused whole."""
    with pytest.raises(
        ValueError, match="the first line has to name the columns: tag,blocked,valid_from"
    ):
        read(f"{header}\nT\n" if header else "")


def test_columns_may_stand_in_any_order() -> None:
    """The header decides which field is which."""
    assert only_tag("VIN,yes,T", "type,blocked,tag") == Tag(tag="T", blocked=True, kind="VIN")


def test_one_tag_stands_in_a_file_once() -> None:
    """A second spelling of a tag is a fault that names the first line; a wrong line is no first."""
    text = "tag,blocked\n04:A2,maybe\n04-a2,no\n04 A2,yes\nb\nB,maybe\n04a2\n"

    assert faults(text) == {
        2: "blocked is none of yes, no, true, false, 1, 0",
        4: "the same tag as in line 3",
        6: "blocked is none of yes, no, true, false, 1, 0",
        7: "the same tag as in line 3",
    }


def test_lines_are_counted_as_an_editor_shows_them() -> None:
    """Blank lines count and are no tags; a quoted field of several lines ends its line."""
    text = 'tag,type\n\nA\n\n"B\nb",VIN\nC,' + "y" * 33 + "\n"

    assert [line.number for line in read(text)] == [3, 6, 7]
    assert list(faults(text)) == [7]


def test_files_of_windows_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    """A file that a spreadsheet saved is read as the command line opens it."""
    path = tmp_path / "tags.csv"
    path.write_bytes("\ufefftag,blocked\r\nKarte-ä,yes\r\n".encode())

    with path.open(encoding="utf-8-sig", newline="") as lines:
        assert list(read_tags(lines).lines) == [Line(2, Tag(tag="Karte-ä", blocked=True))]


@given(st.text(st.sampled_from('"",\n\r\x00 atag1') | st.characters(codec="utf-8"), max_size=60))
def test_no_file_raises_anything_else(text: str) -> None:
    """Whatever a file holds, its lines are tags or faults, or its header is refused."""
    for content in (text, f"tag,blocked\n{text}"):
        try:
            lines = read(content)
        except ValueError as error:
            assert "the first line" in str(error)  # noqa: PT017 - it may be refused or not
            continue
        assert all((line.record is None) == (line.fault is not None) for line in lines)


IDS = st.lists(st.text("aB-.=ü", min_size=1), unique=True, max_size=3).map(tuple)
TAGS_OF_ALL_KINDS = st.builds(
    Tag,
    tag=st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=255),
    blocked=st.booleans(),
    valid_from=st.none() | st.datetimes(timezones=st.just(UTC)),
    valid_until=st.none() | st.datetimes(timezones=st.just(UTC)),
    kind=st.none() | st.text(alphabet=st.characters(codec="utf-8"), max_size=32),
    group=st.none() | st.text("aB |", min_size=1),
    scope=st.builds(Scope, IDS, IDS),
    most_sessions=st.none() | st.integers(1, 10_000),
    offline=st.none() | st.booleans(),
)


@given(TAGS_OF_ALL_KINDS)
def test_a_tag_comes_back_from_its_row(tag: Tag) -> None:
    """A tag's row keeps its spelling and validity, under keys that tell neither."""
    row = tag_row(tag, HASH_KEY)

    limits.check_row(row)
    assert tag_from_row(row) == tag
    assert row.partition == hash_tag(tag.tag, HASH_KEY)
    assert row.key == f"tag|{row.partition[:8]}"
    assert row.columns["tag"] == normalise_tag(tag.tag)


TAGS_OF_LINES = TAGS_OF_ALL_KINDS.filter(
    lambda tag: (
        tag.tag == tag.tag.strip()
        and bool(tag.tag)
        and "\r" not in tag.tag + (tag.kind or "")
        and (tag.kind is None or (tag.kind == tag.kind.strip() and tag.kind != ""))
        and (tag.group is None or tag.group == tag.group.strip())
        and not (tag.valid_from and tag.valid_until and tag.valid_until <= tag.valid_from)
    )
)


@given(st.lists(TAGS_OF_LINES, max_size=5, unique_by=lambda tag: normalise_tag(tag.tag)))
def test_what_is_exported_reads_back(tags: list[Tag]) -> None:
    """An export's lines are the tags again, in all their columns."""
    file = io.StringIO(newline="")
    writer = write_csv(file, COLUMNS)
    for tag in tags:
        writer.writerow(fields_of(tag))

    assert [line.record for line in read(file.getvalue())] == tags


def test_a_group_has_to_be_there() -> None:
    """A line whose group is not known is a fault; a line without one is none."""
    file = read_tags(io.StringIO("tag,group\nA,Family\nB,family\nC,\n"), {"Family"})

    assert [line.fault for line in file.lines] == [
        None,
        "there is no group of that name (manage.py groups list)",
        None,
    ]


def test_a_second_reading_checks_no_line_against_others() -> None:
    """What the first reading found over all lines is not found again: it needs no memory."""
    lines = list(read_tags_again(io.StringIO("tag,group\nA,G\nA,G\nB,G,\n")).lines)

    assert [line.fault for line in lines] == [None, None, "more fields than the header has"]


def test_a_session_row_sorts_by_time_before_the_tag() -> None:
    """One range, from a time on up to the tag's row, is what an authorization reads."""
    row = tag_row(Tag(tag="T"), HASH_KEY)
    instants = [None, NOVEMBER + timedelta(days=400), NOVEMBER]
    keys = [tag_session_row(row.partition, "CH|7", "start", "d", at).key for at in instants]

    assert sorted([*keys, row.key]) == [keys[2], keys[1], keys[0], row.key]


def test_validity_is_kept_in_utc() -> None:
    """An instant of another zone is stored as the instant it is."""
    tag = only_tag("T,,2026-11-01T02:00:00+02:00")

    assert tag == Tag(
        tag="T", valid_from=datetime(2026, 11, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    )
    assert tag is not None
    assert tag_row(tag, HASH_KEY).columns["valid_from"] == "2026-11-01T00:00:00.000000Z"
