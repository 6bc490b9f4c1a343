"""Who may call: the Authorization value that the operator configured at eMabler."""

from __future__ import annotations

import hmac
from collections.abc import Sequence


def is_authorized(value: str, accepted: Sequence[str]) -> bool:
    """Whether the header's value is one of those accepted, in the same time whatever it is.

    Every accepted value is compared, also after one matched, so that the time tells nothing.
    """
    given = value.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(given, each.encode()) for each in accepted]
    return any(matches)
