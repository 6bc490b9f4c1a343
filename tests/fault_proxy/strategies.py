"""Calls and rules, drawn."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from local.errors import LocalError
from local.fault_proxy.requests import SERVICES, Call, Kind, KindName
from local.fault_proxy.rules import CODES, FAULTS, Rule, read_rule

NAMES = ("events", "sessions", "chargers")

calls = st.builds(
    Call,
    service=st.sampled_from(SERVICES),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    kind=st.sampled_from(get_args(Kind.__value__)),
    name=st.sampled_from([None, *NAMES]),
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule that makes sense, with any of the parts that its fault takes."""
    fault = draw(st.sampled_from(FAULTS))
    parts: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {"fault": st.just(fault)},
            optional={
                "service": st.sampled_from(SERVICES),
                "table": st.sampled_from(NAMES),
                "method": st.sampled_from(["GET", "POST"]),
                "kind": st.lists(
                    st.sampled_from(get_args(KindName.__value__)), min_size=1, max_size=2
                ),
                "nth": st.lists(st.integers(1, 30), min_size=1, max_size=3),
                "rate": st.floats(0.01, 1),
                "count": st.integers(1, 5),
                "seconds": st.floats(0, 100),
                "before": st.sampled_from(["forwarding", "answering"]),
                "retry_after": st.integers(0, 60),
                "code": st.sampled_from(CODES.get(fault, ("InternalError",))),
                "inside": st.booleans(),
                "how": st.sampled_from(["refuse", "reset"]),
            },
        )
    )
    # Parts that do not go together are left out one by one until the rest makes sense.
    for part in ("", "nth", "service", "kind", "before", "retry_after", "how", "seconds", "code"):
        parts.pop(part, None)
        try:
            return read_rule(parts)
        except LocalError:
            continue
    return read_rule({"fault": fault})
