"""What the app says of its invocations: the wide events in the host's log, as documented."""

import json
from collections import Counter
from typing import Any, Final

_MARK: Final = '{"event":"invocation"'


def read_wide_events(log: str) -> list[dict[str, Any]]:
    """Give the wide events of a log, in its order; a line that was cut off is left out."""
    found = []
    for line in log.splitlines():
        start = line.find(_MARK)
        if start >= 0:
            try:
                found.append(json.JSONDecoder().raw_decode(line, start)[0])
            except ValueError:
                continue
    return found


def total(events: list[dict[str, Any]], function: str, field: str) -> Counter[str]:
    """Add up a field over the invocations of a function; a plain count is under its own name."""
    sums: Counter[str] = Counter()
    for event in events:
        if event["function"] == function:
            value = event.get(field) or 0
            sums.update(value if isinstance(value, dict) else {field: value})
    return sums
