"""What happened on earlier pages of a walk, so that later ones begin where they must.

A walk is the pages of one query. Rows that a page held back follow on the next one; rows that were
inserted or removed before a page move it and all later ones. A page that is asked for once more
starts from the same rows, and what it did before is forgotten.
"""

from collections import OrderedDict
from collections.abc import Hashable

_WALKS_KEPT = 256


class Walk:
    """One walk. `inserted` and `held` are numbers of rows by page."""

    def __init__(self) -> None:
        self.inserted: dict[int, int] = {}
        self.held: dict[int, int] = {}

    def forget_from(self, page: int) -> None:
        """Forget what this page and later ones did: the walk is at this page now."""
        for by_page in (self.inserted, self.held):
            for later in [each for each in by_page if each >= page]:
                del by_page[later]

    def first_row(self, page: int, limit: int) -> int:
        """Where the page begins, counted from 0, among the rows as they are."""
        moved = sum(self.inserted.values()) + sum(self.held.values())
        return max(0, (page - 1) * limit - moved)


class Walks:
    """The walks that are under way."""

    def __init__(self) -> None:
        self._walks: OrderedDict[Hashable, Walk] = OrderedDict()

    def walk(self, name: Hashable) -> Walk:
        """Give the walk of a query."""
        walk = self._walks.setdefault(name, Walk())
        self._walks.move_to_end(name)
        if len(self._walks) > _WALKS_KEPT:
            self._walks.popitem(last=False)
        return walk
