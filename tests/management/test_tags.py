"""Tags and groups by the command line: listed, shown, exported, blocked, moved, and a tap tried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.authorization.audit import Entry
from shared.authorization.rules import RULES
from shared.authorization.taps import Cause, Decision
from shared.authorization.unknown_tags import UnknownTags
from shared.identifiers import hash_tag
from shared.instants import system_clock
from shared.storage.containers import SNAPSHOTS
from shared.storage.requests import counted
from shared.storage.rows import Upsert
from shared.storage.tables import TAG_GROUPS, TAGS, UNKNOWN_TAGS
from shared.tags.records import Tag, tag_from_row, tag_row, tag_session_row
from shared.tags.snapshot import read_snapshot
from tests.management.operator import SECRET, Operator, Ran

KEY, PREVIOUS = SECRET.encode(), SECRET.replace("correct", "wrongly").encode()
TAGS_CSV = """tag,blocked,valid_from,valid_until,type,group,chargers,sites,most_sessions,offline
04:A2,no,2026-01-01,,VIN,Family,,,2,
05,yes,,2027-01-01T08:30:00+01:00,,,CH-1|CH 2,S1,,yes
"quoted ""tag"", 6",,,,,,,,,
"""
GROUPS_CSV = """group,blocked,valid_until,chargers,sites,most_sessions
Family,no,2030-01-01,,,3
Guests,yes,,CH-1,S1|S2,
"""


class Files(Operator):
    """An operator with a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def imports(self, what: str, text: str, *more: str) -> Ran:
        path = self.folder / f"{what}.csv"
        path.write_text(text, encoding="utf-8")
        return await self.run(what, "import", str(path), *more)

    def snapshot_allows(self, *tags: str) -> list[bool]:
        blob = self.blobs._containers[SNAPSHOTS].get("tags")
        snapshot = read_snapshot(blob.content) if blob else None
        validities = [snapshot.validity(hash_tag(tag, KEY)) if snapshot else None for tag in tags]
        return [validity is not None and validity.holds(system_clock()) for validity in validities]


@pytest.fixture
async def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    assert (await files.imports("groups", GROUPS_CSV)).code == 0
    assert (await files.imports("tags", TAGS_CSV)).code == 0
    return files


@pytest.mark.parametrize("what", ["tags", "groups"])
async def test_an_export_is_an_import(files: Files, what: str) -> None:
    """What is exported can be imported, and that writes no row."""
    path = files.folder / "out.csv"

    exported = await files.run(what, "export", str(path))
    with counted() as requests:
        again = await files.run(what, "import", str(path))

    assert (exported.code, again.code) == (0, 0)
    assert not [
        purpose
        for purpose in requests.by_purpose
        if "write" in purpose and not purpose.startswith("store")
    ]
    assert ("3 same" if what == "tags" else "2 groups, 0 new or changed") in again.err


