"""Records of tags changed, each under its ETag, with its group's members and its row of the roster.

All writes of records go through here: whoever walks the tags relies on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.errors import RowConflictError, StoreUnavailableError
from shared.storage.rows import Delete, Insert, Replace, Row, Tables
from shared.storage.tables import TAG_GROUPS, TAG_ROSTER, TAGS
from shared.storage.together import all_done, upsert_all
from shared.tags.groups import member_row
from shared.tags.records import Tag, tag_from_row, tag_key, tag_row
from shared.tags.roster import end_note, is_noted, mark, note, roster_key, settle

_MAX_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Change:
    """What shall become of the tag of a hash, told what is there.

    `previous` is the tag's hash under the previous key, while tags are moved: where there is no
    record yet, the one that lies there is what is changed. It stays until it is moved. `absent`
    says that there was no record a moment ago: the first try reads none.
    """

    hashed: str
    change: Callable[[Tag | None], Tag]
    previous: str | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """A record as it was read and as it shall be.

    `left` is the member's row that goes then; `noted`, that it is new and announced with others.
    """

    row: Row | None
    before: Tag | None
    after: Tag
    left: Row | None
    noted: bool


async def change_tags(
    tables: Tables, hash_key: bytes, changes: Sequence[Change], *, dry_run: bool = False
) -> list[tuple[Tag | None, Tag]]:
    """Change tags, each under its ETag, side by side; what each was before, and what it is.

    Raises:
        StoreUnavailableError: Some are changed; the same call changes the others.
    """
    done: dict[int, tuple[Tag | None, Tag]] = {}
    pending = dict(enumerate(changes))
    for turn in range(_MAX_ROUNDS):
        read = await all_done(_plan(tables, each, first=not turn) for each in pending.values())
        plans = dict(zip(pending, read, strict=True))
        done |= {n: (plan.before, plan.after) for n, plan in plans.items()}
        if dry_run:
            break
        different = {n: plan for n, plan in plans.items() if plan.before != plan.after}
        written = await _write(
            tables, hash_key, [(changes[n].hashed, plan) for n, plan in different.items()]
        )
        pending = {n: changes[n] for n in different if changes[n].hashed not in written}
        if not pending:
            break
    else:
        raise StoreUnavailableError("a tag kept changing", code="store_contended")
    return [done[n] for n in range(len(changes))]


async def change_tag(
    tables: Tables,
    hashed: str,
    hash_key: bytes,
    change: Callable[[Tag | None], Tag],
    *,
    previous: str | None = None,
) -> tuple[Tag | None, Tag]:
    """Change the tag of a hash; before and after. See `change_tags`.

    Raises:
        StoreUnavailableError: It cannot be read or written now, or keeps changing.
    """
    (changed,) = await change_tags(tables, hash_key, [Change(hashed, change, previous)])
    return changed


async def _plan(tables: Tables, change: Change, *, first: bool) -> _Plan:
    row = None
    noted = first and change.absent
    if not noted:
        row = await tables.get(TAGS, *tag_key(change.hashed))
    present = row
    if row is None and change.previous is not None:
        # Moved in between, it lies under the current hash: the insert meets it.
        present = await tables.get(TAGS, *tag_key(change.previous))
    before = tag_from_row(present) if present else None
    after = change.change(before)
    left = None
    if row is not None and before is not None and before.group not in (None, after.group):
        member = member_row(str(before.group), change.hashed)
        left = await tables.get(TAG_GROUPS, member.partition, member.key)
    return _Plan(row, before, after, left, noted)


async def _write(tables: Tables, hash_key: bytes, plans: Sequence[tuple[str, _Plan]]) -> set[str]:
    """Write records that nobody changed since; the hashes of those that were written."""
    if not plans:
        return set()
    await upsert_all(tables, TAG_GROUPS, _members(plans))
    new = [hashed for hashed, plan in plans if plan.noted]
    noted = await note(tables, new) if new else None
    marks = await mark(tables, (hashed for hashed, plan in plans if not plan.noted))
    tried = await all_done(_write_record(tables, hash_key, *each) for each in plans)
    written = {row.partition: row for row in tried if row is not None}
    unsettled = await settle(tables, written.values(), marks)
    # A record that was there already may be our own, of a request that was sent twice.
    await mark(tables, [*unsettled, *(hashed for hashed in new if hashed not in written)])
    if noted is not None:
        await end_note(tables, noted)
    gone = [plan.left for hashed, plan in plans if hashed in written and plan.left is not None]
    await all_done(_leave(tables, row) for row in gone)
    return set(written)


def _members(plans: Sequence[tuple[str, _Plan]]) -> Iterator[Row]:
    for hashed, plan in plans:
        if plan.after.group is not None:
            yield member_row(plan.after.group, hashed)


async def _write_record(tables: Tables, hash_key: bytes, hashed: str, plan: _Plan) -> Row | None:
    """Write one record; as it was written, None where another one lies there by now."""
    columns = tag_row(plan.after, hash_key).columns
    row = Row(*tag_key(hashed), columns, plan.row.etag if plan.row else None)
    try:
        await tables.write(TAGS, [Replace(row) if plan.row else Insert(row)])
    except RowConflictError:
        return None
    return row


async def _leave(tables: Tables, member: Row) -> None:
    """Take a member's row away that is as it was before the tag left: who joins again writes it."""
    with suppress(RowConflictError):
        await tables.write(TAG_GROUPS, [Delete(member.partition, member.key, member.etag)])


async def set_blocked(
    tables: Tables, hashes: Sequence[str], hash_key: bytes, *, blocked: bool
) -> tuple[Tag | None, Tag] | None:
    """Block or unblock a tag that lies under any of these hashes; before and after, None: nowhere.

    `hashes` are those under the current key and, while tags are moved, the previous one. The
    record under the current key is written first, also where there was none: from then on it
    counts, and a move that is under way does not undo it.

    Raises:
        StoreUnavailableError: It may be done in part; the same call does the rest.
    """
    rows = await all_done(tables.get(TAGS, *tag_key(hashed)) for hashed in hashes)
    found = [tag_from_row(row) for row in rows if row is not None]
    if not found:
        return None

    def change(present: Tag | None) -> Tag:
        return replace(present or found[0], blocked=blocked)

    _, after = await change_tag(tables, hashes[0], hash_key, change)
    for hashed, row in zip(hashes[1:], rows[1:], strict=True):
        if row is not None:
            await change_tag(tables, hashed, hash_key, change)
    return found[0], after


async def delete_tag(tables: Tables, hashed: str) -> int:
    """Delete the record of a hash and its row of the roster; how many records that were.

    Raises:
        StoreUnavailableError: The same call makes it whole.
    """
    deleted = 0
    for _ in range(_MAX_ROUNDS):
        row = await tables.get(TAGS, *tag_key(hashed))
        with suppress(RowConflictError):
            if row is not None:
                etag: str | None = (await mark(tables, [hashed]))[hashed]
                await tables.write(TAGS, [Delete(row.partition, row.key, row.etag)])
                deleted = 1
            else:
                listed = await tables.get(TAG_ROSTER, *roster_key(hashed))
                if listed is None:
                    return deleted
                etag = listed.etag
            if await is_noted(tables, hashed):
                # Who inserted it would take a missing row for a new one: the mark stays, and goes
                # in time.
                return deleted
            await tables.write(TAG_ROSTER, [Delete(*roster_key(hashed), etag)])
            return deleted
    raise StoreUnavailableError("a tag kept changing", code="store_contended")
