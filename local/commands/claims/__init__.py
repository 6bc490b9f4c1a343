"""The claims that `python dev.py prove` checks, one module each, in the order of the promises."""

from local.commands.claims import (
    crashes_change_nothing,
    monitoring,
    nothing_doubled,
    nothing_lost,
    poison_is_not_weather,
    store_is_proven,
    taps_answered,
)
from local.commands.claims.claim import Claim

CLAIMS: tuple[Claim, ...] = (
    nothing_lost.CLAIM,
    nothing_doubled.CLAIM,
    crashes_change_nothing.CLAIM,
    poison_is_not_weather.CLAIM,
    taps_answered.CLAIM,
    store_is_proven.CLAIM,
    monitoring.CLAIM,
)
