"""One setting, settings as they were read: by name, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.errors import SettingError


@dataclass(frozen=True, slots=True)
class Setting:
    """One app setting: its name, who needs it, how it is read, and one that is right.

    `default` None means that it must be set where `needed_by` names somebody. Where nobody needs
    it, `heeded_by` names whom a wrong value disables. `where` says by the other settings whether
    it is needed at all.
    """

    name: str
    meaning: str
    example: str
    read: Callable[[str], Any]
    needed_by: tuple[str, ...] = ()
    heeded_by: tuple[str, ...] = ()
    default: Any = None
    secret: bool = False
    where: Callable[[Mapping[str, Any]], bool] | None = None

    def is_needed(self, values: Mapping[str, Any]) -> bool:
        """Whether it has to be set, beside these values."""
        return (
            bool(self.needed_by)
            and self.default is None
            and (self.where is None or self.where(values))
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the settings, and whom it disables."""

    setting: str
    code: str
    message: str
    needed_by: tuple[str, ...]

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings by name, and all that is wrong with them."""

    values: Mapping[str, Any]
    problems: tuple[Problem, ...] = field(default=())

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - each setting has a type of its own
        return self.values[name]

    def problems_of(self, room: str) -> tuple[Problem, ...]:
        """What is wrong for one room (`INGESTION` …)."""
        return tuple(problem for problem in self.problems if room in problem.needed_by)

    def require(self, room: str) -> None:
        """Refuse to go on where something that the room needs is wrong.

        Raises:
            SettingError: All of it, in one message.
        """
        self._refuse(self.problems_of(room))

    def require_set(self, *names: str) -> None:
        """Refuse to go on where one of these settings is missing or wrong.

        Raises:
            SettingError: All of it, in one message.
        """
        self._refuse([problem for problem in self.problems if problem.setting in names])

    @staticmethod
    def _refuse(problems: Sequence[Problem]) -> None:
        if problems:
            raise SettingError("; ".join(map(str, problems)), code=problems[0].code)
