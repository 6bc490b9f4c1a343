"""Tags from CSV: read as a whole with all faults by line, then written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.identifiers import MAX_ID_CHARACTERS, normalise_tag
from shared.instants import parse_instant
from shared.storage.rows import Tables, Upsert
from shared.storage.tables import TAGS
from shared.storage.together import SIDE_BY_SIDE, all_done
from shared.tags.records import Tag, tag_row

COLUMNS = ("tag", "blocked", "valid_from", "valid_until", "type")
_BOOLEANS = {"": False, "no": False, "false": False, "0": False}
_BOOLEANS |= {"yes": True, "true": True, "1": True}
_MAX_TYPE_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file: its number, and the tag that it is or what is wrong with it."""

    number: int
    tag: Tag | None
    fault: str | None = None


def read_tags(lines: Iterable[str]) -> Iterator[Line]:
    """Read CSV with a header: `tag`, and optionally `blocked`, `valid_from`, `valid_until`, `type`.

    Instants are ISO 8601; a day is its beginning, UTC. A tag may stand in the file once, however
    it is spelled.

    Raises:
        ValueError: The header is not one.
    """
    reader = csv.DictReader(lines, restkey="", strict=True)
    _check_header(reader)
    seen: dict[str, int] = {}
    while True:
        try:
            tag = _tag(next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            # The reader of dictionaries counts a line when it has read it.
            yield Line(reader.reader.line_num, None, f"is no CSV: {error}")
            continue
        except ValueError as error:
            yield Line(reader.line_num, None, str(error))
            continue
        number = reader.line_num
        first = seen.setdefault(normalise_tag(tag.tag), number)
        if first == number:
            yield Line(number, tag)
        else:
            yield Line(number, None, f"the same tag as in line {first}")


def _check_header(reader: csv.DictReader[str]) -> None:
    message = f"the first line has to name the columns: {','.join(COLUMNS)}"
    try:
        header = reader.fieldnames or ()
    except csv.Error as error:
        raise ValueError(message) from error
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        message += f"; unknown: {', '.join(unknown)}"
    if len(set(header)) < len(header):
        message += "; each once"
    if "tag" not in header or unknown or len(set(header)) < len(header):
        raise ValueError(message)


def _tag(fields: dict[str, str | None]) -> Tag:
    if "" in fields:
        raise ValueError("more fields than the header has")
    text = {name: (fields.get(name) or "").strip() for name in COLUMNS}
    if not normalise_tag(text["tag"]):
        raise ValueError("tag is empty")
    if len(text["tag"]) > MAX_ID_CHARACTERS:
        message = f"tag has more than {MAX_ID_CHARACTERS} characters"
        raise ValueError(message)
    if text["blocked"].lower() not in _BOOLEANS:
        raise ValueError("blocked is none of yes, no, true, false, 1, 0")
    if len(text["type"]) > _MAX_TYPE_CHARACTERS:
        message = f"type has more than {_MAX_TYPE_CHARACTERS} characters"
        raise ValueError(message)
    valid_from = _instant("valid_from", text["valid_from"])
    valid_until = _instant("valid_until", text["valid_until"])
    if valid_from and valid_until and valid_until <= valid_from:
        raise ValueError("valid_until is not after valid_from")
    return Tag(
        tag=text["tag"],
        blocked=_BOOLEANS[text["blocked"].lower()],
        valid_from=valid_from,
        valid_until=valid_until,
        kind=text["type"] or None,
    )


def _instant(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        instant = parse_instant(text)
    if instant is None:
        message = f"{name} is no instant such as 2026-11-01 or 2026-11-01T08:30:00Z"
        raise ValueError(message)
    return instant


async def write_tags(
    tables: Tables, tags: Sequence[Tag], hash_key: bytes, written: Callable[[int], None]
) -> None:
    """Write tags, some side by side; `written` is told how many more are in the store.

    Raises:
        StoreUnavailableError: Some are written; the same call writes the rest.
    """
    for n in range(0, len(tags), SIDE_BY_SIDE):
        part = tags[n : n + SIDE_BY_SIDE]
        await all_done(tables.write(TAGS, [Upsert(tag_row(tag, hash_key))]) for tag in part)
        written(len(part))
