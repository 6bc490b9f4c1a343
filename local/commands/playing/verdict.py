"""Is the store what it must be? What the fleet says of it against what `manage.py` shows. Pure.

Compared are values as they are printed, none of them by code of the product. Starts and ends agree
within 2 s: eMabler's own samples tell one start in two ways.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import msgspec

from local.emabler.fleet.expected import (
    AGREEMENT,
    Expected,
    ExpectedEvent,
    ExpectedSession,
    ExpectedSocket,
    ExpectedTap,
)

type Row = dict[str, Any]

_PLAIN: Final = ("socket", "state", "energy_wh", "meter_start_wh", "meter_end_wh", "tag")
_INSTANTS: Final = ("start", "end")
_FINDINGS: Final = frozenset({"stop_conflict", "transaction_id_reused"})
_NO_IDS: Final = frozenset({None, "", "-1", "0"})


class Difference(msgspec.Struct, frozen=True, order=True):
    """One thing that is not as it must be, with both values."""

    charger: str
    what: str
    must_be: str
    is_: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All differences, and how much was compared for each charger."""

    differences: tuple[Difference, ...]
    compared: dict[str, Counter[str]]

    @property
    def equal(self) -> bool:
        """Whether the store is what it must be."""
        return not self.differences


def judge(
    expected: Expected,
    *,
    sessions: Sequence[Row],
    sockets: Sequence[Row],
    events: Sequence[Row],
    parked: Sequence[Row],
) -> Verdict:
    """Compare everything; the rows are what `manage.py … list --json` prints."""
    compared: dict[str, Counter[str]] = defaultdict(Counter)
    chargers = {event.name: event.name.partition("/")[0] for event in expected.events}
    for session in expected.sessions:
        compared[session.charger]["sessions"] += 1
        compared[session.charger]["books"] += session.books
    for socket in expected.sockets:
        compared[socket.charger]["sockets"] += 1
    for event in expected.events:
        compared[chargers[event.name]]["events"] += bool(event.bodies)
    for tap in expected.taps:
        compared[tap.charger]["taps"] += 1
    differences = (
        *_sessions(expected.sessions, sessions),
        *_sockets(expected.sockets, sockets),
        *_events(expected.events, events),
        *_parked(expected.parked, parked),
        *_taps(expected.taps),
    )
    return Verdict(differences=tuple(sorted(differences)), compared=dict(compared))


def _sessions(expected: Iterable[ExpectedSession], rows: Sequence[Row]) -> Iterable[Difference]:
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    nameless: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["transaction"] in _NO_IDS:
            nameless[row["charger"]].append(row)
        else:
            found[row["charger"], row["transaction"]].append(row)
    for session in expected:
        if session.transaction is None:
            here = [row for row in nameless[session.charger] if _is_it(session, row)]
            nameless[session.charger] = [r for r in nameless[session.charger] if r not in here]
            name = f"session without an id, socket {session.socket}, {_shown(session.start)}"
        else:
            here = found.pop((session.charger, session.transaction), [])
            name = f"session {session.transaction}"
        if len(here) == 1:
            yield from _session(name, session, here[0])
        else:
            told = "missing" if not here else f"listed {len(here)} times"
            yield Difference(session.charger, name, f"{session.state}, once", told)
    for row in chain(*found.values(), *nameless.values()):
        yield Difference(row["charger"], f"session {row['transaction']}", "not there", row["state"])


def _is_it(session: ExpectedSession, row: Row) -> bool:
    """Whether a row without an id is of this session: the same socket, and a time that agrees."""
    times = [
        _agree(getattr(session, name), _instant(row[name]))
        for name in _INSTANTS
        if row[name] is not None
    ]
    return row["socket"] == session.socket and any(times)


