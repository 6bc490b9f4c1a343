"""The decode benchmark compares what does the same: its baseline reads what the product reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.decode import __main__ as bench
from benchmarks.decode import load
from shared.push.decode import decode
from shared.push.events import Generation, type_name
from tests import payloads


@pytest.mark.parametrize("make", [load.current, load.older])
def test_both_find_the_same_digests(make: Any) -> None:
    """Over the whole load, before anything is measured."""
    assert bench.differing(make(2)) == []


def test_a_difference_is_found() -> None:
    """A message that the baseline cannot read as the product does stops the benchmark."""
    infinite = payloads.measurements(measurements=[{"value": "1_0"}])

    assert bench.differing([payloads.state_v2(), infinite]) == [infinite]


@pytest.mark.parametrize("shape", payloads.ALL_SHAPES)
def test_the_baseline_reads_each_documented_shape(shape: str) -> None:
    """It is no model of the load alone."""
    assert bench.differing([payloads.ALL_SHAPES[shape]()]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"deviceTimeStamp": "yesterday"},
        {"deviceTimeStamp": "1970-01-01T00:00:00Z"},
        {"siteId": 77, "socketId": "1", "message": "  ", "errorCode": ""},
        {"chargerId": 7, "newField": [1]},
    ],
)
def test_the_baseline_is_as_tolerant(changes: dict[str, Any]) -> None:
    """Unreadable and implausible times, numbers for texts and blanks cost it what they cost us."""
    assert bench.differing([payloads.state_v2(**changes)]) == []


def test_the_loads_are_of_their_generations() -> None:
    """The first row measures the current generation, the second one the two before it."""
    current = [decode(body) for body in load.current(1)]
    older = [decode(body) for body in load.older(1)]

    # Meter values are documented in one older generation only.
    assert {each.generation for each in current} == {Generation.V2}
    assert {each.generation for each in older} == {Generation.V1, Generation.V2_2025_04}
    for events in (current, older):
        names = [type_name(each) for each in events]
        assert names.count("Measurements") == 70
        assert names.count("ChargerState") == 20


def test_the_load_is_written_without_blanks() -> None:
    """As .NET writes JSON; texts of the load hold none themselves but for a v1 error code."""
    for body in load.current(1):
        assert body == json.dumps(json.loads(body), separators=(",", ":")).encode()


@pytest.mark.parametrize(("floor", "code", "verdict"), [(0.0, 0, "passed"), (1e6, 1, "MISSED")])
def test_a_missed_floor_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    floor: float,
    code: int,
    verdict: str,
) -> None:
    """The exit code says so, and each generation has its verdict."""
    monkeypatch.setattr(bench, "FLOOR", floor)

    assert bench.run(rounds=2, batches=1) == code
    assert capsys.readouterr().out.count(verdict) == len(bench.LOADS)


def test_readings_that_differ_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is measured that does not do the same."""
    monkeypatch.setattr(bench, "pydantic", lambda _: "another digest")

    assert bench.run(rounds=1, batches=1) == 1
    assert "100 of 100 digests differ" in capsys.readouterr().out
