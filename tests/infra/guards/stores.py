"""The stores: public to nobody, whole, encrypted on the way, forgiving."""

from __future__ import annotations

from collections.abc import Iterator

from shared.backup.manifest import MANIFESTS, PARTS
from shared.storage.containers import ALL_CONTAINERS, BACKUPS
from shared.storage.tables import ALL_TABLES
from tests.infra.deployment import Deployment
from tests.infra.guards.frame import differences, guard


@guard
def no_public_blobs(deployment: Deployment) -> Iterator[str]:
    """No blob is public, and no container can be made so."""
    for account in deployment.of("Microsoft.Storage/storageAccounts"):
        yield from differences(
            account, {"allowBlobPublicAccess": False, "allowCrossTenantReplication": False}
        )
    for container in deployment.of("Microsoft.Storage/storageAccounts/blobServices/containers"):
        yield from differences(container, {"publicAccess": "None"})


@guard
def encrypted_in_transit(deployment: Deployment) -> Iterator[str]:
    """Everything speaks TLS 1.2 or later, and nothing without it."""
    for account in deployment.of("Microsoft.Storage/storageAccounts"):
        yield from differences(
            account, {"minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": True}
        )
    yield from differences(
        deployment.one("Microsoft.ServiceBus/namespaces"), {"minimumTlsVersion": "1.2"}
    )
    site = deployment.one("Microsoft.Web/sites")
    yield from differences(site, {"httpsOnly": True})
    yield from differences(site, {"minTlsVersion": "1.2", "scmMinTlsVersion": "1.2"}, "siteConfig")
    protocol = deployment.app_settings.get("KAFKA_PROTOCOL", "SaslSsl")
    if not protocol.endswith("Ssl"):
        yield f"Kafka: its messages and its password travel by {protocol}"


@guard
def queue_bears_an_outage(deployment: Deployment) -> Iterator[str]:
    """The queue has the lock, delivery limit and time to live of docs/decisions/0008-outages.md."""
    yield from differences(
        deployment.one("Microsoft.ServiceBus/namespaces/queues"),
        {
            "lockDuration": "PT5M",
            "maxDeliveryCount": 100,
            "defaultMessageTimeToLive": "P14D",
            "deadLetteringOnMessageExpiration": True,
            "requiresSession": False,
        },
    )


@guard
def store_complete(deployment: Deployment) -> Iterator[str]:
    """All tables and containers of the code are made, and no other."""
    (data,) = (name for name, what in deployment.account_names.items() if "data" in what)
    for kind, expected in (
        ("tableServices/tables", set(ALL_TABLES)),
        ("blobServices/containers", set(ALL_CONTAINERS)),
    ):
        found = {
            each["name"].rpartition("/")[2]
            for each in deployment.of(f"Microsoft.Storage/storageAccounts/{kind}")
            if each["name"].startswith(f"{data}/")
        }
        if found != expected:
            yield (
                f"{kind}: infra/store.bicep has {sorted(found - expected)} too many and lacks "
                f"{sorted(expected - found)} of shared/storage"
            )


@guard
def backups_end(deployment: Deployment) -> Iterator[str]:
    """The account deletes backups a day after the app does; none is immutable for longer."""
    keep = int(deployment.app_settings.get("BACKUP_KEEP_DAYS", "30"))
    found = {
        prefix: rule["definition"]["actions"]["baseBlob"]["delete"]["daysAfterCreationGreaterThan"]
        for policy in deployment.of("Microsoft.Storage/storageAccounts/managementPolicies")
        for rule in policy["properties"]["policy"]["rules"]
        if rule["enabled"]
        for prefix in rule["definition"]["filters"]["prefixMatch"]
    }
    expected = {f"{BACKUPS}/{folder}": keep + 1 for folder in (MANIFESTS, PARTS)}
    if found != expected:
        yield f"the account deletes {found}, not {expected} after so many days"
    policies = deployment.of(
        "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies"
    )
    for policy in policies:
        days = policy["properties"]["immutabilityPeriodSinceCreationInDays"]
        if f"/{BACKUPS}/" not in policy["name"] or not 1 <= days <= min(35, keep - 1):
            yield f"{policy['name']}: immutable for {days} days"


@guard
def deleted_blobs_come_back(deployment: Deployment) -> Iterator[str]:
    """A deleted blob or container can be brought back for some days."""
    for service in deployment.of("Microsoft.Storage/storageAccounts/blobServices"):
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            found = service["properties"].get(policy, {})
            if not found.get("enabled") or not 1 <= found.get("days", 0) <= 365:
                yield f"{service['name']}: {policy} is off"
