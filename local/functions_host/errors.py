"""Errors of the local Functions host.

```
Exception
├── LocalError                what a person must be told (local/errors.py)
│   └── HostError             the host cannot start: exit code 2
├── MissingSettingError       a binding names an app setting that is not there: its function
│                             does not run
└── WorkerGoneError           the worker process ended: what it ran fails, another one starts
```

Codes of `HostError`:

| code | when |
|---|---|
| `app_not_found` | there is no function_app.py in the folder |
| `app_not_python` | the settings say that the app is written in another language |
| `app_not_indexed` | the worker cannot import and index the app |
| `worker_not_started` | the worker process ended, or was silent, before it connected |
| `host_json_not_found`, `host_json_invalid` | host.json is missing, or says what cannot be |
| `local_settings_invalid`, `local_settings_encrypted` | local.settings.json cannot be read |
| `address_not_usable` | the address cannot be listened on (a taken port is `port_in_use`) |
"""

from local.errors import LocalError


class HostError(LocalError):
    """The host cannot start.

    Attributes:
        details: more lines for people, such as a traceback; may be empty.
    """

    def __init__(self, code: str, what: str, remedy: str, details: str = "") -> None:
        super().__init__(code, what, remedy)
        self.details = details


class MissingSettingError(LookupError):
    """A `%Name%` or a connection refers to an app setting that is not set."""

    def __init__(self, setting: str) -> None:
        super().__init__(f"the app setting '{setting}' is not set")
        self.setting = setting


class WorkerGoneError(Exception):
    """The worker process ended, or none became ready in time, before the answer was there."""
