"""A day, sent to an ingestion endpoint: `python -m tests.monitoring --to "InstrumentationKey=…"`.

Prints one line of JSON when all is sent: when the day ended, how many faults it had, which alerts
it must raise, and what Azure itself wrote into the workspace, which no endpoint takes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from datetime import datetime, timedelta

import httpx

from tests.monitoring.azure_itself import of_azure
from tests.monitoring.day import play
from tests.monitoring.faults import ON_ONE_DAY, day_of
from tests.monitoring.played import Played

LASTING = timedelta(hours=24, minutes=10)
_AT_ONCE = 1000
_TAKEN = 200


def main() -> int:
    """Play the day that the command line asks for, and send it."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring", description=__doc__)
    parser.add_argument("--to", required=True, help="a connection string of Application Insights")
    parser.add_argument(
        "--began", required=True, type=datetime.fromisoformat, help="a midnight, UTC"
    )
    parser.add_argument("--faults", action="store_true", help="a day on which much goes wrong")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    plan = day_of(options.began, ON_ONE_DAY if options.faults else ())
    played = play(options.began, LASTING, plan, options.seed)
    _send(played, options.to)
    told = {
        "ended": played.ended.isoformat(),
        "faults": len(plan.begins),
        "sent": len(played.envelopes),
        "raises": sorted(plan.raises),
        "azure": [[each.table, each.row] for each in of_azure(played.told(), played)],
    }
    print(json.dumps(told, default=lambda instant: instant.isoformat()))  # noqa: T201 - a command line prints
    return 0


def _send(played: Played, connection_string: str) -> None:
    parts = dict(part.split("=", 1) for part in connection_string.split(";") if part)
    url = f"{parts['IngestionEndpoint'].rstrip('/')}/v2/track"
    with httpx.Client(trust_env=False, timeout=60) as client:
        for first in range(0, len(played.envelopes), _AT_ONCE):
            items = played.envelopes[first : first + _AT_ONCE]
            answer = client.post(
                url,
                content=gzip.compress(json.dumps(items).encode(), 1),
                headers={"content-encoding": "gzip", "content-type": "application/json"},
            )
            if answer.status_code != _TAKEN:
                message = f"the endpoint answered {answer.status_code}: {answer.text[:500]}"
                raise RuntimeError(message)


if __name__ == "__main__":
    sys.exit(main())
