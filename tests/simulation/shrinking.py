"""The shortest history that still ends badly: the fewest events, workers and kinds of fault."""

from __future__ import annotations

from random import Random

from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from tests.simulation.ingestion import Conditions, Take, simulate
from tests.simulation.store import Faults

SEEDS = st.integers(0, 2**32)
_CHANCES = st.sampled_from([0.0, 0.02, 0.05])
CONDITIONS = st.builds(
    Conditions,
    workers=st.integers(1, 4),
    most_events=st.integers(1, 20),
    faults=st.builds(
        Faults,
        busy=_CHANCES,
        lost_answer=_CHANCES,
        own_row=_CHANCES,
        late=_CHANCES,
        stop=st.sampled_from([0.0, 0.01]),
        freeze=st.sampled_from([0.0, 0.005]),
    ),
    outages=st.booleans(),
    sleepers=st.booleans(),
)


def _story(take: Take, seed: int, conditions: Conditions) -> str | None:
    try:
        simulate(Random(seed), conditions, take=take)
    except AssertionError as error:
        return str(error)
    return None


def shortest(take: Take) -> str | None:
    """The story of the shortest history that ends badly, and what it took; None where none did."""
    try:
        seed, conditions = find(
            st.tuples(SEEDS, CONDITIONS),
            lambda drawn: _story(take, *drawn) is not None,
            settings=settings(
                max_examples=300, database=None, phases=[Phase.generate, Phase.shrink]
            ),
            random=Random(1),
        )
    except NoSuchExample:
        return None
    return f"seed {seed}, {conditions}\n{_story(take, seed, conditions)}"
