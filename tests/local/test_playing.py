"""What demo and proofs play with: messages, settings, the operator's files."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.commands import local_settings
from local.commands.claims import CLAIMS, messages
from local.commands.playing import telling
from local.commands.playing.operator import app_settings_of, without_app_settings
from local.emabler.fleet.expected import Expected
from local.errors import LocalError

CHECKOUT = Path(__file__).resolve().parents[2]
type Row = dict[str, Any]


def test_messages_of_proofs_are_tallied() -> None:
    """Of the messages sent, those missing, doubled and never sent are counted."""
    bodies = messages.states("A", 20) + messages.sessions("B", 5)
    rows: list[Row] = [
        {"type": kind, "charger": charger, "instant": instant.isoformat()}
        for kind, charger, instant in map(messages.name_of, bodies)
    ]

    assert len({messages.name_of(body) for body in bodies}) == 30
    assert messages.tally(bodies, rows) == (0, 0, 0)
    assert messages.tally(bodies, [*rows[2:], rows[5]]) == (2, 1, 0)
    assert messages.tally(bodies[1:], rows) == (0, 0, 1)


def test_what_is_not_counted_exactly_is_not_told_as_if_it_were() -> None:
    """Where one invocation counts at most and at least, so do the sums of the day."""

    def told(exact: tuple[bool, ...]) -> str:
        out = StringIO()
        nothing = Expected(sessions=(), sockets=(), taps=(), events=(), parked={})
        wide = [
            {"function": "ingest_push_events", "stored": 2, "repeated": 1, "counts_exact": each}
            for each in exact
        ]
        telling.day(Console(file=out, width=40), nothing, wide)
        return out.getvalue()

    assert "The app says: 4 events stored, 2 repeats, parked: none" in told((True, True))
    assert "The app says: at most 4 events stored, at least 2 repeats" in told((True, False))


def test_each_claim_stands_in_the_promises() -> None:
    """A claim proves a sentence of docs/promises.md, which names the command that proves it."""
    page = (CHECKOUT / "docs" / "promises.md").read_text(encoding="utf-8")
    for claim in CLAIMS:
        assert claim.sentence in page
        assert f"prove {claim.name}" in page


def test_app_settings_are_told_from_the_environment() -> None:
    """A setting, with or without an identity's suffix, is the app's; anything else stays."""
    environ = {
        "PATH": "/bin",
        "EMABLER_API_KEY": "secret",
        "DataStorageConnection__tableServiceUri": "https://real",
        "EMABLER_API_KEYS": "no setting",
    }

    assert app_settings_of(environ).keys() == {
        "EMABLER_API_KEY",
        "DataStorageConnection__tableServiceUri",
    }
    assert without_app_settings(environ).keys() == {"PATH", "EMABLER_API_KEYS"}


def test_a_settings_file_of_the_users_takes_part(tmp_path: Path) -> None:
    """Its values count, but for those that leave the choice to an emulator."""
    path = tmp_path / "local.settings.json"
    path.write_text(
        '\ufeff{"Values": {"STORE_BUCKETS": 8, "TAG_HASH_KEY": "",'
        ' "AzureWebJobsStorage": "UseDevelopmentStorage=true",'
        ' "ServiceBusConnection": "Endpoint=sb://x;UseDevelopmentEmulator=true;"}}',
        encoding="utf-8",
    )

    read = local_settings.read(path)

    assert read.users_own
    assert read.values == {"STORE_BUCKETS": "8"}


def test_a_settings_file_of_ours_is_known_again(tmp_path: Path) -> None:
    """What was written here is no user's file; a missing one is none either."""
    path = tmp_path / "local.settings.json"
    assert not local_settings.read(path).users_own
    local_settings.write(path, {"A": "1"}, port=7071)

    read = local_settings.read(path)

    assert not read.users_own
    assert read.values == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"Values": []}'])
def test_a_settings_file_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    """A broken file is an error with its code, not a traceback, and not silently skipped."""
    path = tmp_path / "local.settings.json"
    path.write_text(text)
    with pytest.raises(LocalError, match=r"setting_wrong: local\.settings\.json"):
        local_settings.read(path)
