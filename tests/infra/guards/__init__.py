"""The promises of docs/security.md as checks on a deployment: each lists what breaks it."""

from tests.infra.guards import access, alerts, network, shape, stores, watch
from tests.infra.guards.access import expected_grants
from tests.infra.guards.frame import GUARDS, violations
from tests.infra.guards.watch import DIAGNOSED, NOT_DIAGNOSED

__all__ = [
    "DIAGNOSED",
    "GUARDS",
    "NOT_DIAGNOSED",
    "access",
    "alerts",
    "expected_grants",
    "network",
    "shape",
    "stores",
    "violations",
    "watch",
]