def _session(name: str, session: ExpectedSession, row: Row) -> Iterable[Difference]:
    for field in _INSTANTS:
        must_be, is_ = getattr(session, field), _instant(row[field])
        if not _agree(must_be, is_):
            yield Difference(session.charger, f"{name}: {field}", _shown(must_be), _shown(is_))
    plain = [(field, getattr(session, field), row[field]) for field in _PLAIN]
    plain.append(("sources", sorted(session.sources), sorted(row["sources"])))
    plain.append(
        ("findings", sorted(session.findings), sorted(_FINDINGS.intersection(row["findings"])))
    )
    for field, must_be, is_ in plain:
        if must_be != is_:
            yield Difference(session.charger, f"{name}: {field}", _shown(must_be), _shown(is_))


def _sockets(expected: Iterable[ExpectedSocket], rows: Sequence[Row]) -> Iterable[Difference]:
    """Each socket's latest state as push told it; the row shows the same, whoever told it.

    Where `manage.py` shows an inventory beside push, the columns of push are named for it.
    """
    found = {(row["charger"], row["socket"]): row for row in rows if row["socket"] is not None}
    for socket in expected:
        name = f"socket {socket.socket}"
        row = found.pop((socket.charger, socket.socket), None)
        must_be = f"{socket.status}, {socket.error_code}, {_shown(socket.instant)}"
        if row is None:
            yield Difference(socket.charger, name, must_be, "missing")
            continue
        pushed, instant = _pushed(row)
        same = (
            _word(row["status"]) == _word(pushed) == _word(socket.status)
            and _word(row["error_code"]) == _word(socket.error_code)
            and instant == socket.instant
        )
        if not same:
            is_ = f"{row['status']} ({pushed}), {row['error_code']}, {_shown(instant)}"
            yield Difference(socket.charger, name, must_be, is_)
    for charger, socket_number in found:
        yield Difference(charger, f"socket {socket_number}", "not there", "there")


def _pushed(row: Row) -> tuple[str | None, datetime | None]:
    """The state that push told last, and its instant."""
    status = row.get("pushed_status", row["status"])
    return status, _instant(row.get("pushed_instant", row["instant"]))


def _events(expected: Iterable[ExpectedEvent], rows: Sequence[Row]) -> Iterable[Difference]:
    """Each event that was told is in the journal once, by the bytes of one of its messages."""
    found = Counter(hashlib.sha256(row["body"].encode()).hexdigest() for row in rows)
    for event in expected:
        times = sum(found.pop(body, 0) for body in event.bodies)
        if event.bodies and times != 1:
            charger, _, rest = event.name.partition("/")
            yield Difference(
                charger, f"event {event.type} {rest}", "in the journal once", f"{times} times"
            )
    unknown = {row["charger"] for row in rows if _digest(row) in found}
    for charger in unknown:
        yield Difference(charger, "events that nobody sent", "none", "in the journal")


def _digest(row: Row) -> str:
    return hashlib.sha256(row["body"].encode()).hexdigest()


def _parked(expected: dict[str, str], rows: Sequence[Row]) -> Iterable[Difference]:
    found = {row["digest"]: row["reason"] for row in rows}
    for digest in sorted(expected.keys() | found.keys()):
        must_be, is_ = expected.get(digest, "not there"), found.get(digest, "not there")
        if must_be != is_:
            yield Difference("", f"parked message {digest[:12]}", must_be, is_)


def _taps(expected: Iterable[ExpectedTap]) -> Iterable[Difference]:
    for tap in expected:
        if tap.by == "fallback":
            yield Difference(tap.charger, f"tap, {tap.standing}", "an answer in time", "none")
        elif not tap.right:
            answer = "allowed" if tap.allowed else f"denied, {tap.reason}"
            yield Difference(tap.charger, f"tap, {tap.standing}", "its own answer", answer)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _agree(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= AGREEMENT


def _word(text: str | None) -> str:
    """Statuses and error codes without spaces and case: "No Error" is "NoError"."""
    return (text or "").replace(" ", "").casefold()


def _shown(value: object) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, datetime):
        return f"{value:%d %H:%M:%S}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
