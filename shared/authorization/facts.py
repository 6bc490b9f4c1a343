"""What is remembered of chargers and groups: a tap need not read what seldom changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from shared.chargers.known import KnownCharger, read_charger
from shared.chargers.loaded import read_inventory_loaded
from shared.storage.rows import Tables
from shared.tags.groups import Group, read_group

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Fact[T]:
    """A fact, and whether it was read for this very question."""

    value: T
    fresh: bool


class Remembered[T]:
    """Answers of one kind by name, each for at most `lasting` seconds, the most recent 20,000."""

    def __init__(self, read: Callable[[str], Awaitable[T]], lasting: float) -> None:
        self._read = read
        self._lasting = lasting
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()

    async def get(self, name: str, *, again: bool = False) -> Fact[T]:
        """The fact of this name, read when it is not remembered, too old or asked for again.

        Raises:
            StoreUnavailableError: It has to be read and cannot be.
        """
        known = self._known.get(name)
        if known is not None and not again and monotonic() - known[0] < self._lasting:
            return Fact(known[1], fresh=False)
        began = monotonic()
        value = await self._read(name)
        self._known[name] = began, value
        self._known.move_to_end(name)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return Fact(value, fresh=True)


class Facts:
    """Facts of chargers and groups. A fact's age counts from before it was asked for."""

    def __init__(self, tables: Tables, *, buckets: int, lasting: float) -> None:
        async def charger(name: str) -> KnownCharger:
            return await read_charger(tables, name, buckets=buckets)

        async def group(name: str) -> Group | None:
            return await read_group(tables, name)

        async def loaded(_name: str) -> bool:
            return await read_inventory_loaded(tables) is not None

        self.chargers = Remembered(charger, lasting)
        self.groups = Remembered(group, lasting)
        self._loaded = Remembered(loaded, lasting)
        self._are_judged = False

    async def may_be_judged(self, charger: KnownCharger) -> bool:
        """Whether it says anything of a charger that it is not known.

        It does once eMabler's whole inventory was loaded, and from then on: events alone tell of
        the chargers that had something to tell.

        Raises:
            StoreUnavailableError: It has to be read and cannot be.
        """
        if charger.known:
            return True
        if not self._are_judged:
            self._are_judged = (await self._loaded.get("inventory")).value
        return self._are_judged
