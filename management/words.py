"""Numbers of things as people say them."""

from __future__ import annotations


def counted(number: int, things: str) -> str:
    """A number and what it is of, named in the plural: `1 backup`, `2 rows and blobs`."""
    return f"{number} {_one(things) if number == 1 else things}"


def _one(things: str) -> str:
    """The plain plural's one: `rows and blobs` is `row or blob`."""
    words = (word.removesuffix("es" if word.endswith("sses") else "s") for word in things.split())
    return " ".join("or" if word == "and" else word for word in words)
