"""Who gets in, with what, and what they may do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from shared.storage.containers import ALL_CONTAINERS
from shared.storage.tables import ALL_TABLES
from tests.infra.deployment import Deployment, Grant
from tests.infra.guards.frame import differences, guard

REQUIRED_SECRETS = {"emabler-api-key", "tag-hash-key", "webhook-authorization"}


@guard
def keys_off(deployment: Deployment) -> Iterator[str]:
    """Shared keys and local authentication are off; only Entra's identities get in."""
    for account in deployment.of("Microsoft.Storage/storageAccounts"):
        yield from differences(
            account,
            {
                "allowSharedKeyAccess": False,
                "defaultToOAuthAuthentication": True,
                "isLocalUserEnabled": False,
                "isSftpEnabled": False,
            },
        )
    yield from differences(
        deployment.one("Microsoft.Insights/components"), {"DisableLocalAuth": True}
    )
    workspace = deployment.one("Microsoft.OperationalInsights/workspaces")
    yield from differences(workspace, {"disableLocalAuth": True}, "features")
    vault = deployment.one("Microsoft.KeyVault/vaults")
    yield from differences(vault, {"enableRbacAuthorization": True})
    if vault["properties"].get("accessPolicies"):
        yield f"{vault['name']}: has access policies"


@guard
def keys_read_once(deployment: Deployment) -> Iterator[str]:
    """A key is read in one place: the sender's, on its way into the vault, and with `sas` only."""
    allowed = {
        each["id"]
        for each in deployment.of("Microsoft.KeyVault/vaults/secrets")
        if each["name"].endswith("/emabler-service-bus")
    }
    for each in deployment.resources:
        text = json.dumps(each)
        if re.search(r"\blist\w*\(", text) and each["id"] not in allowed:
            yield f"{each['name']}: reads a key"
        if "RootManageSharedAccessKey" in text:
            yield f"{each['name']}: uses the namespace's root rule"
    if re.search(r"\blist\w*\(", json.dumps(deployment.outputs)):
        yield "an output reads a key"


@guard
def sender_sends_only(deployment: Deployment) -> Iterator[str]:
    """The sender's rule can only send, to the queue; without it no key of the namespace works."""
    rules = deployment.of("Microsoft.ServiceBus/namespaces/queues/authorizationRules")
    for rule in rules:
        yield from differences(rule, {"rights": ["Send"]})
    if deployment.of("Microsoft.ServiceBus/namespaces/authorizationRules"):
        yield "there is a rule on the whole namespace"
    namespace = deployment.one("Microsoft.ServiceBus/namespaces")
    yield from differences(namespace, {"disableLocalAuth": not rules})


@guard
def no_passwords_for_deploying(deployment: Deployment) -> Iterator[str]:
    """Basic publishing credentials, which FTP needs too, and remote debugging are off."""
    site = deployment.one("Microsoft.Web/sites")
    yield from differences(site, {"remoteDebuggingEnabled": False}, "siteConfig")
    policies = deployment.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    for policy in policies:
        yield from differences(policy, {"allow": False})
    if {each["name"].rpartition("/")[2] for each in policies} != {"ftp", "scm"}:
        yield f"{site['name']}: basic publishing is not turned off for both ftp and scm"


@guard
def secrets_by_reference(deployment: Deployment) -> Iterator[str]:
    """No setting and no output holds a secret: the app is given addresses in the vault."""
    for name, value in deployment.app_settings.items():
        if "parameters('" in value or "made up" in value:
            yield f"the setting {name} holds a secret"
        if re.search(r"KEY$|AUTHORIZATION(?:_PREVIOUS)?$|PASSWORD|SECRET", name) and not re.match(
            r"\[format\('@Microsoft\.KeyVault\(SecretUri=\{0\}secrets/", value
        ):
            yield f"the setting {name} is no reference to the vault"
    for name, value in deployment.outputs.items():
        if "parameters('" in str(value) or "made up" in str(value):
            yield f"the output {name} holds a secret"
    for secret in deployment.of("Microsoft.KeyVault/vaults/secrets"):
        if not re.match(r"\[(?:parameters\('|listKeys\()", secret["properties"]["value"]):
            yield f"{secret['name']}: stands in the template in clear"


