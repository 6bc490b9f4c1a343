"""The FunctionRpc protobuf bindings, which ship in the `azure-functions-runtime-v1` wheel.

They lie in that wheel's top-level package `tests`; loaded by path and under a private name, they
neither need nor shadow a package of that name. Host and worker both use this module.
"""

import importlib.metadata
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

# A generated message, or another object of a package that comes without types.
Message = Any

_DISTRIBUTION = "azure-functions-runtime-v1"
_INIT = "tests/protos/__init__.py"
_NAME = "_function_rpc_protos"


@cache
def load_protos() -> Message:
    """The package of generated bindings (`StreamingMessage`, `TypedData`, …).

    Raises:
        ModuleNotFoundError: The wheel is not installed.
    """
    files = importlib.metadata.files(_DISTRIBUTION) or []
    path = next((Path(str(f.locate())) for f in files if f.as_posix() == _INIT), None)
    if path is None or not path.exists():
        raise ModuleNotFoundError(
            f"{_DISTRIBUTION} is not installed with its protobuf bindings; install"
            " requirements-dev.txt"
        )
    spec = importlib.util.spec_from_file_location(
        _NAME, path, submodule_search_locations=[str(path.parent)]
    )
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module
