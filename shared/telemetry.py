"""The wide event: one line for each invocation, one JSON object in fixed field names.

The fields are what the workbook, the alerts and the tests read. `FIELDS` is their table; the
documentation is held to it. No field holds a tag id, a name, a body or a secret.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from shared import spans
from shared.errors import EmablerFunctionsError, UnexpectedError
from shared.storage.requests import StoreRequests, counted

LOGGER = logging.getLogger("emabler")

FIELDS: Mapping[str, tuple[str, str]] = {
    "event": ("text", "always `invocation`: tells these lines from all others"),
    "schema": ("number", "the version of this table"),
    "function": ("text", "the function that ran"),
    "outcome": ("text", "`ok`, `refused` (a caller's mistake), `disabled`, `failed`"),
    "error_code": ("text", "the stable code of what went wrong"),
    "error": ("text", "what went wrong, for a person; no ids of tags, no secrets"),
    "duration_ms": ("ms", "from the start of the function to this line"),
    "received": ("count", "messages received"),
    "stored": ("count", "events that the journal did not hold before"),
    "repeated": ("count", "events that the journal held already, or the batch held twice"),
    "counts_exact": ("boolean", "false: `stored` is at most and `repeated` at least this"),
    "parked": ("count by reason", "messages put aside, by reason code"),
    "oldest_event_age_s": ("s", "age of the oldest event of the batch, by its time of reception"),
    "delivery_count": ("count", "the highest delivery count in the batch"),
    "attempts": ("count", "how often the batch was tried in this invocation"),
    "waited_ms": ("ms", "time spent waiting for a store that was busy or away"),
    "store_requests": ("count by purpose", "requests to Table Storage, by table and kind"),
    "store_ms": ("ms", "time of those requests, summed; they overlap"),
    "transport": ("text", "how events came to be queued: `webhook` or `kafka`"),
    "status": ("number", "the HTTP status answered"),
    "queued_bytes": ("bytes", "size of what was put on the queue"),
    "past_the_queue": ("count", "messages too large for the queue, taken into the store at once"),
    "decision": ("text", "`allowed`, `denied`, `deferred`"),
    "cause": ("text", "why, finer than eMabler's reason"),
    "reason": ("text", "eMabler's reason, where denied"),
    "source": ("text", "where a decision comes from: `live`, `last_known`, `policy`"),
    "charger": ("text", "the charger that a tap named; empty where it named none"),
    "charger_judged": (
        "boolean",
        "false: the charger is not known, and no inventory was ever loaded that could judge it",
    ),
    "snapshot_tags": ("count", "tags that the snapshot holds"),
    "audit_waiting": ("count", "rows of the audit that this worker has not written yet"),
    "audit_lost": ("count", "rows of the audit that this worker lost since its start"),
    "audit_lost_new": ("count", "those of them that no line of this worker told before"),
    "pages": ("count", "pages of REST answers"),
    "rest_requests": ("count", "requests to eMabler's REST, tries again included"),
    "rest_retries": ("count", "those of them that were tries again"),
    "rest_throttled": ("count", "those of them that were answered 429"),
    "rest_waited_ms": ("ms", "time spent waiting before tries again and for our own rate"),
    "rest_drift": (
        "count by field",
        "fields of REST answers that are not what we rely on, as `kind.field flaw`",
    ),
    "inventory": ("count by class", "chargers of the inventory, by what came of them"),
    "sessions": ("count by class", "sessions compared, by what came of them"),
    "findings": ("count by class", "findings that the run met, by class"),
    "window_start": ("instant", "start of the range of session ends that was walked"),
    "window_end": ("instant", "end of it"),
    "run": ("text", "the run of reconciliation, as `manage.py runs list` names it"),
    "complete": (
        "boolean",
        "false: its time or its requests were used up, or answers were wrong; the next goes on",
    ),
    "windows": ("count", "windows of session ends that the run proved"),
    "front": ("instant", "up to which session ends are proven without a gap"),
    "front_age_s": ("s", "how far the front is behind"),
    "oldest_proof_s": ("s", "age of the oldest proof among the days that are walked again"),
    "findings_new": ("count by class", "findings that the run met for the first time"),
    "findings_open": ("count", "findings that are open after the run"),
    "push_silent": ("boolean", "true: a finding that push tells nothing is open after the run"),
    "deleted": ("count by table", "rows and blobs that retention deleted, by table or container"),
    "finished": ("boolean", "false: retention's or the backup's time was over; the next goes on"),
    "resumed": ("boolean", "true: the run went on where one before had stopped"),
    "retention_behind_s": ("s", "how long ago the walk of retention began that is not at its end"),
    "backup": ("text", "the backup that the run worked on, as `manage.py backup list` names it"),
    "copied": ("count by table", "rows and blobs that the run copied, by table or container"),
    "backups_deleted": ("count", "backups beyond their age that the run deleted"),
    "backup_age_s": ("s", "how long ago the latest whole backup began, where they are taken"),
}


class WideEvent:
    """The one line that an invocation leaves; fields are added as they become known."""

    def __init__(self, function: str) -> None:
        self._began = perf_counter()
        self.fields: dict[str, Any] = {
            "event": "invocation",
            "schema": 1,
            "function": function,
            "outcome": "ok",
        }

    def add(self, **fields: Any) -> None:  # noqa: ANN401 - JSON values of several types
        """Set fields; one that the table does not name is a mistake in the code."""
        unknown = fields.keys() - FIELDS.keys()
        if unknown:
            message = f"no such fields of the wide event: {sorted(unknown)}"
            raise KeyError(message)
        self.fields |= {name: value for name, value in fields.items() if value is not None}

    def fail(self, error: BaseException, outcome: str = "failed") -> None:
        """Note what went wrong. Of errors that are not ours only the kind: texts may hold keys."""
        if isinstance(error, EmablerFunctionsError):
            self.add(outcome=outcome, error_code=error.code, error=str(error))
        else:
            code = UnexpectedError.code
            self.add(outcome=outcome, error_code=code, error=type(error).__name__)

    def count_requests(self, requests: StoreRequests) -> None:
        """Take over what the invocation asked of the store."""
        self.add(
            store_requests=dict(sorted(requests.by_purpose.items())),
            store_ms=round(requests.seconds * 1000, 1),
        )

    def emit(self, logger: logging.Logger = LOGGER) -> None:
        """Write the line."""
        self.add(duration_ms=round((perf_counter() - self._began) * 1000, 1))
        level = logging.ERROR if self.fields["outcome"] == "failed" else logging.INFO
        # The worker passes on the message alone, not a record's extras: the fields are the message.
        logger.log(level, "%s", json.dumps(self.fields, separators=(",", ":")))


@contextmanager
def invocation(
    function: str,
    logger: logging.Logger = LOGGER,
    messages: Iterable[Mapping[str, object] | None] = (),
) -> Iterator[WideEvent]:
    """One invocation: its requests to the store are counted, and it leaves its one line.

    `messages` are the properties of those that it was given: its span links to theirs.

    Raises:
        EmablerFunctionsError: What was raised within, without what led to it: the host tells it.
        UnexpectedError: Something else was, whose text stays behind.
    """
    wide = WideEvent(function)
    with counted() as requests, spans.invocation(function, messages) as span:
        try:
            yield wide
        except EmablerFunctionsError as error:
            wide.fail(error)
            # The host writes down an exception with all that led to it, and foreign texts with it.
            raise error from None
        except Exception as error:  # noqa: BLE001 - raised again, without its text
            wide.fail(error)
            told = UnexpectedError(f"{type(error).__name__}, its text withheld")
            raise told.with_traceback(error.__traceback__) from None
        except BaseException as error:  # a cancelled invocation is no success either
            wide.fail(error)
            raise
        finally:
            wide.count_requests(requests)
            wide.emit(logger)
            if span is not None:
                span.tell({"emabler.outcome": str(wide.fields["outcome"])})
