"""`authorize CHARGER TAG`: what a tap would be answered, and what each rule says to it."""

from __future__ import annotations

import argparse

from management.context import Command, Context
from management.refusals import tags_unusable
from shared.authorization.authorize import Authorization
from shared.authorization.rules import RULES
from shared.authorization.taps import read_tap
from shared.instants import system_clock
from shared.tags.spellings import hashes_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charger", metavar="CHARGER", help="the charger's id")
    parser.add_argument("tag", metavar="TAG", help="the tag, in any spelling")


async def _authorize(context: Context) -> int:
    """Ask the store as a tap does, remember nothing, leave no row in the audit."""
    options, output, rooms = context.options, context.output, context.rooms
    if await tags_unusable(context):
        return 2
    tap = read_tap({"charger_id": options.charger, "rfid_tag_id": options.tag})
    if tap is None:
        output.error("tap_invalid", "charger and tag have 1 to 255 characters each")
        return 2
    authorization = Authorization(rooms.tables, rooms.taps.terms, clock=system_clock)
    hashes = hashes_of(tap.tag, rooms.taps.terms.hash_keys, rooms.taps.terms.spellings)
    judged = await authorization.judge(tap, hashes, fresh=True)
    decision, now = judged.decision, system_clock()
    output.columns({"rule": 16, "applies": 7, "when": 0})
    applied = False
    for rule in RULES:
        # The last one says that nothing above applies: by itself it would always.
        applies = rule.applies(judged.situation, judged.policy, now)
        applies = applies and not (applied and rule is RULES[-1])
        applied = applied or applies
        output.row({"rule": str(rule.cause), "applies": applies, "when": rule.when})
    if not judged.policy.chargers_are_judged:
        output.say("no inventory was ever loaded, so an unknown charger is not judged")
    reason = f", {decision.reason}" if decision.reason else ""
    output.say(f"{decision.word}: {decision.cause}{reason}")
    return 0


COMMAND = Command(
    "authorize", "what a tap would be answered, and why, rule by rule", _arguments, _authorize
)
