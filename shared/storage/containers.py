"""The names of all blob containers, each private."""

BODIES = "bodies"
"""Bodies of messages that are too large for a row."""

SNAPSHOTS = "snapshots"
"""What a worker keeps at hand for the time when the tables are away."""

ALL_CONTAINERS = (BODIES, SNAPSHOTS)
