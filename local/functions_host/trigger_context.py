"""What every trigger is given beside its function."""

from dataclasses import dataclass

from local.functions_host.app_settings import AppSettings
from local.functions_host.console import Console
from local.functions_host.host_json import HostJson
from local.functions_host.invocations import Invocations
from local.functions_host.schedule_status import StatusStore


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """The app's settings and options, who runs its functions, and where to report.

    `function_key` is what HTTP functions ask for that are not anonymous; None: nobody is asked.
    """

    settings: AppSettings
    host_json: HostJson
    invocations: Invocations
    statuses: StatusStore
    console: Console
    function_key: str | None = None
