"""Traces out of a capture, drawn as trees: `python -m local.app_insights.traces telemetry.jsonl`.

    trace 2
    └── ingest_push_events, request ⇠ trace 1
        └── ingest_push_events, InProc ⇠ trace 1
            ├── chargers write, Azure table
            └── events write, Azure table, 2 times

An item is a request or a dependency, told with its type; what is alike is drawn once with its
number, in the order of names. ⇠ names the traces whose spans an item links to, ✗ one that failed.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_REQUEST, _DEPENDENCY = "RequestData", "RemoteDependencyData"
_USAGE = 2


@dataclass(slots=True)
class Span:
    """One request or dependency, and what stands below it."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    time: str
    success: bool
    links: tuple[tuple[str, str], ...] = ()
    below: list["Span"] = field(default_factory=list)


def spans_of(envelopes: Iterable[Mapping[str, Any]]) -> list[Span]:
    """The spans of a capture, in the order of their beginning."""
    found = []
    for envelope in envelopes:
        kind, data = envelope["data"]["baseType"], envelope["data"]["baseData"]
        if kind not in (_REQUEST, _DEPENDENCY):
            continue
        tags, properties = envelope["tags"], data.get("properties") or {}
        links = json.loads(properties.get("_MS.links", "[]"))
        found.append(
            Span(
                trace=tags["ai.operation.id"],
                id=data["id"],
                parent=tags.get("ai.operation.parentId", ""),
                name=data["name"],
                kind="request" if kind == _REQUEST else data["type"],
                time=envelope["time"],
                success=data["success"],
                links=tuple((link["operation_Id"], link["id"]) for link in links),
            )
        )
    return sorted(found, key=lambda span: span.time)


def trees_of(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """Trace → its topmost spans, each with what stands below it; in the order of beginning."""
    by_id = {(span.trace, span.id): span for span in spans}
    trees: dict[str, list[Span]] = {}
    for span in spans:
        tops = trees.setdefault(span.trace, [])
        above = by_id.get((span.trace, span.parent))
        (above.below if above else tops).append(span)
    return trees


def drawn(envelopes: Iterable[Mapping[str, Any]]) -> str:
    """All traces of a capture as text."""
    trees = trees_of(spans_of(envelopes))
    numbers = {trace: number for number, trace in enumerate(trees, 1)}
    lines: list[str] = []
    for trace, tops in trees.items():
        lines += [f"trace {numbers[trace]}", *_branches(tops, numbers, ""), ""]
    return "\n".join(lines).rstrip()


def _branches(spans: Sequence[Span], numbers: Mapping[str, int], indent: str) -> Iterator[str]:
    texts = Counter("\n".join(_subtree(span, numbers)) for span in spans)
    for place, (text, count) in enumerate(sorted(texts.items()), 1):
        last = place == len(texts)
        first, *rest = text.split("\n")
        times = f", {count} times" if count > 1 else ""
        yield f"{indent}{'└── ' if last else '├── '}{first}{times}"
        for line in rest:
            yield f"{indent}{'    ' if last else '│   '}{line}"


def _subtree(span: Span, numbers: Mapping[str, int]) -> Iterator[str]:
    yield _label(span, numbers)
    yield from _branches(span.below, numbers, "")


def _label(span: Span, numbers: Mapping[str, int]) -> str:
    traces = sorted({str(numbers.get(trace, "of somebody else")) for trace, _ in span.links})
    failed = "" if span.success else " ✗"
    links = f" ⇠ trace {', '.join(traces)}" if traces else ""
    return f"{span.name}, {span.kind}{failed}{links}"


def main(words: Sequence[str]) -> int:
    """Draw the traces of a capture."""
    if len(words) != 1 or words[0] in {"-h", "--help"}:
        print(__doc__, file=sys.stderr)
        return _USAGE
    with Path(words[0]).open(encoding="utf-8") as lines:
        print(drawn(map(json.loads, lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
