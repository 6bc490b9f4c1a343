"""The script that the host starts as its worker process.

`python -P main.py ADDRESS WORKER_ID APP`, with the app folder as working directory and first on
the module path.
"""

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = "_functions_worker"
_ARGUMENTS = 3


def _own_package() -> ModuleType:
    """This folder as a package of a private name, whatever the app's modules are called."""
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{folder} cannot be loaded")
    package = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    spec.loader.exec_module(package)
    return package


def main() -> None:
    """Serve the host until it ends this worker."""
    if len(sys.argv) != _ARGUMENTS + 1:
        sys.exit("usage: main.py ADDRESS WORKER_ID APP; the local Functions host starts this")
    _own_package()
    client = importlib.import_module(f"{_PACKAGE}.client")
    protos = importlib.import_module(f"{_PACKAGE}.protos").load_protos()
    runtime = importlib.import_module("azure_functions_runtime")
    options = client.WorkerOptions(*sys.argv[1:])
    asyncio.run(client.WorkerClient(options, protos, runtime).run())


if __name__ == "__main__":
    main()
