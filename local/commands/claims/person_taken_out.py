"""A person taken out: a tag's sessions and taps, erased, and every byte of the store searched."""

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import sessions, start, states
from local.commands.frame import STATE
from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.searching import places_holding
from local.commands.playing.watching import until_drained

TAG = "04ERASED0000A1"
SPELLINGS = (TAG, "04:ER:AS:ED:00:00:A1", "04-ER-AS-ED-00-00-A1")
BROKEN = b'{"authorizedIdTag": "04:er:as:ed:00:00:a1", "cut off'
BACKUPS = "backups"
DRAINED_WITHIN_SECONDS = 240


async def check(ground: Ground) -> Verdict:
    """Let a person charge among others, erase the tag, tell all of it again, and search."""
    others = sessions("OTHERS", 10 if ground.short else 400)
    mine = [
        start(f"PERSON-{number:02}", SPELLINGS[number % len(SPELLINGS)], str(number))
        for number in range(5 if ground.short else 60)
    ]
    told = [*mine, BROKEN, *others, *states("PERSON", 20)]
    ground.chance.shuffle(told)
    folder = ground.azure.data or STATE
    tags = write_tags(folder / "tags.csv", [CsvTag(TAG, type="TAG"), CsvTag("04000000000080")])
    await ground.operator.run("tags", "import", tags)
    await ground.sender.to_queue(told)
    await until_drained(ground.azure, within=DRAINED_WITHIN_SECONDS)
    for number in range(3):
        await ground.sender.tap(f"PERSON-{number:02}", TAG)
    before = await places_holding(ground.azure, SPELLINGS)
    stored = len(await ground.operator.rows("sessions", "list"))
    await ground.operator.run("privacy", "erase", TAG, "--yes", "--as", "prove")
    after = await places_holding(ground.azure, SPELLINGS, without=[BACKUPS])
    await ground.sender.to_queue(told)
    await until_drained(ground.azure, within=DRAINED_WITHIN_SECONDS)
    again = await places_holding(ground.azure, SPELLINGS, without=[BACKUPS])
    left = await ground.operator.rows("sessions", "list")
    return Verdict(
        how=f"a tag in {len(mine)} sessions, taps and a broken message among {len(others)} others' "
        "messages, erased; then every message came again",
        figure=f"in {len(before)} rows and blobs before, in {len(after)} after, in {len(again)} "
        f"when all was told again; {len(left)} of {stored} sessions stay",
        passed=len(before) > len(mine) and not after and not again and len(left) == stored,
    )


CLAIM = Claim(
    "person_taken_out",
    "`privacy erase` leaves no byte of the tag in any table or blob",
    check,
)
