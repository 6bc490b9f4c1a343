"""One check of the doctor: what it found, and how errors of ours become a finding."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from shared.errors import EmablerFunctionsError


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do where it is not well."""

    check: str
    well: bool
    detail: str


async def checked(name: str, check: Awaitable[str]) -> Finding:
    """A check that tells what it found, or raises what is wrong."""
    try:
        return Finding(name, well=True, detail=await check)
    except EmablerFunctionsError as error:
        return Finding(name, well=False, detail=f"{error.code}: {error}")
