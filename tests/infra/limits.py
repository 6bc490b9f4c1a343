"""What Azure allows in names, tags and times of alerts: facts that the compiler does not know.

Source: Azure's "Naming rules and restrictions for Azure resources", "Tag support for Azure
resources", "Create or edit a log search alert rule" and "Create or edit a metric alert rule".
"""

from __future__ import annotations

import re

NAME_RULES = {
    "Microsoft.Authorization/roleAssignments": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Authorization/roleDefinitions": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Insights/actionGroups": r"[^:<>+/&%\\?|]{1,259}[^:<>+/&%\\?|. ]",
    "Microsoft.Insights/metricAlerts": r"[^*#&+:<>?@%{}\\/|]{1,259}[^*#&+:<>?@%{}\\/|. ]",
    # A rule with an identity has no semicolon in its name.
    "Microsoft.Insights/scheduledQueryRules": r"[^*<>%{}&:\\?/#|;]{1,259}[^*<>%{}&:\\?/#|;. ]",
    "Microsoft.Insights/webtests": r"[^%&\\?/]{1,259}[^%&\\?/. ]",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,259}[^%&\\?/. ]",
    "Microsoft.Insights/workbooks": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.KeyVault/vaults": r"(?=.{3,24}$)[A-Za-z](?:-?[A-Za-z0-9])+",
    "Microsoft.KeyVault/vaults/secrets": r"[A-Za-z0-9-]{1,127}",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
    "Microsoft.Network/natGateways": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/networkSecurityGroups": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/privateDnsZones": r"[a-z0-9.-]{1,63}",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/privateEndpoints": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Microsoft.Network/publicIPAddresses": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Resources/resourceGroups": r"[\w().-]{0,89}[\w()-]",
    "Microsoft.ServiceBus/namespaces": (
        r"(?!.*-(?:sb|mgmt)$)[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]"
    ),
    "Microsoft.ServiceBus/namespaces/queues": r"[A-Za-z0-9][A-Za-z0-9._/-]{0,258}[A-Za-z0-9]",
    "Microsoft.ServiceBus/namespaces/queues/authorizationRules": r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": (
        r"(?=.{3,63}$)[a-z0-9](?:-?[a-z0-9])+"
    ),
    "Microsoft.Storage/storageAccounts/tableServices/tables": r"[A-Za-z][A-Za-z0-9]{2,62}",
    "Microsoft.Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    "Microsoft.Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]",
}
"""The pattern of the last part of a name, by type."""

UNTAGGED = {
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.ServiceBus/namespaces/networkRuleSets",
    "Microsoft.ServiceBus/namespaces/queues",
    "Microsoft.ServiceBus/namespaces/queues/authorizationRules",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies",
    "Microsoft.Storage/storageAccounts/managementPolicies",
    "Microsoft.Storage/storageAccounts/queueServices",
    "Microsoft.Storage/storageAccounts/tableServices",
    "Microsoft.Storage/storageAccounts/tableServices/tables",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    "Microsoft.Web/sites/config",
}
"""Types that take no tags."""

QUERY_ALERT_FREQUENCIES = {
    *("PT1M", "PT5M", "PT10M", "PT15M", "PT30M", "PT45M"),
    *("PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H", "P1D"),
}
"""How often Azure evaluates a query alert: one of these."""

QUERY_ALERT_WINDOWS = QUERY_ALERT_FREQUENCIES | {"P2D"}
"""How much time a query alert looks at: one of these, no less than its frequency."""

LONGEST_RESOLVING_MINUTES = 12 * 60
"""A query alert that is evaluated less often than this cannot resolve by itself."""

NOT_IN_ALERTS = ("bag_unpack", "pivot", "narrow", "AggregatedValue")
"""What a query alert's query may not hold."""

MOST_BYTES_OF_AN_ALERT = 64 * 1024
"""All properties of a query alert together."""

METRIC_ALERT_FREQUENCIES = {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H"}
"""How often Azure evaluates a metric alert: one of these."""

METRIC_ALERT_WINDOWS = METRIC_ALERT_FREQUENCIES | {"PT6H", "PT12H", "P1D"}
"""How much time a metric alert looks at: one of these, no less than its frequency."""

SEVERITIES = range(5)
"""0 critical, 1 error, 2 warning, 3 informational, 4 verbose."""

AVAILABILITY_PLACES = {
    # Names of the places that availability tests call from, and the regions that these are.
    "apac-hk-hkn-azr": "East Asia",
    "apac-jp-kaw-edge": "Japan East",
    "apac-sg-sin-azr": "Southeast Asia",
    "emea-au-syd-edge": "Australia East",
    "emea-ch-zrh-edge": "France South",
    "emea-fr-pra-edge": "France Central",
    "emea-gb-db3-azr": "North Europe",
    "emea-nl-ams-azr": "West Europe",
    "emea-ru-msa-edge": "UK South",
    "emea-se-sto-edge": "UK West",
    "latam-br-gru-edge": "Brazil South",
    "us-ca-sjc-azr": "West US",
    "us-fl-mia-edge": "Central US",
    "us-il-ch1-azr": "North Central US",
    "us-tx-sn1-azr": "South Central US",
    "us-va-ash-azr": "East US",
}


def minutes_of(duration: str) -> int:
    """An ISO 8601 duration of days, hours and minutes, in minutes.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", duration)
    if match is None or not any(match.groups()):
        raise ValueError(duration)
    days, hours, minutes = (int(each or 0) for each in match.groups())
    return (days * 24 + hours) * 60 + minutes
