"""Examples of each command, as its `--help` shows them: what follows `python manage.py`."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "doctor": ("doctor", "doctor --env azd"),
    "smoke": (
        "smoke --env azd",
        "smoke --url http://localhost:7071/api/emabler/push",
        "smoke --clean 20261126T140500-1a2b",
    ),
    "events list": (
        "events list --charger CH-0042 --from 2026-11-01 --to 2026-11-30",
        "events list --type FullChargingTransaction --limit 20 --json",
    ),
    "sessions list": (
        "sessions list --state open",
        "sessions list --finding any --from 2026-11-01 --json",
    ),
    "sessions show": (
        "sessions show CH-0042 1032427936",
        "sessions show CH-0042 -1",
    ),
    "sessions export": (
        "sessions export --format parquet --output sessions.parquet",
        "sessions export --from 2026-11-01 --to 2026-11-30 > november.csv",
    ),
    "chargers list": ("chargers list", "chargers list --charger CH-0042 --json"),
    "chargers refresh": ("chargers refresh", "chargers refresh --believe"),
    "parked list": (
        "parked list --reason bad_field --from 2026-11-01",
        "parked list --type ChargingTransaction --charger CH-0042",
    ),
    "parked show": ("parked show 3f9ac2",),
    "parked replay": (
        "parked replay --reason bad_field --dry-run",
        'parked replay --digest 3f9ac2 --yes --as "ticket 4711"',
    ),
    "parked discard": (
        'parked discard --digest 3f9ac2 --because "a test of ours"',
        'parked discard --reason not_json --because "ticket 4711" --delete-body --dry-run',
    ),
    "parked collect": ("parked collect --dry-run", "parked collect --limit 1000"),
    "tags import": (
        "tags import tags.csv --dry-run",
        "tags import --from-emabler",
    ),
    "tags export": ("tags export tags.csv", "tags export - | head"),
    "tags list": ("tags list --blocked", "tags list --group fleet --json"),
    "tags show": ("tags show 04A2B1C3",),
    "tags block": ("tags block 04A2B1C3", "tags block 04A2B1C3 04:A2:24:7B"),
    "tags unblock": ("tags unblock 04A2B1C3",),
    "tags unknown": (
        "tags unknown --charger CH-0042 --from 2026-11-01",
        "tags unknown --forget",
    ),
    "tags rehash": ("tags rehash",),
    "groups import": ("groups import groups.csv --dry-run",),
    "groups export": ("groups export groups.csv", "groups export -"),
    "groups list": ("groups list", "groups list --json"),
    "groups show": ("groups show fleet",),
    "groups block": ("groups block fleet",),
    "groups unblock": ("groups unblock fleet",),
    "authorize": ("authorize CH-0042 04A2B1C3",),
    "reconcile": (
        "reconcile",
        "reconcile --from 2026-11-01 --to 2026-11-07 --dry-run",
    ),
    "runs list": ("runs list --limit 5", "runs list --from 2026-11-01 --json"),
    "windows list": ("windows list", "windows list --each --from 2026-11-01"),
    "findings list": (
        "findings list --state open",
        "findings list --class answer_wrong --charger CH-0042",
    ),
    "findings show": ("findings show 3f9ac2",),
    "findings resolve": (
        'findings resolve --id 3f9ac2 --note "mended in eMabler"',
        'findings resolve --charger CH-0042 --note "ticket 4711" --dry-run',
    ),
    "findings export": (
        "findings export --state open --output findings.csv",
        "findings export --format parquet --output findings.parquet",
    ),
    "privacy export": (
        "privacy export 04A2B1C3 --output person.jsonl",
        "privacy export - < tag.txt",
    ),
    "privacy erase": (
        "privacy erase 04A2B1C3 --dry-run",
        'privacy erase - --as "ticket 4711"',
    ),
    "rebuild": ("rebuild --dry-run", "rebuild --charger CH-0042 --from 2026-11-01"),
    "backup take": ("backup take",),
    "backup list": ("backup list",),
    "backup restore": (
        "backup restore --compare",
        "backup restore 20261126T190307Z --beside restored",
    ),
    "store create": ("store create", "store create --env azd"),
}


def shown(command: str, below: str | None = None) -> str:
    """What stands below the help of a command: its examples, and below them what it has itself."""
    lines = (f"  python manage.py {example}" for example in EXAMPLES[command])
    return "\n".join(["examples:", *lines, *(["", below] if below else [])])
