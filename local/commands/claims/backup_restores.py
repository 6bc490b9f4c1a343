"""A backup restores: taken by the function, brought back beside the store, compared row by row."""

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import sessions, start, states
from local.commands.playing.searching import places_holding
from local.commands.playing.watching import until_drained

TAG = "04ERASED0000A2"
EQUAL, ERASED = "equal", "erased"
DRAINED_WITHIN_SECONDS = 240


async def check(ground: Ground) -> Verdict:
    """Fill, back up, restore beside; compare both ways; erase a person, restore once more."""
    count = 20 if ground.short else 1500
    told = [
        *sessions("BACK", count),
        *states("BACK-S", 5 * count),
        b"no JSON",
        start("B", TAG, "1"),
    ]
    ground.chance.shuffle(told)
    await ground.sender.to_queue(told)
    await until_drained(ground.azure, within=DRAINED_WITHIN_SECONDS)
    await ground.azure.host.run_function("back_up")
    (backup,) = await ground.operator.rows("backup", "list")
    # Exit code 0 only where nothing differs; a command that ends with another fails the claim.
    compared = await ground.operator.rows("backup", "restore", "--compare")
    await ground.operator.run("backup", "restore", "--beside", EQUAL, "--yes")
    compared += await ground.operator.rows("backup", "restore", "--beside", EQUAL, "--compare")
    await ground.operator.run("privacy", "erase", TAG, "--yes")
    await ground.operator.run("backup", "restore", "--beside", ERASED, "--yes")
    present = await places_holding(ground.azure, [TAG], tables=EQUAL)
    left = await places_holding(ground.azure, [TAG], tables=ERASED)
    return Verdict(
        how=f"{len(told)} messages, a backup by the timer's function, restored beside the store, "
        "each compared with the backup; then a person erased, and restored again",
        figure=f"{backup['rows']} rows in {backup['megabytes']} MB, {len(compared)} differ; the "
        f"erased person in {len(present)} rows of the first, in {len(left)} of the second",
        passed=backup["rows"] > len(told) and not compared and not left and len(present) > 0,
    )


CLAIM = Claim(
    "backup_restores",
    "restored into an empty store it equals what was there row by row, and who was erased since "
    "stays erased.",
    check,
)
