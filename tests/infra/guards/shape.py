"""Tags, names, and how the app runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.infra.deployment import Deployment
from tests.infra.guards.frame import guard
from tests.infra.limits import NAME_RULES, UNTAGGED


@guard
def tagged(deployment: Deployment) -> Iterator[str]:
    """Everything that can carry tags names its environment, and the app what azd deploys to it."""
    for each in deployment.resources:
        if each["type"] in UNTAGGED:
            continue
        if not each.get("tags", {}).get("azd-env-name"):
            yield f"{each['name']} ({each['type']}) has no tags"
    if deployment.one("Microsoft.Web/sites")["tags"].get("azd-service-name") != "functions":
        yield "the app does not say which service of azure.yaml it is"


@guard
def names_fit(deployment: Deployment) -> Iterator[str]:
    """Each name has the length and characters that its service allows."""
    for each in deployment.resources:
        rule = NAME_RULES.get(each["type"])
        name = each["name"].rpartition("/")[2]
        if rule is None:
            if not re.search(r"/(?:default|appsettings|ftp|scm|to-workspace)$", f"/{each['name']}"):
                yield f"{each['type']}: no rule for its names is known"
        elif not each["name"].startswith("[") and not re.fullmatch(rule, name):
            yield f"{name}: no name for {each['type']}"


READY = {"http", "function:ingest_push_events"}
"""What instances can be kept ready for, as Azure names it."""


REFUSED_BY_FLEX = {
    "ftpsState",
    "functionsRuntimeScaleMonitoringEnabled",
    "netFrameworkVersion",
    "use32BitWorkerProcess",
}
"""Site properties that newer regions refuse with an error that names them
(microsoft/azure-pipelines-tasks, issue 21032)."""


@guard
def plan_is_flex(deployment: Deployment) -> Iterator[str]:
    """The app runs on Flex Consumption with Python 3.13, its package read with its identity."""
    plan, site = deployment.one("Microsoft.Web/serverfarms"), deployment.one("Microsoft.Web/sites")
    if plan["sku"] != {"name": "FC1", "tier": "FlexConsumption"}:
        yield f"{plan['name']}: is {plan['sku']}"
    config = site["properties"]["functionAppConfig"]
    if config["runtime"] != {"name": "python", "version": "3.13"}:
        yield f"{site['name']}: runs on {config['runtime']}"
    if refused := REFUSED_BY_FLEX & site["properties"]["siteConfig"].keys():
        yield f"{site['name']}: Flex Consumption refuses {', '.join(sorted(refused))}"
    scale = config["scaleAndConcurrency"]
    ready = {each["name"]: each["instanceCount"] for each in scale["alwaysReady"]}
    least = 2 if plan["properties"]["zoneRedundant"] else 1
    if "http" not in ready or set(ready) - READY or min(ready.values()) < least:
        yield f"{site['name']}: {ready} are always ready"
    if scale["instanceMemoryMB"] not in (512, 2048, 4096):
        yield f"{site['name']}: no instance has {scale['instanceMemoryMB']} MB"
    if not 40 <= scale["maximumInstanceCount"] <= 1000:
        yield f"{site['name']}: at most {scale['maximumInstanceCount']} instances"
    if config["deployment"]["storage"]["authentication"]["type"] != "UserAssignedIdentity":
        yield f"{site['name']}: reads its package with a key"
    if (
        site["identity"]["type"] != "UserAssigned"
        or len(site["identity"]["userAssignedIdentities"]) != 1
    ):
        yield f"{site['name']}: has not exactly one identity"
