"""eMabler's list of sessions that go on, and the store's list of open ones. Pure but for `listed`.

Pages of the list move while it is read, so that a session which a walk did not show is asked for
once more by its charger, in one whole page, before anything is said of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched

from shared.emabler.calls import OngoingSessionsQuery
from shared.emabler.client import EmablerClient
from shared.emabler.models.sessions import OngoingSession, content_of, read_ongoing_session
from shared.emabler.paging import Page
from shared.identifiers import NAMELESS, identifier_of, identifies_a_transaction, normalise_tag
from shared.instants import parse_instant
from shared.push.digest import digest_fields
from shared.reconciliation.pairing import agree
from shared.reconciliation.spans import Budget
from shared.sessions.claims import Claim, Source, session_key
from shared.sessions.indexes import OPEN_ROWS
from shared.storage.rows import Row

_CHARGERS_AT_ONCE = 20
_TRIES = 3


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A session that is open in the store, by its row of `OPEN_ROWS`."""

    bucket: str
    session: str
    charger: str
    start: datetime | None
    socket: int | None

    @property
    def transaction(self) -> str | None:
        """The transaction's id; None where none identifies the session, or the key has its hash."""
        part = self.session.partition("|")[2]
        return None if part.startswith(NAMELESS) else identifier_of(part)

    @property
    def is_nameless(self) -> bool:
        """Whether no transaction id identifies it."""
        return self.session.partition("|")[2].startswith(NAMELESS)


def open_row_of(row: Row) -> OpenRow:
    """What a row of `OPEN_ROWS` says."""
    socket = row.columns.get("socket")
    return OpenRow(
        row.partition,
        row.key.removeprefix(OPEN_ROWS),
        str(row.columns["charger"]),
        parse_instant(str(row.columns.get("start", ""))),
        None if socket is None else int(socket),
    )


def may_be_open(session: str) -> bool:
    """Whether a session can ever be open: a stop without an id cannot, its window judges it."""
    return not session.partition("|")[2].startswith(f"{NAMELESS}{Source.STOP}-")


@dataclass(slots=True)
class Ongoing:
    """eMabler's ongoing sessions, by the session that they are of where an id tells, by charger."""

    as_of: datetime
    sessions: dict[str, OngoingSession] = field(default_factory=dict)
    chargers: dict[str, list[OngoingSession]] = field(default_factory=lambda: defaultdict(list))

    def add(self, items: Iterable[OngoingSession]) -> None:
        """Add what a page lists."""
        for each in items:
            self.chargers[each.charger].append(each)
            if identifies_a_transaction(each.transaction):
                self.sessions[key_of(each)] = each

    def lists(self, row: OpenRow) -> OngoingSession | None:
        """The ongoing session that an open one is; without an id by charger, socket and start."""
        if not row.is_nameless:
            return self.sessions.get(row.session)
        for each in self.chargers.get(row.charger, ()):
            same_socket = row.socket is None or each.socket in (None, row.socket)
            if same_socket and row.start and each.start and agree(row.start, each.start):
                return each
        return None


def key_of(ongoing: OngoingSession) -> str:
    """The key of the session that an ongoing one is of."""
    return session_key(ongoing.charger, ongoing.transaction, Source.ONGOING, ongoing.transaction)


def ongoing_claim(ongoing: OngoingSession, observed: datetime) -> Claim:
    """What the list says of a session, as a claim of that session; one for each session."""
    digest = digest_fields(["ongoing", content_of(ongoing.item).decode("utf-8", "surrogatepass")])
    return Claim(
        source=Source.ONGOING,
        charger=ongoing.charger,
        transaction=ongoing.transaction,
        name=ongoing.transaction,
        digest=digest,
        socket=ongoing.socket,
        start=ongoing.start,
        tag=normalise_tag(ongoing.tag) if ongoing.tag else None,
        meter_start_wh=ongoing.start_meter_wh,
        site=ongoing.site,
        observed=observed,
    )


async def read_ongoing(client: EmablerClient, now: datetime, budget: Budget) -> Ongoing:
    """Walk the list once. `as_of` is the instant before its first page was asked for.

    Raises:
        BudgetSpentError: Nothing more may be asked.
        RestUnavailableError: eMabler is throttling, failing, away or unreadable.
        RestRefusedError: The key, a permission or the request is wrong.
    """
    found: Ongoing | None = None
    budget.check()
    async for page in client.ongoing_sessions():
        found = found or Ongoing(page.asked)
        found.add(_read(client, page))
        budget.check()
    return found or Ongoing(now)


async def ask_again(
    client: EmablerClient, rows: Sequence[OpenRow], budget: Budget
) -> tuple[Ongoing | None, set[str]]:
    """Ask for the ongoing sessions of these rows' chargers, each answer one whole page.

    Returns:
        What they list, as of before the first request; and the chargers that no whole page told
        of: of these nothing is known.

    Raises:
        As `read_ongoing`.
    """
    chargers = sorted({each.charger for each in rows})
    found: Ongoing | None = None
    unknown: set[str] = set()
    waiting = [list(each) for each in batched(chargers, _CHARGERS_AT_ONCE, strict=False)]
    while waiting:
        asked = waiting.pop()
        page = await _whole_page(client, asked, budget)
        if page is not None:
            found = found or Ongoing(page.asked)
            found.add(_read(client, page))
        elif len(asked) > 1:
            middle = len(asked) // 2
            waiting += [asked[:middle], asked[middle:]]
        else:
            unknown.update(asked)
    return found, unknown


async def _whole_page(
    client: EmablerClient, chargers: Sequence[str], budget: Budget
) -> Page | None:
    query = OngoingSessionsQuery(chargers=chargers)
    for _ in range(_TRIES):
        budget.check()
        async for page in client.ongoing_sessions(query):
            if page.holds_all:
                return page
            if page.has_next:
                return None
            break
    return None


def _read(client: EmablerClient, page: Page) -> list[OngoingSession]:
    read = [read_ongoing_session(item, client.drift) for item in page.items]
    return [each for each in read if each is not None]
