"""What is reached from where."""

from __future__ import annotations

from collections.abc import Iterator

from tests.infra.deployment import Deployment
from tests.infra.guards.frame import differences, guard


@guard
def closed_when_isolated(deployment: Deployment) -> Iterator[str]:
    """In a closed network, storage, vault and Premium Service Bus deny whoever is not named."""
    if not deployment.isolated:
        return
    yield from _open_stores(deployment)
    yield from _open_namespace(deployment)
    site = deployment.one("Microsoft.Web/sites")
    if "/subnets/app" not in str(site["properties"].get("virtualNetworkSubnetId")):
        yield f"{site['name']}: calls out past the network"
    yield from differences(site, {"scmIpSecurityRestrictionsDefaultAction": "Deny"}, "siteConfig")


def _open_stores(deployment: Deployment) -> Iterator[str]:
    for kind in ("Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"):
        for each in deployment.of(kind):
            rules = each["properties"]["networkAcls"]
            if rules["defaultAction"] != "Deny":
                yield f"{each['name']}: lets in whoever is not named"
            expires = deployment.place(each["id"]) == "the data account"
            bypass = "AzureServices" if expires else "None"
            if rules["bypass"] != bypass:
                yield f"{each['name']}: bypass is {rules['bypass']}, not {bypass}"
            open_to_some = each["properties"]["publicNetworkAccess"] == "Enabled"
            if open_to_some != bool(rules["ipRules"]):
                yield f"{each['name']}: is open to the internet without a list of addresses"


def _open_namespace(deployment: Deployment) -> Iterator[str]:
    namespace = deployment.one("Microsoft.ServiceBus/namespaces")
    if namespace["sku"]["name"] != "Premium":
        return
    rules = deployment.one("Microsoft.ServiceBus/namespaces/networkRuleSets")["properties"]
    if rules["defaultAction"] != "Deny" or rules["trustedServiceAccessEnabled"]:
        yield f"{namespace['name']}: lets in whoever is not named"
    open_to_some = namespace["properties"]["publicNetworkAccess"] == "Enabled"
    if open_to_some != bool(rules["ipRules"]):
        yield f"{namespace['name']}: is open to the internet without a list of addresses"


@guard
def reached_privately(deployment: Deployment) -> Iterator[str]:
    """In a closed network, each store has a private endpoint for each service that is used."""
    if not deployment.isolated:
        return
    found = {
        (
            deployment.place(link["properties"]["privateLinkServiceId"]),
            *link["properties"]["groupIds"],
        )
        for each in deployment.of("Microsoft.Network/privateEndpoints")
        for link in each["properties"]["privateLinkServiceConnections"]
    }
    expected = {
        ("the host's storage account", "blob"),
        ("the host's storage account", "queue"),
        ("the host's storage account", "table"),
        ("the data account", "blob"),
        ("the data account", "table"),
        ("the vault", "vault"),
    }
    if deployment.one("Microsoft.ServiceBus/namespaces")["sku"]["name"] == "Premium":
        expected.add(("the namespace", "namespace"))
    for what, service in sorted(found ^ expected):
        there = "is" if (what, service) in found else "is not"
        yield f"{what}: {service} {there} reached by a private endpoint"
    zones = deployment.of("Microsoft.Network/privateDnsZones")
    links = deployment.of("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    groups = deployment.of("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    if len(links) != len(zones) or len(groups) != len(found):
        yield "a private endpoint has no name in private DNS"


@guard
def callers_named(deployment: Deployment) -> Iterator[str]:
    """Callers named by address reach the app alone, but for the availability test on request."""
    site = deployment.one("Microsoft.Web/sites")
    config = site["properties"]["siteConfig"]
    rules = config["ipSecurityRestrictions"]
    tags = [rule["ipAddress"] for rule in rules if rule.get("tag") == "ServiceTag"]
    tested = deployment.one("Microsoft.Insights/webtests")["properties"]["Enabled"]
    if tags != (["ApplicationInsightsAvailability"] if rules and tested else []):
        yield f"{site['name']}: lets in {tags}"
    named = [rule["ipAddress"] for rule in rules if "tag" not in rule]
    expected = "Deny" if named else "Allow"
    yield from differences(site, {"ipSecurityRestrictionsDefaultAction": expected}, "siteConfig")
    if deployment.name in ("isolated", "sas") and "203.0.113.16/28" not in named:
        yield f"{site['name']}: eMabler's addresses are not among {named}"
