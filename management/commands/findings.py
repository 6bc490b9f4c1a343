"""`findings list` and `show`: where the store and eMabler's books differ."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from shared.identifiers import bucket_of
from shared.instants import format_instant
from shared.reconciliation.finding_reading import FindingFilter, exported, read_findings
from shared.reconciliation.findings import CLASSES, TAG, FindingClass, Known, State
from shared.sessions.claims import claim_from_row
from shared.sessions.summary import is_summary
from shared.storage.rows import Row, Value
from shared.storage.tables import SESSIONS

_SHORTEST_ID = 6
_WIDTHS = {
    "id": 12,
    "state": 8,
    "class": 24,
    "charger": 20,
    "transaction": 14,
    "end": 27,
    "store": 30,
    "emabler": 30,
    "first_seen": 10,
    "last_seen": 10,
    "subject": 0,
}
_TAG_CHARACTERS = 16
"""Characters of a tag's keyed hash that are shown: enough to see that two differ."""


def id_argument(text: str) -> str:
    """The beginning of a finding's id, long enough to mean one."""
    if len(text) < _SHORTEST_ID or set(text) - set("0123456789abcdef"):
        message = f"{text!r} is no beginning of an id. Example: 3f9ac2 (findings list shows them)"
        raise argparse.ArgumentTypeError(message)
    return text


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments by which findings are chosen, but for their state."""
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        choices=[str(each) for each in FindingClass],
        metavar="CLASS",
        help=f"of this class only, may be repeated: {', '.join(FindingClass)}",
    )
    parser.add_argument("--charger", metavar="ID", help="on sessions of this charger only")
    time_arguments(parser)


def state_argument(parser: argparse.ArgumentParser) -> None:
    """The argument `--state`."""
    parser.add_argument(
        "--state",
        dest="states",
        action="append",
        choices=[str(each) for each in State],
        metavar="STATE",
        help=f"in this state only, may be repeated: {', '.join(State)}",
    )


def states_of(options: argparse.Namespace) -> set[State] | None:
    """The states that the arguments ask for; None is any."""
    return None if options.states is None else set(map(State, options.states))


def filter_of(options: argparse.Namespace, **more: Any) -> FindingFilter:  # noqa: ANN401 - its fields
    """The filter that the arguments ask for."""
    return FindingFilter(
        classes=None if options.classes is None else set(map(FindingClass, options.classes)),
        charger=options.charger,
        start=options.start,
        end=options.end,
        **more,
    )


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    filter_arguments(parser)
    state_argument(parser)
    limit_argument(parser)


async def _list(context: Context) -> int:
    wanted = filter_of(context.options, states=states_of(context.options))
    found = read_findings(context.rooms.tables, wanted)
    fields = (fields_of(known, row) async for known, row in found)
    if context.output.as_json:
        return await print_rows(context, _WIDTHS, fields, "findings")
    lines = (_line(each) async for each in fields)
    return await print_rows(context, _WIDTHS, lines, "findings")


def fields_of(known: Known, row: Row) -> dict[str, Any]:
    """A finding's fields for programs: both sides as objects, instants as texts."""
    finding = known.finding
    told = dict(exported(known, row))
    for name in ("end", "observed", "changed"):
        told[name] = None if told[name] is None else format_instant(told[name])
    return told | {"store": dict(finding.store), "emabler": dict(finding.emabler)}


def _line(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields, **{side: said(fields[side]) for side in ("store", "emabler")}}


def said(side: Mapping[str, Value]) -> list[str]:
    """What one side says, for people."""
    return [f"{name} {_value(name, value)}" for name, value in sorted(side.items())]


def _value(name: str, value: Value) -> str:
    return str(value)[:_TAG_CHARACTERS] if name == TAG else str(value)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=id_argument, help="its id, or the first 6 characters of it")


async def _show(context: Context) -> int:
    output, options, tables = context.output, context.options, context.rooms.tables
    found: list[tuple[Known, Row]] = []
    # Those that are closed are many: they are walked only where no other is meant.
    for states in ((State.OPEN, State.RESOLVED), (State.REPAIRED, State.GONE)):
        wanted = FindingFilter(ids=[options.id], states=states)
        found = found or [each async for each in read_findings(tables, wanted)]
    if not found:
        output.error(
            "not_found",
            f"no finding's id begins with {options.id}. What to do: python manage.py findings list",
        )
        return 1
    for known, row in found:
        fields = fields_of(known, row)
        meaning, advice = CLASSES[known.finding.cls]
        fields |= {"meaning": meaning, "what_to_do": advice, "tags": await _tags(context, known)}
        if output.as_json:
            output.row(fields)
        else:
            _tell(context, fields)
    return 0


async def _tags(context: Context, known: Known) -> list[dict[str, str]]:
    """The tags that the session's claims name: they stand there, and in no finding."""
    charger, session = known.finding.charger, known.finding.session
    if charger is None or session is None:
        return []
    bucket = bucket_of(charger, context.rooms.settings["STORE_BUCKETS"])
    rows = context.rooms.tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~")
    claims = [claim_from_row(row) async for row in rows if not is_summary(row)]
    return [{"source": str(claim.source), "tag": claim.tag} for claim in claims if claim.tag]


def _tell(context: Context, fields: Mapping[str, Any]) -> None:
    output = context.output
    output.columns({"field": 14, "value": 0})
    for name, value in fields.items():
        if value is None or value in ([], {}):
            continue
        match value:
            case dict():
                output.row({"field": name, "value": said(value)})
            case list():
                for entry in value:
                    output.row({"field": name, "value": " ".join(map(str, entry.values()))})
            case _:
                output.row({"field": name, "value": value})


LIST = Command(
    "findings list",
    "list where the store and eMabler's books differ: what each says, since when, what became "
    "of it",
    _list_arguments,
    _list,
)
SHOW = Command(
    "findings show",
    "show one finding: what it means, what to do, what each side says",
    _show_arguments,
    _show,
)
