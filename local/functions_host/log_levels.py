"""Log levels and the filter that host.json puts on categories (`logging.logLevel`)."""

from collections.abc import Mapping
from enum import IntEnum


class LogLevel(IntEnum):
    """The levels of .NET logging, numbered as FunctionRpc numbers them."""

    TRACE = 0
    DEBUG = 1
    INFORMATION = 2
    WARNING = 3
    ERROR = 4
    CRITICAL = 5
    NONE = 6

    @property
    def label(self) -> str:
        """The level's name as host.json and the console write it, such as `Information`."""
        return self.name.capitalize()


class LevelFilter:
    """Which lines are shown: the longest configured prefix of a category decides.

    `default` (Information unless host.json says otherwise) holds for categories without one
    (https://learn.microsoft.com/azure/azure-functions/configure-monitoring#configure-categories).
    """

    def __init__(self, levels: Mapping[str, LogLevel] | None = None) -> None:
        by_prefix = {name.lower(): level for name, level in (levels or {}).items()}
        self._default = by_prefix.pop("default", LogLevel.INFORMATION)
        self._by_prefix = sorted(by_prefix.items(), key=lambda item: -len(item[0]))
        self._known: dict[str, LogLevel] = {}

    def shows(self, category: str, level: LogLevel) -> bool:
        """Whether a line of this category and level is to be shown."""
        lowest = self._known.get(category)
        if lowest is None:
            lowest = self._known[category] = self._lowest(category.lower())
        return level >= lowest and lowest is not LogLevel.NONE

    def _lowest(self, category: str) -> LogLevel:
        for prefix, level in self._by_prefix:
            if category.startswith(prefix):
                return level
        return self._default
