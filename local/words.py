"""Numbers of things as people say them."""


def counted(number: int, thing: str) -> str:
    """A number and what it is of: `1 message`, `2 messages`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
