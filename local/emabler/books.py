"""eMabler's books in memory: what the REST reads answer from, and who fills them."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from local.emabler.records import (
    Charger,
    FinishedSession,
    OngoingSession,
    PushConfiguration,
    Tag,
)
from local.emabler.views import View


class Call(msgspec.Struct, rename="camel", omit_defaults=True):
    """One REST call, as `GET /_books/calls` lists it. Never holds a secret.

    Attributes:
        method: the HTTP method.
        path: the path, without a query.
        status: the status of the answer; 0 when there was none.
        faults: the names of the faults that the answer suffered.
    """

    method: str
    path: str
    status: int
    faults: tuple[str, ...] = ()


class Shelves(msgspec.Struct, kw_only=True):
    """The records of the books, each shelf in the order in which it was filled."""

    sessions: list[FinishedSession] = []
    ongoing: list[OngoingSession] = []
    chargers: list[Charger] = []
    tags: list[Tag] = []
    push_configurations: list[PushConfiguration] = []


type AnyRecord = FinishedSession | OngoingSession | Charger | Tag | PushConfiguration

SHELF_TYPES: Final[dict[str, Any]] = {
    "sessions": list[FinishedSession],
    "ongoing": list[OngoingSession],
    "chargers": list[Charger],
    "tags": list[Tag],
    "push_configurations": list[PushConfiguration],
}


class Books:
    """The shelves and the calls that were answered from them.

    Change a shelf with `put`, `add` and `change`: they keep the orders of the reads in step, one
    record at a time. A list that was changed beside them is read anew when its length differs.

    Attributes:
        shelves: the records.
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
        self._views: dict[str, View[Any]] = {}
        self._places: dict[str, dict[tuple[str, str], int]] = {}

    def shelf(self, name: str) -> list[Any]:
        """Give the records of one shelf: sessions, ongoing, chargers, tags, push_configurations."""
        records: list[Any] = getattr(self.shelves, name)
        return records

    def view(self, name: str) -> View[Any]:
        """Give the orders of one shelf."""
        records = self.shelf(name)
        view = self._views.get(name)
        if view is None or view.records is not records or view.length != len(records):
            view = self._views[name] = View(records)
        return view

    def put(self, name: str, records: Iterable[AnyRecord]) -> None:
        """Make these the whole content of a shelf."""
        self._fill(name, records)
        self._save()

    def clear(self) -> None:
        """Empty every shelf and forget the calls."""
        self.shelves = Shelves()
        self.calls.clear()
        self._views.clear()
        self._places.clear()
        self._save()

    def add(self, name: str, records: Iterable[AnyRecord]) -> None:
        """Add records; one that names the same subject takes the place of the earlier one."""
        self.change(name, added=records)

    def change(
        self, name: str, *, added: Iterable[AnyRecord] = (), removed: Iterable[AnyRecord] = ()
    ) -> None:
        """Take records off a shelf and add others, as one change; see `add`.

        Records are told by their subject. What comes and goes within one change is not there
        afterwards. A record of the shelf that was changed where it lies is added once more.
        """
        added, gone = list(added), {subject(record) for record in removed}
        if not added and not gone:
            return
        if gone:
            kept = [record for record in self.shelf(name) if subject(record) not in gone]
            self._fill(name, kept)
        places = self._subjects(name)  # first: it may put the shelf in order
        shelf, view = self.shelf(name), self.view(name)
        for record in added:
            if subject(record) in gone:
                continue
            place = places.setdefault(subject(record), len(shelf))
            if place == len(shelf):
                shelf.append(record)
                view.added()
            else:
                shelf[place] = record
                view.replaced(place)
        self._save()

    def _fill(self, name: str, records: Iterable[AnyRecord]) -> None:
        setattr(self.shelves, name, list(records))
        self._views.pop(name, None)
        self._places.pop(name, None)

    def _subjects(self, name: str) -> dict[tuple[str, str], int]:
        shelf = self.shelf(name)
        places = self._places.get(name)
        if places is None or len(places) != len(shelf):
            places = {subject(record): place for place, record in enumerate(shelf)}
            if len(places) != len(shelf):  # put in more than once: the latest counts
                self._fill(name, [shelf[place] for place in places.values()])
                return self._subjects(name)
            self._places[name] = places
        return places

    def _save(self) -> None:
        if self._keep is not None:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._keep.with_name(self._keep.name + ".new")
            fresh.write_bytes(msgspec.json.encode(self.shelves))
            fresh.replace(self._keep)


def subject(record: AnyRecord) -> tuple[str, str]:
    """What a record is about. Charger-issued transaction ids repeat across chargers."""
    if isinstance(record, OngoingSession):
        return record.charger_id, record.transaction_id
    return "", str(record.id)
