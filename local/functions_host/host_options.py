"""What one run of the host is given."""

import socket
from dataclasses import dataclass
from pathlib import Path

from local.functions_host.app_settings import AppSettings
from local.functions_host.host_json import HostJson


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The app's folder, its settings and host.json, the bound socket for HTTP.

    With `remember_timers` the status of timers is kept on disk, below the app's `.local/`. What
    runs when the host is to stop may take `grace` seconds. `began` is when the program did, on the
    monotonic clock. `function_key` is what HTTP functions ask for that are not anonymous; None:
    nobody is asked.
    """

    app: Path
    settings: AppSettings
    host_json: HostJson
    listener: socket.socket
    remember_timers: bool
    grace: float
    began: float
    function_key: str | None = None