@guard
def vault_keeps(deployment: Deployment) -> Iterator[str]:
    """What is deleted from the vault can be brought back for 90 days, and nobody can purge it."""
    yield from differences(
        deployment.one("Microsoft.KeyVault/vaults"),
        {
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 90,
            "enablePurgeProtection": True,
            "enabledForDeployment": False,
            "enabledForDiskEncryption": False,
            "enabledForTemplateDeployment": False,
        },
    )


@guard
def secrets_end(deployment: Deployment) -> Iterator[str]:
    """A secret of the template has an end, with notice; only emabler-service-bus has none."""
    for secret in deployment.of("Microsoft.KeyVault/vaults/secrets"):
        # It holds a key of the queue, and each deployment writes it anew.
        follows_its_key = secret["name"].endswith("/emabler-service-bus")
        if not follows_its_key and not secret["properties"].get("attributes", {}).get("exp"):
            yield f"{secret['name']}: has no end"


def expected_grants(deployment: Deployment) -> set[Grant]:
    """The roles of docs/security.md, table by table and secret by secret."""
    people = [] if deployment.name == "sas" else ["operators"]
    secrets = REQUIRED_SECRETS | {
        name.lower().replace("_", "-")
        for name in ("KAFKA_PASSWORD", "TAG_HASH_KEY_PREVIOUS", "WEBHOOK_AUTHORIZATION_PREVIOUS")
        if name in deployment.app_settings
    }
    grants = {
        Grant("the app", "Storage Blob Data Owner", "the host's storage account"),
        Grant("the app", "Azure Service Bus Data Receiver", "the queue"),
        Grant("the app", "Azure Service Bus Data Sender", "the queue"),
        Grant("the app", "the counts reader", "the namespace"),
        Grant("the app", "Monitoring Metrics Publisher", "the component"),
        Grant("the query alerts", "Log Analytics Reader", "the workspace"),
        *(Grant("the app", "Key Vault Secrets User", f"secret {secret}") for secret in secrets),
    }
    for who in ("the app", *people):
        grants |= {
            Grant(who, "Storage Table Data Contributor", f"table {table} of the data account")
            for table in ALL_TABLES
        }
        grants |= {
            Grant(who, "Storage Blob Data Contributor", f"container {name} of the data account")
            for name in ALL_CONTAINERS
        }
    for who in people:
        grants |= {
            Grant(who, "Azure Service Bus Data Receiver", "the queue"),
            Grant(who, "Azure Service Bus Data Sender", "the queue"),
            Grant(who, "Key Vault Secrets Officer", "the vault"),
            Grant(who, "Log Analytics Reader", "the workspace"),
        }
    if deployment.name == "entra":
        grants.add(Grant("eMabler", "Azure Service Bus Data Sender", "the queue"))
    return grants


@guard
def roles(deployment: Deployment) -> Iterator[str]:
    """Exactly the roles of the documentation, each on the smallest scope that Azure allows."""
    found, expected = deployment.grants(), expected_grants(deployment)
    for grant in sorted(set(found) - expected):
        yield f"{grant.who} is {grant.role} on {grant.on}, which no document says"
    for grant in sorted(expected - set(found)):
        yield f"{grant.who} is not {grant.role} on {grant.on}"
    if len(found) != len(set(found)):
        yield "a role is given twice"


@guard
def counts_reader_reads(deployment: Deployment) -> Iterator[str]:
    """The one role of our own reads the queue's counts: no message, no key, no change."""
    role = deployment.one("Microsoft.Authorization/roleDefinitions")
    yield from differences(
        role,
        {
            "permissions": [
                {
                    "actions": [
                        "Microsoft.ServiceBus/namespaces/read",
                        "Microsoft.ServiceBus/namespaces/queues/read",
                    ],
                    "notActions": [],
                    "dataActions": [],
                    "notDataActions": [],
                }
            ],
            "assignableScopes": [role["id"].partition("/providers/")[0]],
        },
    )
