"""Where reconciliation keeps what it knows."""

PARTITION = "reconciliation"
"""The one partition of its table: all that one transaction can hold beside the lease's row."""
