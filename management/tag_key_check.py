"""Whether the store's tags lie under the keys that are set: under others no tag is found."""

from __future__ import annotations

import asyncio

from shared.errors import EmablerFunctionsError
from shared.identifiers import hash_tag
from shared.rooms import Rooms
from shared.tags.roster import any_tags

_SECONDS = 5.0
"""A store without a roster may hold sessions of millions of tags and a record of none."""


async def tag_key(rooms: Rooms) -> str:
    """Look at one record of a tag and whether its place is the one that our keys give.

    Raises:
        EmablerFunctionsError: `tag_key_differs`: it lies under another key.
        StoreUnavailableError: The store cannot be read now.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            async for hashed, tag in any_tags(rooms.tables):
                if hashed in {hash_tag(tag.tag, key) for key in rooms.tag_hash_keys}:
                    return "a tag of the store lies where it should"
                message = (
                    "the store's tags lie under another TAG_HASH_KEY: no tap, no import and no "
                    "erasure finds them. What to do: set the key that they were written with; to "
                    "change it, docs/authorization.md"
                )
                raise EmablerFunctionsError(message, code="tag_key_differs")
    except TimeoutError:
        pass
    return "not known: no record of a tag was found"
