"""Every error that this package raises, sorted by one question: will trying again help?

```
EmablerFunctionsError
├── PermanentError               trying again changes nothing
│   ├── RejectedMessageError     a push message that no retry can help: it is parked
│   ├── SettingError             an app setting is missing or wrong
│   ├── RowRejectedError         a row breaks a documented limit of Table Storage
│   ├── MessageTooLargeError     a message is larger than the queue takes
│   ├── BackupError              a backup cannot be used as it is asked for
│   └── RestRefusedError         eMabler's REST answered 3xx or 4xx: key, permission, address
├── TransientError               the same call may succeed later
│   ├── FunctionDisabledError    a setting is wrong; when it is mended, the messages go through
│   ├── StoreUnavailableError    Table Storage is busy, away, refusing or incomplete
│   │   └── OtherStoreError      the store belongs to another environment or bucket count
│   ├── BudgetSpentError         a run's requests or seconds are used up: the next one goes on
│   ├── QueueUnavailableError    Service Bus did not take a message
│   ├── RestUnavailableError     eMabler's REST is throttling, failing, away or unreadable
│   ├── LeaseHeldError           another run of reconciliation is under way
│   └── LeaseLostError           a run held the lease for too long: it may write no more
├── UnexpectedError              something that is not ours failed, its text withheld
├── RunStoppedError              somebody stopped a run by hand: the next one goes on
└── RowConflictError             somebody else wrote the row first: read it again, then decide
    ├── RowExistsError           an insert met an existing row
    ├── RowChangedError          the ETag is no longer the row's
    ├── RowMissingError          a delete or a replace met no row
    └── BlobChangedError         the blob is another one by now
```

Each carries `code`, a stable snake_case word that telemetry, parked rows and the documentation use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class EmablerFunctionsError(Exception):
    """The root of the tree: every error of this package has a stable `code`."""

    code: str = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class PermanentError(EmablerFunctionsError):
    """Trying again changes nothing."""

    code = "permanent"


class TransientError(EmablerFunctionsError):
    """The same call may succeed later; the platform's retry is the answer."""

    code = "transient"


class UnexpectedError(EmablerFunctionsError):
    """Something that is not ours failed. Its text stays behind: it may hold a key or a tag."""

    code = "unexpected"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a message: where, what was expected, what was found."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.found}"


class RejectedMessageError(PermanentError):
    """A push message cannot be read; `code` is its reason, `faults` all that is wrong."""

    code = "rejected"

    def __init__(self, code: str, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)), code=code)
        self.faults = faults


class SettingError(PermanentError):
    """An app setting is missing or wrong; the message names it and shows a right one."""

    code = "setting_wrong"


class RowRejectedError(PermanentError):
    """A row breaks a documented limit of Table Storage, so the service would answer 400."""

    code = "row_rejected"


class MessageTooLargeError(PermanentError):
    """A message is larger than the queue takes; it can be kept, not sent."""

    code = "message_too_large"


class BackupError(PermanentError):
    """A backup is missing or damaged, or cannot be used in the way that it is asked for."""

    code = "backup_unusable"


class RestRefusedError(PermanentError):
    """EMabler's REST answered a 3xx or 4xx that no retry helps; `status` is the HTTP status.

    `server_code` and `detail` are what eMabler says of it, without our key and tags; `advice` is
    what to do, `call` the call that was refused. The codes are in `shared/emabler/refusals.py` and
    docs/emabler-rest.md.
    """

    code = "rest_refused"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        server_code: str | None = None,
        detail: str | None = None,
        advice: str | None = None,
        call: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.server_code = server_code
        self.detail = detail
        self.advice = advice
        self.call = call


class FunctionDisabledError(TransientError):
    """A setting that the function needs is wrong. Messages wait for it: they are not at fault."""

    code = "function_disabled"


class StoreUnavailableError(TransientError):
    """Table Storage is busy, away, refusing (401, 403) or lacks a table: weather, never poison."""

    code = "store_unavailable"


class OtherStoreError(StoreUnavailableError):
    """The store belongs to another environment or bucket count: it is no store of ours."""

    code = "other_store"


class BudgetSpentError(TransientError):
    """The requests or seconds that a run may use are used up; the next run goes on from there."""

    code = "budget_spent"


class QueueUnavailableError(TransientError):
    """Service Bus did not accept a message within its time."""

    code = "queue_unavailable"


class RestUnavailableError(TransientError):
    """EMabler's REST is throttling, failing, cannot be reached, or its answer is none.

    `status`, `server_code` and `detail` are there where it answered, `retry_after` (seconds) where
    it says when to come again; `tries` is how often the request was sent.
    """

    code = "rest_unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        server_code: str | None = None,
        detail: str | None = None,
        advice: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.server_code = server_code
        self.detail = detail
        self.advice = advice
        self.retry_after = retry_after
        self.tries = 1

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.tries == 1 else f"{message} (tried {self.tries} times)"


class LeaseHeldError(TransientError):
    """Another run of reconciliation holds the lease: `who`, and `until` when at most (UTC)."""

    code = "reconciliation_running"

    def __init__(self, *, who: str, until: datetime) -> None:
        super().__init__(
            f"a run of reconciliation is under way ({who}), until {until:%Y-%m-%d %H:%M:%S} UTC at "
            "most: it ends by itself"
        )
        self.who = who
        self.until = until


class LeaseLostError(TransientError):
    """A run held the lease beyond its time, or another run took it over: it writes no more."""

    code = "lease_lost"


class RunStoppedError(EmablerFunctionsError):
    """Somebody stopped a run by hand: it gave the lease back, and the next one goes on."""

    code = "run_stopped"


class RowConflictError(EmablerFunctionsError):
    """Somebody else wrote the row first; read it again, then decide."""

    code = "row_conflict"


class RowExistsError(RowConflictError):
    """An insert met an existing row. In a transaction nothing was written.

    `after_retry` says that the SDK had sent the request before: the row may be its own.
    """

    code = "row_exists"
    after_retry = False


class RowChangedError(RowConflictError):
    """The row's ETag is another one by now. In a transaction nothing was written."""

    code = "row_changed"


class RowMissingError(RowConflictError):
    """A delete or a replace met no row. In a transaction nothing was written."""

    code = "row_missing"


class BlobChangedError(RowConflictError):
    """The blob's ETag is another one by now, or there is a blob where none was expected."""

    code = "blob_changed"
