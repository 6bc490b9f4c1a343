"""`reconcile`: prove the store now, or one stretch of session ends by hand."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import Any

from management.acting import name_argument, whose
from management.context import Command, Context, time_arguments
from management.usage import WRONG_USAGE
from management.words import counted
from shared.instants import EPOCH_OF_CHARGERS, format_instant, system_clock
from shared.reconciliation.findings import Finding
from shared.reconciliation.outcomes import WRITTEN
from shared.reconciliation.spans import Span
from shared.reconciliation.terms import Progress, Run
from shared.telemetry import WideEvent

_RUN = {
    "run": 22,
    "windows": 7,
    "pages": 6,
    "requests": 8,
    "sessions": 40,
    "findings": 40,
    "front": 27,
}
_FINDING = {"class": 24, "charger": 28, "transaction": 20, "store": 36, "emabler": 0}
_SECOND = timedelta(seconds=1)
_AHEAD = timedelta(days=2)
_MOST_SPANS = 5


def _arguments(parser: argparse.ArgumentParser) -> None:
    time_arguments(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --from: compare only, print what differs, write nothing; exit 1 if a run would "
        "write a session or a finding",
    )
    name_argument(parser)


async def _reconcile(context: Context) -> int:
    options, output = context.options, context.output
    if options.start is None:
        if options.end is not None or options.dry_run:
            output.error(
                "wrong_range", "--from is missing: --to and --dry-run are about a stretch by hand"
            )
            return WRONG_USAGE
        return await _run(context)
    now = system_clock()
    end = options.end or now
    if options.start >= end:
        last = "--to" if options.end else "now"
        output.error("wrong_range", f"--from is not before {last}. Example: --from 2026-11-01")
        return WRONG_USAGE
    if options.start < EPOCH_OF_CHARGERS or end > now + _AHEAD:
        output.error(
            "wrong_range",
            "a stretch by hand lies after 2015 and not beyond tomorrow. What says to have ended "
            "before 2015, or is to end later, each run's daily look asks for by itself. "
            "Example: --from 2026-11-01",
        )
        return WRONG_USAGE
    return await _stretch(context, Span(options.start, end))


async def _run(context: Context) -> int:
    """What the timer does, now."""
    wide = WideEvent("reconcile")
    run = await context.rooms.reconciliation.reconcile(wide, holder=_holder(context))
    return _tell(context, run, wide)


async def _stretch(context: Context, span: Span) -> int:
    output, room = context.output, context.rooms.reconciliation
    wide = WideEvent("reconcile")
    findings: list[Finding] | None = None
    with output.progress("session ends", None) as progress:
        bar = progress.task_ids[0]

        def told(now: Progress) -> None:
            progress.update(
                bar,
                total=_seconds(now.start, now.end),
                completed=_seconds(now.start, now.at),
                description=f"{now.at:%Y-%m-%d %H:%M}, "
                + counted(now.run.sessions.total(), "sessions"),
            )

        if context.options.dry_run:
            run, findings = await room.look(span, wide, told=told)
        else:
            run = await room.walk(span, wide, holder=_holder(context), told=told)
    if findings is None:
        return _tell(context, run, wide)
    output.columns(_FINDING)
    for finding in findings:
        output.row(_fields(finding))
    output.say(_in_words(run, len(findings)))
    would_write = any(run.sessions[each] for each in WRITTEN)
    return 1 if findings or would_write or not run.complete else 0


def _holder(context: Context) -> str:
    return f"manage.py, {whose(context.options)}"


def _seconds(start: datetime, end: datetime) -> int:
    return (end - start) // _SECOND


def _tell(context: Context, run: Run, wide: WideEvent) -> int:
    output = context.output
    output.columns(_RUN)
    row = {
        "run": run.id,
        "complete": run.complete,
        "windows": run.windows,
        "pages": run.pages,
        "requests": wide.fields.get("rest_requests"),
        "sessions": dict(run.sessions),
        "findings": dict(run.met),
        "findings_new": dict(run.new),
        "findings_open": run.open,
        "front": run.front and format_instant(run.front),
    }
    if not output.as_json:
        row |= {name: _counts(row[name]) for name in ("sessions", "findings")}
    output.row(row)
    if not run.complete:
        output.error("reconciliation_incomplete", _why(run))
    return 0 if run.complete else 1


def _counts(counts: Any) -> str:  # noqa: ANN401 - counts by class
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


def _fields(finding: Finding) -> dict[str, Any]:
    return {
        "class": str(finding.cls),
        "charger": finding.charger,
        "transaction": finding.transaction,
        "session": finding.session,
        "store": _counts(finding.store),
        "emabler": _counts(finding.emabler),
        "end": finding.end and format_instant(finding.end),
    }


def _in_words(run: Run, number: int) -> str:
    kinds = f" ({_counts(run.sessions)})" if run.sessions else ""
    told = f"{counted(run.sessions.total(), 'sessions')} compared{kinds}, "
    told += f"{counted(number, 'findings')}; nothing was written"
    if run.left_out:
        return f"{told}; {_left_out(run)}"
    return told if run.complete else f"{told}; an answer of eMabler's contradicts itself"


def _why(run: Run) -> str:
    if run.left_out:
        return (
            f"{_left_out(run)}. What to do: `findings list --class answer_wrong` tells of these "
            "answers; once eMabler has mended them, walk these stretches again"
        )
    return (
        "time or requests of the run were used up, or an answer of eMabler's contradicts itself. "
        "What to do: run again; `findings list --class answer_wrong` tells of answers"
    )


def _left_out(run: Run) -> str:
    """Where eMabler's answers were wrong, and from where on nothing was asked."""
    spans, more = run.left_out[:_MOST_SPANS], len(run.left_out) - _MOST_SPANS
    told = "; ".join(map(str, spans)) + (f" and {more} more" if more > 0 else "")
    told = f"left out, as answers of eMabler's contradict themselves or fail: {told}"
    if run.stopped is None:
        return told
    return f"{told}. It ended there: to go on behind that, --from {format_instant(run.stopped)}"


COMMAND = Command(
    "reconcile",
    "prove the store equal to eMabler's books now, as the timer does; with --from a stretch of "
    "session ends by hand, however long it takes, without touching the front",
    _arguments,
    _reconcile,
)
