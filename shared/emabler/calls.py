"""What we ask of eMabler's REST API: the calls, their filters as they are spelled, the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.instants import format_instant


@dataclass(frozen=True, slots=True)
class Call:
    """One call below the base address. `setting` is where its path is set.

    `permissions` are those that its key probably needs: eMabler documents their names, not which
    call needs which.
    """

    name: str
    method: str
    path: str
    permissions: tuple[str, ...] = ()
    setting: str | None = None

    def below(self, *more: str) -> Call:
        """A call below this one's path, under the same permissions."""
        path = "/".join((self.path, *more))
        return Call(self.name, self.method, path, self.permissions, self.setting)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Paths, page sizes and bounds. Times in seconds.

    `timeout` bounds the silence of a server, twice of it one whole answer. `retry_seconds` bounds
    all tries of one request together.
    """

    finished_sessions_path: str = "v3/transactions"
    ongoing_sessions_path: str = "v2/ongoing-transactions"
    chargers_path: str = "v2/chargers"
    tags_path: str = "v2/tags"
    push_configurations_path: str = "v2/push-integrations/configurations"
    page_size: int = 200
    list_page_size: int = 100
    requests_per_second: float = 5.0
    timeout: float = 30.0
    retry_seconds: float = 60.0

    @property
    def finished_sessions(self) -> Call:
        """Finished sessions, by POST."""
        return Call(
            "finished sessions",
            "POST",
            self.finished_sessions_path,
            ("ReadSessions",),
            "EMABLER_TRANSACTIONS_PATH",
        )

    @property
    def ongoing_sessions(self) -> Call:
        """Sessions that are going on."""
        return Call(
            "ongoing sessions",
            "GET",
            self.ongoing_sessions_path,
            ("ReadSessions",),
            "EMABLER_ONGOING_PATH",
        )

    @property
    def chargers(self) -> Call:
        """The inventory."""
        return Call(
            "chargers",
            "GET",
            self.chargers_path,
            ("ReadChargers", "ReadSites"),
            "EMABLER_CHARGERS_PATH",
        )

    @property
    def tags(self) -> Call:
        """Drivers' tags."""
        return Call("tags", "GET", self.tags_path, ("ReadTags",), "EMABLER_TAGS_PATH")

    @property
    def push_configurations(self) -> Call:
        """The Push API's configurations."""
        return Call(
            "push configurations",
            "GET",
            self.push_configurations_path,
            ("ReadIntegrations",),
            "EMABLER_PUSH_CONFIGURATIONS_PATH",
        )

    @property
    def all_calls(self) -> tuple[Call, ...]:
        """Every call that the product makes."""
        return (
            self.finished_sessions,
            self.ongoing_sessions,
            self.chargers,
            self.tags,
            self.push_configurations,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedSessionsQuery:
    """Which finished sessions. None and empty are no filter; sets of ids are alternatives.

    A charger is `chargerId` or `chargerId/socketId`. That `started_from` to `started_to` bounds
    the session's start, and `ended_from` to `ended_to` its end, is read from the fields' names;
    whether a bound belongs to its range is not documented.
    """

    started_from: datetime | None = None
    started_to: datetime | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None
    chargers: Sequence[str] = ()
    drivers: Sequence[str] = ()
    sites: Sequence[str] = ()
    tags: Sequence[str] = field(default=(), repr=False)
    rest_ids: Sequence[int] = ()
    transactions: Sequence[str] = ()
    sort_key: str | None = None
    descending: bool = False
    sanity_flags: bool = True

    def body(self) -> dict[str, Any]:
        """The request's body, without page and limit. The capitals are eMabler's own."""
        return _present(
            startTime=self.started_from,
            startTimeSearchEnd=self.started_to,
            stopTimeSearchBegin=self.ended_from,
            stopTime=self.ended_to,
            chargerIDs=self.chargers,
            driverIDs=self.drivers,
            siteIDs=self.sites,
            rfidTags=self.tags,
            transactionIds=self.rest_ids,
            evseTransactionIds=self.transactions,
            sortKey=self.sort_key,
            sortDescending=self.descending,
            includeSanityFlags=self.sanity_flags,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OngoingSessionsQuery:
    """Which ongoing sessions. What `since` and `until` bound is not documented."""

    since: datetime | None = None
    until: datetime | None = None
    chargers: Sequence[str] = ()
    sockets: Sequence[int] = ()
    drivers: Sequence[str] = ()
    sort_key: str | None = None
    descending: bool = False

    def parameters(self) -> dict[str, Any]:
        """The request's query parameters, without page and limit."""
        return parameters(
            {
                "from": self.since,
                "to": self.until,
                "chargerIds": self.chargers,
                "socketIds": self.sockets,
                "driverIds": self.drivers,
                "sortKey": self.sort_key,
                "sortDescending": self.descending,
            }
        )


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Query parameters as eMabler takes them: several values are parted by commas."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else value
        for name, value in _present(**given).items()
    }


def _present(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What is there: instants as text, sequences as lists; None, empty and False are left out."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        match value:
            case None | False | () | []:
                continue
            case datetime():
                found[name] = format_instant(value)
            case tuple() | list():
                found[name] = list(value)
            case _:
                found[name] = value
    return found
