"""Taps answered: each cause its own reason, and in time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import start, states
from local.commands.frame import STATE
from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.sender import OK, TapAnswer
from local.commands.playing.watching import until_drained

CHARGER, ELSEWHERE = "TAPS-00", "TAPS-01"
BUDGET_SECONDS = 1.0
AT_ONCE = 4


@dataclass(frozen=True)
class Case:
    """A tag, and what a tap with it must be answered; `reason` None means allowed."""

    tag: str
    reason: str | None
    charger: str = CHARGER


BLOCKED_WHILE_CHARGING = "04AAAAAAAAAA08"
CASES = (
    Case("04AAAAAAAAAA01", None),
    Case("04AAAAAAAAAA02", "UNAUTHORIZED_RFID_TAG_ID"),
    Case("04AAAAAAAAAA03", "EXPIRED_RFID_TAG_ID"),
    Case("04AAAAAAAAAA04", "UNAUTHORIZED_RFID_TAG_ID"),
    Case("04AAAAAAAAAA05", "UNKNOWN_RFID_TAG_ID"),
    Case("04AAAAAAAAAA06", "UNAUTHORIZED_RFID_TAG_ID"),
    Case("04AAAAAAAAAA07", "UNAUTHORIZED_RFID_TAG_ID"),
    Case(BLOCKED_WHILE_CHARGING, None),
    Case(BLOCKED_WHILE_CHARGING, "UNAUTHORIZED_RFID_TAG_ID", ELSEWHERE),
    Case("04AAAAAAAAAA01", "UNKNOWN_CHARGER_ID", "TAPS-99"),
)


async def check(ground: Ground) -> Verdict:
    """Import tags of all kinds, begin two sessions, and tap."""
    await _prepare(ground)
    cases = list(CASES) * (10 if ground.short else 100)
    ground.chance.shuffle(cases)
    answers = await _tap_all(ground, cases)
    right = sum(_right(case, answer) for case, answer in zip(cases, answers, strict=True))
    times = sorted(answer.seconds for answer in answers)
    median, slow = times[len(times) // 2], times[int(len(times) * 0.99)]
    return Verdict(
        how=f"{len(cases)} taps, {AT_ONCE} at once: known, blocked, expired, not yet valid, "
        "unknown, out of scope, over the limit, a stop, an unknown charger",
        figure=f"{right} of {len(cases)} right, median {median * 1000:.0f} ms, 99 in 100 within "
        f"{slow * 1000:.0f} ms (floor {BUDGET_SECONDS * 1000:.0f})",
        passed=right == len(cases) and slow < BUDGET_SECONDS,
    )


async def _prepare(ground: Ground) -> None:
    now = datetime.now(UTC)
    yesterday, tomorrow = ((now + timedelta(days=days)).isoformat() for days in (-1, 1))
    tags = [
        CsvTag(CASES[0].tag, valid_from=yesterday, valid_until=tomorrow, type="TAG"),
        CsvTag(CASES[1].tag, blocked="yes"),
        CsvTag(CASES[2].tag, valid_until=yesterday),
        CsvTag(CASES[3].tag, valid_from=tomorrow),
        CsvTag(CASES[5].tag, chargers="TAPS-01|TAPS-02"),
        CsvTag(CASES[6].tag, most_sessions="1"),
        CsvTag(BLOCKED_WHILE_CHARGING, blocked="yes"),
    ]
    folder = ground.azure.data or STATE
    await ground.operator.run("tags", "import", write_tags(folder / "tags.csv", tags))
    # Chargers make themselves known before they are tapped at, and two sessions begin.
    begun = [start(ELSEWHERE, CASES[6].tag, "1"), start(CHARGER, BLOCKED_WHILE_CHARGING, "2")]
    await ground.sender.to_queue([*states("TAPS", 1), *begun])
    await until_drained(ground.azure, within=60)
    # With an inventory loaded, a charger that neither it nor an event told of is unknown.
    listed = {"id": 1, "chargerId": ELSEWHERE, "name": ELSEWHERE, "siteId": 1, "sockets": []}
    await ground.azure.emabler.put("chargers", [listed])
    await ground.operator.run("chargers", "refresh")


async def _tap_all(ground: Ground, cases: Sequence[Case]) -> list[TapAnswer]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def tap(case: Case) -> TapAnswer:
        async with turn:
            return await ground.sender.tap(case.charger, case.tag)

    return await asyncio.gather(*map(tap, cases))


def _right(case: Case, answer: TapAnswer) -> bool:
    allowed = case.reason is None
    return (
        answer.status == OK
        and answer.body.get("charging_allowed") is allowed
        and answer.body.get("reason") == case.reason
    )


CLAIM = Claim(
    "taps_answered",
    "Each cause has its own reason on the wire (one of eMabler's four) and its own finer cause in "
    "the audit",
    check,
)
