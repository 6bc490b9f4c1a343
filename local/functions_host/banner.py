"""What the host tells about an app once it has indexed it."""

from collections.abc import Sequence
from pathlib import Path

from local.functions_host.console import STARTUP, Console
from local.functions_host.functions import (
    Function,
    HttpTrigger,
    KafkaTrigger,
    TimerTrigger,
    Trigger,
)
from local.functions_host.host_json import HostJson, HttpOptions


def write_banner(
    console: Console, app: Path, url: str, functions: Sequence[Function], host_json: HostJson
) -> None:
    """The app, its functions with where and when they run, and what keeps others from running."""
    console.text("\nLocal Azure Functions host, running the app with azure-functions-runtime")
    console.text(f"App: {app}\n")
    console.text("Functions:\n")
    for function in functions:
        if function.trigger is not None:
            state = " (disabled)" if function.disabled else ""
            where = _where(function.trigger, url, host_json.http)
            console.text(f"        {function.name}{state}: {where}\n")
    if not functions:
        console.warning(STARTUP, "The app has no functions: function_app.py registers none.")
    for function in functions:
        for error in function.errors:
            console.error(STARTUP, f"The '{function.name}' function is in error: {error}")


def _where(trigger: Trigger, url: str, options: HttpOptions) -> str:
    """Trigger and address as written in the app: what settings hold is not shown."""
    if isinstance(trigger, HttpTrigger):
        methods = ",".join(trigger.methods) or "all methods"
        return f"[{methods}] {url}{trigger.path(options.route_prefix)}"
    if isinstance(trigger, TimerTrigger):
        return f"timerTrigger {trigger.schedule_as_written}"
    if isinstance(trigger, KafkaTrigger):
        return f"kafkaTrigger on {trigger.as_written}, in batches"
    batch = ", in batches" if trigger.many else ""
    return f"serviceBusTrigger on {trigger.as_written}{batch}"
