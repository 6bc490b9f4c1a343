"""Tellings into the chargers table: conditional writes, remembered in a warm worker."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from shared.chargers.states import Telling, merge
from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import bucket_of
from shared.storage import limits
from shared.storage.rows import Insert, Operation, Replace, Row, Tables, Value
from shared.storage.tables import CHARGERS
from shared.storage.together import all_done

type Columns = Mapping[str, Value]
type Merge = Callable[[Columns | None], Columns | None]
"""What a row is to be, from what it is; None leaves it as it is."""

_MAX_ROUNDS = 20
_REMEMBERED_ROWS = 20_000


class ChargerWriter:
    """Writes what is newer; a state of an older time never replaces a newer one."""

    def __init__(self, tables: Tables, *, buckets: int) -> None:
        self._tables = tables
        self._buckets = buckets
        self._remembered: OrderedDict[tuple[str, str], Row] = OrderedDict()

    async def write(self, tellings: Iterable[Telling]) -> None:
        """Bring the rows up to what the tellings say.

        Raises:
            StoreUnavailableError: Some of it may be written; the same call makes it whole.
        """
        buckets: dict[str, dict[str, list[Telling]]] = defaultdict(lambda: defaultdict(list))
        for telling in tellings:
            buckets[bucket_of(telling.charger, self._buckets)][telling.key].append(telling)
        await all_done(
            self._write_group(bucket, dict(keys[n : n + limits.MAX_OPERATIONS]))
            for bucket, group in buckets.items()
            for keys in (list(group.items()),)
            for n in range(0, len(keys), limits.MAX_OPERATIONS)
        )

    async def _write_group(self, bucket: str, group: dict[str, list[Telling]]) -> None:
        # What a worker remembers can only be older than the store, and everything in it was told:
        # what does not exceed it needs no write. Whether it may be written over, the ETag decides.
        known: dict[str, Row | None] = {key: self._remembered.get((bucket, key)) for key in group}
        merges = {key: partial(_merge_all, tellings) for key, tellings in group.items()}
        await write_merged(self._tables, bucket, merges, known, self._remember)

    def _remember(self, operations: Sequence[Operation], etags: Sequence[str | None]) -> None:
        for operation, etag in zip(operations, etags, strict=True):
            if isinstance(operation, Insert | Replace):
                row = replace(operation.row, etag=etag)
                self._remembered[row.partition, row.key] = row
                self._remembered.move_to_end((row.partition, row.key))
        while len(self._remembered) > _REMEMBERED_ROWS:
            self._remembered.popitem(last=False)


def _merge_all(tellings: Sequence[Telling], columns: Columns | None) -> Columns | None:
    for telling in tellings:
        columns = merge(columns, telling) or columns
    return columns


async def write_merged(
    tables: Tables,
    bucket: str,
    merges: Mapping[str, Merge],
    known: dict[str, Row | None],
    written: Callable[[Sequence[Operation], Sequence[str | None]], None],
) -> None:
    """Write rows of one bucket as merges make them of what is there, whoever writes beside it.

    `known` says what a row may be by now; `written` is told the operations that were done.

    Raises:
        StoreUnavailableError: Some of it may be written; the same call makes it whole.
    """
    for _ in range(_MAX_ROUNDS):
        decided = (_decide(bucket, key, merge, known[key]) for key, merge in merges.items())
        operations = [operation for operation in decided if operation]
        if not operations:
            return
        try:
            for part in limits.transactions(operations):
                written(part, await tables.write(CHARGERS, part))
        except RowConflictError:
            keys = [operation.row.key for operation in operations]
            rows = await all_done(tables.get(CHARGERS, bucket, key) for key in keys)
            known |= dict(zip(keys, rows, strict=True))
            continue
        return
    raise StoreUnavailableError("chargers kept changing", code="store_contended")


def _decide(bucket: str, key: str, merge: Merge, row: Row | None) -> Insert | Replace | None:
    columns = merge(row.columns if row else None)
    if columns is None or (row is not None and columns == row.columns):
        return None
    if row is not None:
        return Replace(Row(bucket, key, columns, row.etag))
    return Insert(Row(bucket, key, columns))
