"""What a claim is: a sentence of the promises, and a check on the real parts with a figure."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rich.table import Table

from local.commands.playing.operator import Operator
from local.commands.playing.sender import Sender
from local.stack import EVERYDAY, LocalAzure, Part


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        how: what was done, in one line.
        figure: what was counted or measured, with its unit.
        passed: whether the claim holds.
        shown: what is printed beside it, where one line is too little.
    """

    how: str
    figure: str
    passed: bool
    shown: Table | None = None


@dataclass(frozen=True)
class Ground:
    """Where a check runs: a stack of its own, empty at the start.

    Attributes:
        azure: the running stack.
        operator: runs manage.py on it.
        sender: plays eMabler's Push API.
        short: whether the short form is asked for.
        chance: the seeded source of whatever is random.
    """

    azure: LocalAzure
    operator: Operator
    sender: Sender
    short: bool
    chance: random.Random


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: what `prove NAME` takes.
        sentence: the sentence of docs/promises.md that is proved.
        check: does it, in its full or its short form.
        parts: of what its stack is made.
    """

    name: str
    sentence: str
    check: Callable[[Ground], Awaitable[Verdict]]
    parts: tuple[Part, ...] = EVERYDAY
