"""Compares what the store holds with what a hand-written expectation says.

Instants are compared as instants, numbers as numbers, codes without spaces and case (v1 says
"No Error" where v2 says "NoError").
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from local.emabler.examples import ExpectedEvent, ExpectedSession, ExpectedSocket

type Row = dict[str, Any]

_INSTANTS = ("instant", "start", "end")


def compare_events(expected: Iterable[ExpectedEvent], rows: Sequence[Row]) -> list[str]:
    """Give the differences between the events expected and the journal's, each once."""
    differences = []
    found = Counter(_event_name(row) for row in rows)
    wanted = {_event_name(msgspec.to_builtins(event)): event.generations for event in expected}
    for name, times in found.items():
        if name not in wanted:
            differences.append(f"the journal holds an event nobody sent: {_told(name)}")
        elif times > 1:
            differences.append(f"the journal holds an event {times} times: {_told(name)}")
    generations = {_event_name(row): row["generation"] for row in rows}
    for name, allowed in wanted.items():
        if name not in found:
            differences.append(f"the journal lacks an event: {_told(name)}")
        elif generations[name] not in allowed:
            told = f"{generations[name]} instead of {' or '.join(allowed)}"
            differences.append(f"an event was read as {told}: {_told(name)}")
    return differences


def compare_sessions(expected: Iterable[ExpectedSession], rows: Sequence[Row]) -> list[str]:
    """Give the differences between the sessions expected and the store's."""
    return _compare("session", ("charger", "transaction"), expected, rows)


def compare_sockets(expected: Iterable[ExpectedSocket], rows: Sequence[Row]) -> list[str]:
    """Give the differences between the socket states expected and the store's.

    Rows without a socket tell of the charger as a whole; no state is expected there. The states are
    those that push told: what eMabler's inventory says of a socket stands beside them.
    """
    sockets = [
        {**row, "status": row["pushed_status"], "instant": row["pushed_instant"]}
        for row in rows
        if row.get("socket") is not None and row.get("pushed_status") is not None
    ]
    return _compare("socket", ("charger", "socket"), expected, sockets)


def _event_name(fields: Row) -> tuple[Any, ...]:
    return (
        fields["type"],
        fields["charger"],
        fields.get("socket"),
        fields.get("transaction"),
        _plain("instant", fields["instant"]),
    )


def _told(name: tuple[Any, ...]) -> str:
    kind, charger, socket, transaction, instant = name
    parts = [kind, charger]
    parts += [f"socket {socket}"] if socket is not None else []
    parts += [f"transaction {transaction}"] if transaction is not None else []
    return f"{', '.join(parts)}, {instant}"


def _compare(
    what: str, key: tuple[str, ...], expected: Iterable[msgspec.Struct], rows: Sequence[Row]
) -> list[str]:
    wanted = {_key(each, key): each for each in map(msgspec.to_builtins, expected)}
    found = {_key(row, key): row for row in rows}
    differences = [] if len(found) == len(rows) else [f"a {what} is listed more than once"]
    differences += [f"a {what} nobody expects: {name}" for name in found.keys() - wanted.keys()]
    differences += [f"a {what} is missing: {name}" for name in wanted.keys() - found.keys()]
    for name in wanted.keys() & found.keys():
        for field, value in wanted[name].items():
            here, there = _plain(field, value), _plain(field, found[name].get(field))
            if here != there:
                differences.append(f"{what} {name}: {field} is {there}, expected {here}")
    return sorted(differences)


def _key(fields: Row, key: tuple[str, ...]) -> str:
    return "/".join(str(fields[name]) for name in key)


def _plain(field: str, value: object) -> object:
    """Bring a value into the form in which it is compared."""
    if value is None or value == "":
        return None
    if field in _INSTANTS:
        return datetime.fromisoformat(str(value)).astimezone(UTC).isoformat()
    if field == "sources":
        return sorted(map(str, value)) if isinstance(value, list | tuple) else value
    if field in {"status", "error_code"}:
        return str(value).replace(" ", "").casefold()
    return value
