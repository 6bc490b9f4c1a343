"""The names of all blob containers, each private."""

BODIES = "bodies"
"""Bodies of messages that are too large for a row."""

SNAPSHOTS = "snapshots"
"""What a worker keeps at hand for the time when the tables are away."""

BACKUPS = "backups"
"""The tables of record as files, a manifest for each backup, the erasures that restores apply."""

ALL_CONTAINERS = (BODIES, SNAPSHOTS, BACKUPS)