async def test_an_export_goes_to_standard_output_as_well(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """With - as its file; a file that cannot be written is wrong usage."""
    assert (await files.run("groups", "export", "-")).code == 0
    assert capsys.readouterr().out.splitlines()[0] == GROUPS_CSV.splitlines()[0]
    for what in ("tags", "groups"):
        refused = await files.run(what, "export", str(files.folder / "none" / "out.csv"))
        assert (refused.code, refused.err.startswith("error: file_unusable: ")) == (2, True)


async def test_tags_are_listed(files: Files) -> None:
    """All, those of a group, blocked ones."""
    everything = await files.run("tags", "list", "--json")
    family = await files.run("tags", "list", "--json", "--group", "Family")
    blocked = await files.run("tags", "list", "--json", "--blocked")

    assert sorted(everything.all("tag")) == ["04:A2", "05", 'quoted "tag", 6']
    assert family.rows == [
        {
            "tag": "04:A2",
            "blocked": False,
            "valid_from": "2026-01-01T00:00:00.000000Z",
            "valid_until": "",
            "type": "VIN",
            "group": "Family",
            "chargers": [],
            "sites": [],
            "most_sessions": 2,
            "offline": "",
            "driver": None,
            "driver_external": None,
        }
    ]
    assert blocked.all("chargers") == [["CH-1", "CH 2"]]


async def test_a_group_has_to_be_known(files: Files) -> None:
    """A tag of a group that nobody made is a wrong line."""
    ran = await files.imports("tags", "tag,group\nA,Family\nB,Nobody\n", "--json")

    assert (ran.code, ran.all("line")) == (1, [3])
    assert "there is no group of that name" in ran.all("fault")[0]


async def test_wrong_groups_write_nothing(files: Files) -> None:
    """As with tags: each wrong line is told, and the right ones are written when asked."""
    text = "group,most_sessions\nNew,1\nFamily,none\nNew,2\n"

    refused = await files.imports("groups", text, "--json")
    dry = await files.imports("groups", text, "--json", "--skip-invalid", "--dry-run")
    before = (await files.run("groups", "list", "--json")).all("group")
    asked = await files.imports("groups", text, "--json", "--skip-invalid")
    unusable = await files.imports("groups", "name\nA\n")

    assert (refused.code, [row["line"] for row in refused.rows]) == (1, [3, 4])
    assert (dry.code, dry.rows[-1]) == (1, {"group": "New", "outcome": "new"})
    assert (asked.code, before) == (1, ["Family", "Guests"])
    assert (await files.run("groups", "list", "--json")).all("group") == [*before, "New"]
    assert (unusable.code, "unknown: name" in unusable.err) == (2, True)


async def test_a_large_group_with_a_limit_is_told(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting its sessions costs a read for each tag: whoever makes it so large is warned."""
    monkeypatch.setattr("management.commands.tags.MOST_MEMBERS_TO_COUNT", 1)

    ran = await files.imports("tags", "tag,group\nA,Family\nB,Guests\nC,Guests\n")

    assert "group Family: each tap asks 2 tags" in ran.err
    assert "Guests" not in ran.err


async def test_a_tag_is_shown(files: Files) -> None:
    """Its record in whatever spelling, its open sessions, how often it was tapped unknown."""
    now = datetime.now(UTC)
    hashed = hash_tag("04A2", KEY)
    row = tag_session_row(hashed, "CH-1|7", "start", "d", now)
    await files.tables.write(TAGS, [Upsert(row)])

    shown = await files.run("tags", "show", "04-a2", "--json")
    unknown = await files.run("tags", "show", "nobody")

    told = {row["what"]: row["value"] for row in shown.rows}
    assert (told["tag"], told["group"]) == ("04:A2", "Family")
    assert str(told["open session"]).startswith("CH-1|7 ")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("error: tag_unknown: no such tag is known. What to do: ")


async def test_a_tag_is_blocked_and_unblocked(files: Files) -> None:
    """In any spelling; what is not known is told with exit 1, the others are done all the same."""
    ran = await files.run("tags", "block", "04 a2", "nobody", "05", "--json")
    blocked = await files.run("tags", "list", "--blocked", "--json")
    back = await files.run("tags", "unblock", "04A2", "--json")

    assert ran.code == 1
    assert ran.all("outcome") == ["blocked", "not known", "was blocked already"]
    assert ran.err.startswith("error: tag_unknown: not known: 1 of 3 tags.")
    assert sorted(blocked.all("tag")) == ["04:A2", "05"]
    assert (back.code, back.all("outcome")) == (0, ["unblocked"])


async def test_a_block_leaves_the_snapshot_at_once(files: Files) -> None:
    """Under last-known imports, blocks and groups keep the snapshot; without it nobody does."""
    assert files.snapshot_allows("04A2") == [False]
    files.settings["AUTHORIZATION_FALLBACK"] = "last-known"

    await files.imports("tags", "tag\nNEW\n")
    assert files.snapshot_allows("04A2", "05", "NEW") == [True, False, True]
    await files.run("tags", "block", "NEW")
    assert files.snapshot_allows("04A2", "05", "NEW") == [True, False, False]
    await files.run("groups", "block", "Family")
    assert files.snapshot_allows("04A2") == [False]
    await files.run("groups", "unblock", "Family")
    await files.run("tags", "unblock", "NEW")
    assert files.snapshot_allows("04A2", "NEW") == [True, True]


async def test_a_snapshot_that_the_app_keeps_is_kept_from_any_machine(files: Files) -> None:
    """An operator's machine whose settings say nothing of the policy withdraws and renews it."""
    files.settings["AUTHORIZATION_FALLBACK"] = "last-known"
    await files.imports("tags", "tag\nNEW\n")
    files.settings["AUTHORIZATION_FALLBACK"] = "defer"

    await files.run("tags", "block", "NEW")
    assert files.snapshot_allows("04A2", "NEW") == [True, False]
    await files.run("tags", "unblock", "NEW")
    await files.run("groups", "block", "Family")
    assert files.snapshot_allows("04A2", "NEW") == [False, True]


async def test_other_spellings_are_blocked_when_the_setting_says_so(files: Files) -> None:
    """The card as its reader tells it is the card that was imported turned round."""
    await files.imports("tags", "tag\n7F2BA204\n")
    assert (await files.run("tags", "block", "04A22B7F")).code == 1
    files.settings["TAG_SPELLINGS"] = "reversed"

    assert (await files.run("tags", "block", "04A22B7F")).code == 0
    assert "7F2BA204" in (await files.run("tags", "list", "--blocked", "--json")).all("tag")


async def test_a_group_is_shown_and_blocked(files: Files) -> None:
    """With the number of its tags; one that is not there is told."""
    shown = await files.run("groups", "show", "Family", "--json")
    blocked = await files.run("groups", "block", "Family")
    again = await files.run("groups", "block", "Family")

    assert {row["what"]: row["value"] for row in shown.rows}["members"] == 1
    assert (blocked.code, blocked.err) == (0, "group Family is blocked\n")
    assert again.err == "group Family was blocked already\n"
    for verb in ("show", "block", "unblock"):
        gone = await files.run("groups", verb, "Nobody")
        assert (gone.code, gone.err.startswith("error: group_unknown: ")) == (1, True)


async def test_unknown_tags_are_listed(files: Files) -> None:
    """The inbox by charger and time, whether a tag is known by now, and forgotten when asked."""
    at = datetime(2026, 11, 2, 12, tzinfo=UTC)
    entries = [
        Entry(
            at=at + timedelta(days=n),
            charger=f"CH-{n}",
            tag=tag,
            hashed=hash_tag(tag, KEY),
            decision=Decision(allowed=False, cause=Cause.UNKNOWN_TAG),
            milliseconds=1,
        )
        for n, tag in enumerate(["X:1", "04A2", "X1"])
    ]
    await UnknownTags(files.tables).take(entries)

    everything = await files.run("tags", "unknown", "--json")
    recent = await files.run("tags", "unknown", "--json", "--from", "2026-11-04")
    one = await files.run("tags", "unknown", "--json", "--charger", "CH-1", "--forget")

    told = {row["tag"]: (row["count"], row["known_by_now"]) for row in everything.rows}
    assert told == {"X1": (2, False), "04A2": (1, True)}
    assert recent.all("tag") == ["X1"]
    assert one.all("tag") == ["04A2"]
    assert "1 taken out of the inbox" in one.err
    assert [row.columns["spelling"] for row in files.tables.rows(UNKNOWN_TAGS)] == ["X1"]


async def test_tags_are_moved_to_a_new_key(files: Files) -> None:
    """With both keys set all tags move, and what to do next is told; without, nothing to do."""
    none = await files.run("tags", "rehash")
    row = tag_row(Tag(tag="OLD", group="Family"), PREVIOUS)
    await files.tables.write(TAGS, [Upsert(row)])
    files.settings["TAG_HASH_KEY_PREVIOUS"] = PREVIOUS.decode()

    moved = await files.run("tags", "rehash")
    again = await files.run("tags", "rehash")

    assert (none.code, none.err.startswith("error: setting_missing: ")) == (2, True)
    assert (moved.code, moved.err[:25]) == (0, "1 moved, 3 there already;")
    assert again.err.startswith("0 moved, 4 there already;")
    found = await files.tables.get(TAGS, hash_tag("OLD", KEY), f"tag|{hash_tag('OLD', KEY)[:8]}")
    assert found is not None
    assert tag_from_row(found).group == "Family"


async def test_an_import_while_tags_are_moved_lifts_no_block(files: Files) -> None:
    """With both keys set a blocked tag that is not moved yet stays blocked, then and afterwards."""
    row = tag_row(Tag(tag="OLD", blocked=True), PREVIOUS)
    await files.tables.write(TAGS, [Upsert(row)])
    files.settings["TAG_HASH_KEY_PREVIOUS"] = PREVIOUS.decode()
    validities = "tag,valid_until\nOLD,2030-01-01\n"

    dry = await files.imports("tags", validities, "--dry-run")
    told = await files.imports("tags", validities)
    await files.run("tags", "rehash")
    shown = await files.run("tags", "show", "OLD", "--json")

    assert "1 changed" in dry.err
    assert "1 changed" in told.err
    values = {each["what"]: each["value"] for each in shown.rows}
    assert values["blocked"] is True
    assert str(values["valid_until"]).startswith("2030-01-01")


async def test_a_tap_is_tried(files: Files) -> None:
    """Each rule and what it says, then what would be answered; nothing is left behind."""
    allowed = await files.run("authorize", "CH-1", "04A2", "--json")
    before = [files.tables.rows(table) for table in (TAGS, TAG_GROUPS, UNKNOWN_TAGS)]
    blocked = await files.run("authorize", "CH-1", "05", "--json")
    unknown = await files.run("authorize", "CH-1", "nobody")
    invalid = await files.run("authorize", "CH-1", " ")

    assert [row["rule"] for row in allowed.rows] == [str(rule.cause) for rule in RULES]
    assert [row["rule"] for row in allowed.rows if row["applies"]] == ["known_tag"]
    assert [row["rule"] for row in blocked.rows if row["applies"]] == ["blocked"]
    assert allowed.err == (
        "no inventory was ever loaded, so an unknown charger is not judged\nallowed: known_tag\n"
    )
    assert blocked.err.endswith("denied: blocked, UNAUTHORIZED_RFID_TAG_ID\n")
    assert unknown.err.endswith("denied: unknown_tag, UNKNOWN_RFID_TAG_ID\n")
    assert (unknown.code, invalid.code) == (0, 2)
    assert [files.tables.rows(table) for table in (TAGS, TAG_GROUPS, UNKNOWN_TAGS)] == before


@pytest.mark.parametrize(
    "arguments",
    [
        "tags show A",
        "tags block A",
        "tags unblock A",
        "tags rehash",
        "authorize CH A",
    ],
)
async def test_tags_cannot_be_named_without_the_key(files: Files, arguments: str) -> None:
    """A wrong key would name other rows: exit 2, and the setting is named."""
    files.settings["TAG_HASH_KEY"] = "short"

    ran = await files.run(*arguments.split())

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: setting_wrong: TAG_HASH_KEY has 5 characters")
