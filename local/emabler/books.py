"""eMabler's books in memory: what the REST reads answer from, and who fills them."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from local.emabler.records import Charger, FinishedSession, OngoingSession, Tag


class Call(msgspec.Struct, rename="camel"):
    """One REST call that was answered, as `GET /_books/calls` lists it. Never holds a secret."""

    method: str
    path: str
    status: int


class Shelves(msgspec.Struct, kw_only=True):
    """The records of the books, each shelf in the order in which it was filled."""

    sessions: list[FinishedSession] = []
    ongoing: list[OngoingSession] = []
    chargers: list[Charger] = []
    tags: list[Tag] = []


type AnyRecord = FinishedSession | OngoingSession | Charger | Tag

SHELF_TYPES: Final[dict[str, Any]] = {
    "sessions": list[FinishedSession],
    "ongoing": list[OngoingSession],
    "chargers": list[Charger],
    "tags": list[Tag],
}


class Books:
    """The shelves and the calls that were answered from them.

    Attributes:
        shelves: the records; a test in the same process may change them at will.
        calls: the last thousand REST calls.
    """

    def __init__(self, keep: Path | None = None) -> None:
        """Open the books.

        Args:
            keep: a file to read them from, if it is there, and to write each change to.
        """
        self.calls: deque[Call] = deque(maxlen=1000)
        self._keep = keep
        self.shelves = Shelves()
        if keep is not None and keep.exists():
            self.shelves = msgspec.json.decode(keep.read_bytes(), type=Shelves)

    def shelf(self, name: str) -> list[Any]:
        """Give the records of one shelf: sessions, ongoing, chargers or tags."""
        records: list[Any] = getattr(self.shelves, name)
        return records

    def put(self, name: str, records: Iterable[AnyRecord]) -> None:
        """Make these the whole content of a shelf."""
        setattr(self.shelves, name, list(records))
        self._save()

    def add(self, name: str, records: Iterable[AnyRecord]) -> None:
        """Add records; one that names the same subject takes the place of the earlier one."""
        merged = {_subject(record): record for record in self.shelf(name)}
        merged |= {_subject(record): record for record in records}
        self.put(name, merged.values())

    def change(
        self,
        name: str,
        *,
        added: Iterable[AnyRecord] = (),
        removed: Iterable[AnyRecord] = (),
    ) -> None:
        """Take records off a shelf and add others, as one change; see `add`."""
        added, gone = list(added), {_subject(record) for record in removed}
        if added or gone:
            # What comes and goes within one change is not there afterwards.
            kept = [record for record in self.shelf(name) if _subject(record) not in gone]
            merged = {_subject(record): record for record in kept}
            merged |= {
                subject: record for record in added if (subject := _subject(record)) not in gone
            }
            self.put(name, merged.values())

    def clear(self) -> None:
        """Empty every shelf and forget the calls."""
        self.shelves = Shelves()
        self.calls.clear()
        self._save()

    def _save(self) -> None:
        if self._keep is not None:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._keep.with_name(self._keep.name + ".new")
            fresh.write_bytes(msgspec.json.encode(self.shelves))
            fresh.replace(self._keep)


def _subject(record: AnyRecord) -> tuple[str, str]:
    """What the record is about. Charger-issued transaction ids repeat across chargers."""
    if isinstance(record, OngoingSession):
        return record.charger_id, record.transaction_id
    return "", str(record.id)
