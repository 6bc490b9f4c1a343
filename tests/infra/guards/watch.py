"""What is logged, for how long, and for how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.infra.deployment import DIAGNOSTICS, Deployment
from tests.infra.guards.frame import guard

DIAGNOSED: Mapping[str, tuple[set[str], set[str]]] = {
    # Type: logs (categories or groups of them) and metrics that go to the workspace.
    "Microsoft.OperationalInsights/workspaces": ({"audit"}, {"AllMetrics"}),
    "Microsoft.KeyVault/vaults": ({"allLogs"}, {"AllMetrics"}),
    "Microsoft.Storage/storageAccounts": (set(), {"Transaction"}),
    "Microsoft.Storage/storageAccounts/blobServices": (
        {"StorageRead", "StorageWrite", "StorageDelete"},
        {"Transaction"},
    ),
    "Microsoft.Storage/storageAccounts/queueServices": (
        {"StorageRead", "StorageWrite", "StorageDelete"},
        {"Transaction"},
    ),
    "Microsoft.Storage/storageAccounts/tableServices": (
        {"StorageWrite", "StorageDelete"},
        {"Transaction"},
    ),
    "Microsoft.ServiceBus/namespaces": ({"allLogs"}, {"AllMetrics"}),
    "Microsoft.Web/serverfarms": (set(), {"AllMetrics"}),
    "Microsoft.Web/sites": ({"FunctionAppLogs"}, {"AllMetrics"}),
    "Microsoft.Network/virtualNetworks": ({"allLogs"}, {"AllMetrics"}),
    "Microsoft.Network/networkSecurityGroups": ({"allLogs"}, set()),
    "Microsoft.Network/publicIPAddresses": ({"allLogs"}, {"AllMetrics"}),
}

NOT_DIAGNOSED = {
    # Type: why it has no diagnostic setting of its own.
    "Microsoft.Insights/actionGroups": "what it sends is in the activity log",
    "Microsoft.Insights/components": "what it takes is in the workspace already",
    "Microsoft.Insights/metricAlerts": "what fires is in the subscription's alerts",
    "Microsoft.Insights/scheduledQueryRules": "what fires is in the subscription's alerts",
    "Microsoft.Insights/webtests": "its results are in the component",
    "Microsoft.Insights/workbooks": "shows what is in the workspace, and has no logs",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "its sign-ins are in Entra's logs",
    "Microsoft.Network/natGateways": "has metrics only, and those without a setting",
    "Microsoft.Network/privateDnsZones": "has no logs",
    "Microsoft.Network/privateEndpoints": "has no logs",
    "Microsoft.Resources/resourceGroups": "is in the subscription's activity log",
}


@guard
def all_is_watched(deployment: Deployment) -> Iterator[str]:
    """Each resource sends its logs and metrics to the workspace; reads of tables stay unlogged."""
    settings = {
        each["id"].partition(DIAGNOSTICS)[0]: each["properties"]
        for each in deployment.of("Microsoft.Insights/diagnosticSettings")
    }
    for each in deployment.resources:
        known = DIAGNOSED.get(each["type"])
        if known is None:
            if each["type"].count("/") == 1 and not _needs_no_setting(each["type"]):
                yield f"{each['type']}: nothing is said of its diagnostics"
            continue
        found = settings.get(each["id"])
        if found is None:
            yield f"{each['name']} ({each['type']}) has no diagnostic setting"
            continue
        if "/workspaces/log-" not in found["workspaceId"]:
            yield f"{each['name']}: diagnostics go elsewhere"
        logs = {
            log.get("category") or log.get("categoryGroup")
            for log in found.get("logs", [])
            if log["enabled"]
        }
        metrics = {log["category"] for log in found.get("metrics", []) if log["enabled"]}
        if (logs, metrics) != known:
            yield f"{each['name']} ({each['type']}) sends {sorted(logs)} and {sorted(metrics)}"


def _needs_no_setting(kind: str) -> bool:
    return kind in NOT_DIAGNOSED or kind.startswith(
        ("Microsoft.Authorization/", "Microsoft.Insights/diagnosticSettings")
    )


@guard
def logs_end(deployment: Deployment) -> Iterator[str]:
    """Logs are kept for a stated time, and a day's logs cost no more than stated."""
    properties = deployment.one("Microsoft.OperationalInsights/workspaces")["properties"]
    if not 30 <= properties.get("retentionInDays", 0) <= 730:
        yield "the workspace has no retention"
    if not 1 <= properties.get("workspaceCapping", {}).get("dailyQuotaGb", 0) <= 1000:
        yield "the workspace has no daily cap"
