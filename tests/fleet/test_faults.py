"""The table of faults, how rates are written, and where the table is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.emabler.fleet.faults import FAULTS, Rates, Setting, describe
from local.errors import LocalError

CHECKOUT = Path(__file__).resolve().parents[2]


def on(rates: Rates) -> dict[str, Setting]:
    return {name: setting for name, setting in rates.shown().items() if setting.rate}


def test_rates_are_read_as_they_are_written() -> None:
    """A list names faults with rates and hours; what it does not name is off."""
    rates = Rates.read("lost=0.5, late=0.1@6h-9.5h,stop_twice")

    assert on(rates) == {
        "lost": Setting(0.5, (0, 24)),
        "late": Setting(0.1, (6, 9.5)),
        "stop_twice": Setting(FAULTS["stop_twice"].rate, (0, 24)),
    }
    assert rates.rate("late", 7) == 0.1
    assert rates.rate("late", 9.5) == 0


def test_off_and_default_stand_for_whole_lists() -> None:
    """`off` is no fault, `default` is the table's own rates, and both can be added to."""
    assert on(Rates.read("off")) == {}
    assert on(Rates.read("")) == {}
    assert on(Rates.read("default")).keys() == {f.name for f in FAULTS.values() if f.rate}
    assert Rates.read("default,lost=1").shown()["lost"].rate == 1


def test_rates_change_while_they_are_used() -> None:
    """A change touches what it names; `off` first ends the others."""
    rates = Rates.read("lost=0.1,late=0.1")
    rates.change("lost=0.3")
    assert on(rates).keys() == {"lost", "late"}
    rates.change("off,repeated=1")
    assert on(rates).keys() == {"repeated"}


@pytest.mark.parametrize(
    "text",
    [
        "lots",
        "lost=2",
        "lost=a",
        "lost=1.2.3",
        "late=0.1@9h-6h",
        "clock_wrong=1@1h-2h",
        "late@6h",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """A mistake is one line that names it, not a fault that never strikes."""
    with pytest.raises(LocalError, match="usage_wrong"):
        Rates.read(text)


def test_help_names_each_fault() -> None:
    """What `--help` prints is the table: name, default, what it strikes and does."""
    lines = describe().splitlines()[2:]

    assert [line.split()[0] for line in lines] == list(FAULTS)
    assert all(fault.does in line for fault, line in zip(FAULTS.values(), lines, strict=True))


def test_the_documentation_has_the_table() -> None:
    """docs/local-azure.md has one row for each fault, as the table says it, and no other."""
    text = (CHECKOUT / "docs" / "local-azure.md").read_text(encoding="utf-8")
    section = text.partition("### What goes wrong in the fleet")[2].partition("\n## ")[0]
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if re.match(r"\| `\w+`", line)
    ]

    assert found == [
        [f"`{fault.name}`", shown_rate(fault.name), fault.does, fault.store]
        for fault in FAULTS.values()
    ]


def shown_rate(name: str) -> str:
    fault = FAULTS[name]
    if not fault.rate:
        return "off"
    hours = fault.hours if fault.hours and fault.hours != (0, 24) else None
    limited = f", hours {hours[0]:g} to {hours[1]:g}" if hours else ""
    return f"{fault.rate:.0%} of {fault.strikes}s{limited}"
