"""SDKs imported beside the event loop: 0.1 to 0.3 s in which taps would wait for their answers."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable


class ImportedLater:
    """Modules that are imported at their first use, in a thread, once."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = tuple(modules)
        self._there = False

    async def ready(self) -> None:
        """Return once they are imported; whoever then imports them on the loop waits for nothing.

        A module that another thread is still importing stands in `sys.modules` already, so only an
        import of its own tells: it waits for the other one, in its thread.

        Raises:
            ImportError: There is no such module.
        """
        if not self._there:
            for module in self._modules:
                await asyncio.to_thread(importlib.import_module, module)
            self._there = True
