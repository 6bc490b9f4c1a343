"""A workspace in memory: its tables in DuckDB, and KQL that runs on them.

As in Azure Monitor, who runs a query gives the range of time from outside: a query names none, and
each of its tables shows the rows of that range only. `now()` is the end of the range.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

import duckdb_kql
import pyarrow as pa

from local.log_analytics.tables import TABLES, TableRow

_TYPES: Final = {
    "string": "VARCHAR",
    "real": "DOUBLE",
    "int": "INTEGER",
    "long": "BIGINT",
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
}
_ARROW: Final = {
    "string": pa.string(),
    "real": pa.float64(),
    "int": pa.int32(),
    "long": pa.int64(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us"),
    "dynamic": pa.string(),
}
_COLUMNS: Final = {name: list(columns) for name, columns in TABLES.items()}
_SOME_INSTANT: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - DuckDB's are UTC without saying so

type Result = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Translated:
    sql: str
    asks_now: bool


@lru_cache(maxsize=256)
def _translate(kql: str) -> _Translated:
    translated = duckdb_kql.to_sql(kql, schema=_COLUMNS, query_now=_SOME_INSTANT)
    return _Translated(str(translated), "kqlnow" in (translated.parameters or {}))


class Workspace:
    """The tables, empty at the start."""

    def __init__(self) -> None:
        self._duckdb = duckdb_kql.connect()
        # Ranges are small: what several threads would gain, handing over to them loses.
        self._duckdb.execute("SET threads = 1")
        self._duckdb.execute("CREATE SCHEMA stored")
        self._duckdb.execute("SET VARIABLE since = NULL; SET VARIABLE until = NULL")
        for table, columns in TABLES.items():
            named = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in columns.items())
            self._duckdb.execute(f'CREATE TABLE stored."{table}" ({named})')
            self._duckdb.execute(
                f'CREATE VIEW "{table}" AS SELECT * FROM stored."{table}" WHERE TimeGenerated > '  # noqa: S608 - names of our own
                "getvariable('since')::TIMESTAMP AND TimeGenerated <= "
                "getvariable('until')::TIMESTAMP"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, rows: Iterable[TableRow]) -> None:
        """Put rows into their tables.

        Raises:
            KeyError: a table, or a column of it, that is not documented.
        """
        by_table: dict[str, list[Mapping[str, Any]]] = {}
        for each in rows:
            unknown = each.row.keys() - TABLES[each.table].keys()
            if unknown:
                message = f"{each.table} has no columns {sorted(unknown)}"
                raise KeyError(message)
            by_table.setdefault(each.table, []).append(each.row)
        for table, found in by_table.items():
            columns = {
                name: pa.array([_stored(row.get(name), kind) for row in found], _ARROW[kind])
                for name, kind in TABLES[table].items()
            }
            self._duckdb.register("arriving", pa.table(columns))
            self._duckdb.execute(f'INSERT INTO stored."{table}" SELECT * FROM arriving')  # noqa: S608 - names of our own
            self._duckdb.unregister("arriving")

    def query(self, kql: str, *, until: datetime, lasting: timedelta) -> Result:
        """Run a query on the rows of a range of time, its start excluded.

        Raises:
            duckdb_kql.KqlError: the query is none, or holds what cannot be translated.
        """
        translated = _translate(kql)
        end = _stored(until, "datetime")
        self._duckdb.execute("SET VARIABLE until = ?::TIMESTAMP", [end])
        self._duckdb.execute("SET VARIABLE since = ?::TIMESTAMP", [end - lasting])
        parameters = {"kqlnow": end} if translated.asks_now else {}
        found = self._duckdb.execute(translated.sql, parameters)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last instant of what the app told; None while it told nothing."""
        found = self._duckdb.execute(
            'SELECT min(TimeGenerated), max(TimeGenerated) FROM stored."AppTraces"'
        ).fetchone()
        if found is None or found[0] is None:
            return None
        first, last = (instant.replace(tzinfo=UTC) for instant in found)
        return first, last

    def close(self) -> None:
        """Forget everything."""
        self._duckdb.close()


def _stored(value: Any, kind: str) -> Any:  # noqa: ANN401 - JSON values of several types
    if value is None:
        # KQL has no string that is null.
        return "" if kind == "string" else None
    if kind == "datetime":
        instant: datetime = value
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    return json.dumps(value) if kind == "dynamic" else value


def numbers(result: Result, column: str) -> Mapping[tuple[Any, ...], float]:
    """A column of numbers by the values of the other columns; nulls are left out."""
    return {
        tuple(value for name, value in row.items() if name != column): float(row[column])
        for row in result
        if row[column] is not None
    }
