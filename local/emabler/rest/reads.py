"""All documented reads."""

from local.emabler.habits import Habits
from local.emabler.operations import Operation
from local.emabler.rest.chargers import chargers
from local.emabler.rest.ongoing import ongoing_transactions
from local.emabler.rest.push_integrations import push_integrations
from local.emabler.rest.tags import tags
from local.emabler.rest.transactions import transactions


def all_reads(habits: Habits) -> list[Operation]:
    """Give every documented read, following the habits."""
    return [
        transactions("v2", habits),
        transactions("v3", habits),
        ongoing_transactions(habits),
        chargers(),
        tags(),
        *push_integrations(),
    ]
