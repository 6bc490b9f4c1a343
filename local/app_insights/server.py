"""The web application: the ingestion endpoint, and what a test lets go wrong with it."""

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from local.app_insights.envelopes import (
    MOST_BYTES,
    PARTIAL,
    BodyError,
    Envelope,
    Refusal,
    Taken,
    items_of,
    take,
    unpacked,
)

type Clock = Callable[[], datetime]

_TRY_AGAIN = 500
_WORST = 599


@dataclass(slots=True)
class Trouble:
    """What the next requests are answered: a status, so many times.

    With 206 the first item of each is refused for now, with 500, which asks to send it again.
    """

    status: int = 0
    times: int = 0

    def next(self) -> int:
        """The status for one more request; 0: none but the true one."""
        if self.times == 0:
            return 0
        self.times -= 1
        return self.status


class Capture:
    """The file of JSON lines; see the package's docstring."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, envelopes: list[Envelope], received: datetime) -> None:
        """Append items, all of a request at once."""
        stamp = received.isoformat(timespec="microseconds").replace("+00:00", "Z")
        lines = [
            json.dumps({"_received": stamp, **envelope}, ensure_ascii=False)
            for envelope in envelopes
        ]
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def make_app(
    capture: Capture,
    instrumentation_key: str,
    *,
    token_needed: bool = False,
    clock: Clock = lambda: datetime.now(UTC),
) -> web.Application:
    """Make the application.

    Args:
        capture: where what is accepted goes.
        instrumentation_key: the key that each item must carry.
        token_needed: answer 401 without a bearer token, as a component does whose local
            authentication is off.
        clock: the time by which items are too old.
    """
    app = web.Application(client_max_size=MOST_BYTES)
    trouble = Trouble()

    async def track(request: web.Request) -> web.Response:
        body = await request.read()
        if token_needed and not _has_token(request.headers.get("authorization", "")):
            return web.json_response({"errors": ["authentication is required"]}, status=401)
        status = trouble.next()
        if status not in (0, PARTIAL):
            return web.json_response(Taken(()).answer(), status=status)
        now = clock()
        try:
            items = items_of(unpacked(body, request.headers.get("content-encoding", "")))
        except BodyError as error:
            return web.json_response({"errors": [str(error)]}, status=400)
        taken = take(items, instrumentation_key, now)
        if status == PARTIAL and taken.accepted:
            taken = Taken(
                taken.accepted[1:], [Refusal(0, _TRY_AGAIN, "try again"), *taken.refusals]
            )
        capture.write(list(taken.accepted), now)
        return web.json_response(taken.answer(), status=taken.status)

    async def put_trouble(request: web.Request) -> web.Response:
        told = await request.json()
        if not PARTIAL <= int(told["status"]) <= _WORST:
            return web.Response(status=400, text="the status must be 206, or from 300 to 599\n")
        trouble.status, trouble.times = int(told["status"]), int(told["times"])
        return web.Response(status=204)

    # The exporter of Python puts its path behind an endpoint that ends with a slash.
    app.router.add_post("/{more:/?}v2.1/track", track)
    app.router.add_post("/{more:/?}v2/track", track)
    app.router.add_put("/_trouble", put_trouble)
    return app


def _has_token(value: str) -> bool:
    kind, _, token = value.partition(" ")
    return hmac.compare_digest(kind.lower().encode(), b"bearer") and bool(token.strip())
