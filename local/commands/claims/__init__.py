"""The claims that `python dev.py prove` checks, one module each, in the order of the promises."""

from local.commands.claims import (
    backup_restores,
    crashes_change_nothing,
    kept_first,
    monitoring,
    nothing_doubled,
    nothing_lost,
    old_rows_go,
    person_taken_out,
    poison_is_not_weather,
    sessions_stream,
    store_is_proven,
    taps_answered,
)
from local.commands.claims.claim import Claim

CLAIMS: tuple[Claim, ...] = (
    nothing_lost.CLAIM,
    kept_first.CLAIM,
    nothing_doubled.CLAIM,
    crashes_change_nothing.CLAIM,
    poison_is_not_weather.CLAIM,
    taps_answered.CLAIM,
    store_is_proven.CLAIM,
    monitoring.CLAIM,
    person_taken_out.CLAIM,
    backup_restores.CLAIM,
    old_rows_go.CLAIM,
    sessions_stream.CLAIM,
)
