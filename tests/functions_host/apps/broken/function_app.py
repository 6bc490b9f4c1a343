"""An app that cannot be imported."""

import azure.functions as func
import no_such_module_for_this_test  # type: ignore[import-not-found] # noqa: F401 - on purpose

app = func.FunctionApp()
