"""Broken copies of the template: each breakage, and the guard that has to find it.

Breakages that do not touch each other share a copy, since each copy costs a run of the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breakage:
    """One change of one file of the template, who has to notice, and in which words."""

    what: str
    file: str
    old: str
    new: str
    guard: str
    words: str


STORAGE = "modules/storage/main.bicep"
BUS = "modules/service-bus/main.bicep"
VAULT = "modules/key-vault/main.bicep"
APP = "modules/function-app/main.bicep"
MONITORING = "modules/monitoring/main.bicep"
NETWORK = "modules/network/main.bicep"
ALERTS = "modules/alerts/main.bicep"
METRIC_ALERTS = "monitoring/metric-alerts.json"

IN_PLAIN = (
    Breakage(
        "shared keys turned on",
        STORAGE,
        "allowSharedKeyAccess: false",
        "allowSharedKeyAccess: true",
        "keys_off",
        "allowSharedKeyAccess is True",
    ),
    Breakage(
        "public blobs allowed",
        STORAGE,
        "allowBlobPublicAccess: false",
        "allowBlobPublicAccess: true",
        "no_public_blobs",
        "allowBlobPublicAccess is True",
    ),
    Breakage(
        "an old TLS version",
        STORAGE,
        "minimumTlsVersion: 'TLS1_2'",
        "minimumTlsVersion: 'TLS1_0'",
        "encrypted_in_transit",
        "minimumTlsVersion is 'TLS1_0'",
    ),
    Breakage(
        "a role moved up from table to account",
        STORAGE,
        "scope: tables[pair / length(contributors)]",
        "scope: account",
        "roles",
        "the app is Storage Table Data Contributor on the data account, which no document says",
    ),
    Breakage(
        "reads of tables logged",
        STORAGE,
        "for category in ['StorageWrite', 'StorageDelete']",
        "for category in ['StorageRead', 'StorageWrite', 'StorageDelete']",
        "all_is_watched",
        "tableServices) sends ['StorageDelete', 'StorageRead', 'StorageWrite']",
    ),
    Breakage(
        "no soft delete",
        STORAGE,
        "deleteRetentionPolicy: {\n      enabled: true",
        "deleteRetentionPolicy: {\n      enabled: false",
        "deleted_blobs_come_back",
        "deleteRetentionPolicy is off",
    ),
    Breakage(
        "backups that nobody deletes",
        "main.bicep",
        "      deleteAfterDays: backupKeepDays + 1\n",
        "",
        "backups_end",
        "the account deletes {}, not {'backups/manifests/': 31, 'backups/parts/': 31}",
    ),
    Breakage(
        "a table forgotten",
        "store.bicep",
        "  'parked'\n",
        "",
        "store_complete",
        "lacks ['parked']",
    ),
    Breakage(
        "a delivery limit of 10",
        BUS,
        "maxDeliveryCount: 100",
        "maxDeliveryCount: 10",
        "queue_bears_an_outage",
        "maxDeliveryCount is 10",
    ),
    Breakage(
        "a sender that may listen",
        BUS,
        "      'Send'\n",
        "      'Send'\n      'Listen'\n",
        "sender_sends_only",
        "rights is ['Send', 'Listen']",
    ),
    Breakage(
        "a counts reader that may do all",
        BUS,
        "'Microsoft.ServiceBus/namespaces/queues/read'",
        "'Microsoft.ServiceBus/*'",
        "counts_reader_reads",
        "Microsoft.ServiceBus/*",
    ),
    Breakage(
        "a vault without its log",
        VAULT,
        "resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {",
        "resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' ="
        " if (empty(name)) {",
        "all_is_watched",
        "(Microsoft.KeyVault/vaults) has no diagnostic setting",
    ),
    Breakage(
        "a vault that can be purged",
        VAULT,
        "enablePurgeProtection: purgeProtection ? true : null",
        "enablePurgeProtection: null",
        "vault_keeps",
        "enablePurgeProtection is None",
    ),
    Breakage(
        "a secret in clear in the vault",
        VAULT,
        "value: tagHashKey",
        "value: 'a key that everybody who reads the template knows'",
        "secrets_by_reference",
        "tag-hash-key: stands in the template in clear",
    ),
    Breakage(
        "a secret in clear in a setting",
        APP,
        "setting => '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${secretNames[setting]})'",
        "setting => 'the secret of ${secretNames[setting]} ${vaultUri}'",
        "secrets_by_reference",
        "the setting TAG_HASH_KEY is no reference to the vault",
    ),
    Breakage(
        "an account key in a setting",
        APP,
        "DataStorageConnection__tableServiceUri: tableEndpoint",
        "DataStorageConnection__tableServiceUri: listKeys(resourceId("
        "'Microsoft.Storage/storageAccounts', host.accountName), '2025-06-01').keys[0].value",
        "keys_read_once",
        "appsettings: reads a key",
    ),
    Breakage(
        "http without TLS",
        APP,
        "httpsOnly: true",
        "httpsOnly: false",
        "encrypted_in_transit",
        "httpsOnly is False",
    ),
    Breakage(
        "a webhook that nobody reaches",
        APP,
        "ipSecurityRestrictionsDefaultAction: empty(callerAddresses) ? 'Allow' : 'Deny'",
        "ipSecurityRestrictionsDefaultAction: 'Deny'",
        "callers_named",
        "ipSecurityRestrictionsDefaultAction is 'Deny'",
    ),
    Breakage(
        "a property that Flex Consumption refuses",
        APP,
        "http20Enabled: true",
        "http20Enabled: true\n      ftpsState: 'Disabled'",
        "plan_is_flex",
        "Flex Consumption refuses ftpsState",
    ),
    Breakage(
        "FTP with a password",
        APP,
        "name: 'ftp'\n    properties: {\n      allow: false",
        "name: 'ftp'\n    properties: {\n      allow: true",
        "no_passwords_for_deploying",
        "/ftp: allow is True",
    ),
    Breakage(
        "publishing with a password",
        APP,
        "name: 'scm'\n    properties: {\n      allow: false",
        "name: 'scm'\n    properties: {\n      allow: true",
        "no_passwords_for_deploying",
        "/scm: allow is True",
    ),
    Breakage(
        "telemetry with a key",
        MONITORING,
        "DisableLocalAuth: true",
        "DisableLocalAuth: false",
        "keys_off",
        "DisableLocalAuth is False",
    ),
    Breakage(
        "no daily cap",
        MONITORING,
        "dailyQuotaGb: dailyCapGb",
        "dailyQuotaGb: dailyCapGb - 1 - dailyCapGb",
        "logs_end",
        "the workspace has no daily cap",
    ),
    Breakage(
        "an identity without tags",
        "modules/identity/main.bicep",
        "  tags: tags\n",
        "  #disable-next-line BCP334\n",
        "tagged",
        "(Microsoft.ManagedIdentity/userAssignedIdentities) has no tags",
    ),
    Breakage(
        "a secret as an output",
        "main.bicep",
        "output EMABLER_ENVIRONMENT string = emablerEnvironment",
        "output EMABLER_ENVIRONMENT string = '${emablerEnvironment}${tagHashKey}'",
        "secrets_by_reference",
        "the output EMABLER_ENVIRONMENT holds a secret",
    ),
    Breakage(
        "a secret without an end",
        VAULT,
        "value: webhookAuthorization\n    attributes: {\n      exp: secretsEnd\n    }",
        "value: webhookAuthorization",
        "secrets_end",
        "webhook-authorization: has no end",
    ),
    Breakage(
        "an alert with another's query",
        "alerts.bicep",
        "parked_messages: loadTextContent('monitoring/alerts/parked_messages.kql')",
        "parked_messages: '${loadTextContent('monitoring/alerts/parked_messages.kql')} | take 0'",
        "alerts_complete",
        "its query is not parked_messages.kql",
    ),
    Breakage(
        "a query that no alert may run",
        "alerts.bicep",
        "proof_old: loadTextContent('monitoring/alerts/proof_old.kql')",
        "proof_old: '${loadTextContent('monitoring/alerts/proof_old.kql')} | evaluate narrow()'",
        "queries_fit",
        "Azure runs no narrow in an alert",
    ),
    Breakage(
        "an alert that measures a column that is not there",
        "monitoring/alerts.json",
        '"measure": "calls"',
        '"measure": "call"',
        "queries_fit",
        "its query has no column call",
    ),
    Breakage(
        "alerts that tell nobody",
        ALERTS,
        "actionGroups: [\n          actionGroup.id\n        ]",
        "actionGroups: []",
        "alerts_are_told",
        "tells []",
    ),
    Breakage(
        "alerts that are evaluated when Azure does not",
        ALERTS,
        "evaluationFrequency: alert.frequency",
        "evaluationFrequency: 'PT20M'",
        "alert_times_fit",
        "Azure has no pair PT20M, PT15M",
    ),
    Breakage(
        "queries that Azure checks before their tables are there",
        ALERTS,
        "      skipQueryValidation: true\n",
        "",
        "queries_fit",
        "skipQueryValidation is None",
    ),
    Breakage(
        "query alerts that look at the component",
        ALERTS,
        "scopes: [\n        workspace.id\n      ]",
        "scopes: [\n        component.id\n      ]",
        "query_alerts_read",
        "scopes is ",
    ),
    Breakage(
        "a metric that Azure does not have",
        METRIC_ALERTS,
        '"DeadletteredMessages"',
        '"DeadLetteredMessages"',
        "metrics_are_azure_s",
        "Azure has no metric DeadLetteredMessages",
    ),
    Breakage(
        "a type of answer that is never given",
        METRIC_ALERTS,
        '"ServerBusyError"',
        '"ServerTooBusyError"',
        "metrics_are_azure_s",
        "ResponseType is never ServerTooBusyError",
    ),
    Breakage(
        "an aggregation without a meaning",
        METRIC_ALERTS,
        '"Average"',
        '"Count"',
        "metrics_are_azure_s",
        "Count of availabilityResults/availabilityPercentage means nothing",
    ),
    Breakage(
        "an availability test without its alert",
        ALERTS,
        "&& (testsAvailability || alert.scope != 'component')",
        "&& alert.scope != 'component'",
        "alerts_complete",
        "enabled is False",
    ),
    Breakage(
        "an availability test that needs a key",
        "main.bicep",
        "/api/live'",
        "/api/status?code=key'",
        "asked_from_outside",
        "calls [format('https://{0}/api/status?code=key'",
    ),
)

IN_LARGE = (
    Breakage(
        "brokers of Kafka reached in the open",
        APP,
        "union(appSettingsDefaults, appSettings)",
        "union(appSettingsDefaults, appSettings, { KAFKA_PROTOCOL: 'SaslPlaintext' })",
        "encrypted_in_transit",
        "Kafka: its messages and its password travel by SaslPlaintext",
    ),
    Breakage(
        "erasures that go before the backups that they are for",
        "main.bicep",
        "          deleteUnder: ['manifests/', 'parts/']\n",
        "",
        "backups_end",
        "the account deletes {'backups/':",
    ),
    Breakage(
        "backups that are immutable for ever",
        STORAGE,
        "immutabilityPeriodSinceCreationInDays: container.?immutableDays ?? 0",
        "immutabilityPeriodSinceCreationInDays: 3650",
        "backups_end",
        "immutable for 3650 days",
    ),
    Breakage(
        "an isolated account that is open",
        STORAGE,
        "defaultAction: publicAccess ? 'Allow' : 'Deny'",
        "defaultAction: 'Allow'",
        "closed_when_isolated",
        "lets in whoever is not named",
    ),
    Breakage(
        "an isolated account whose lifecycle policy is turned away",
        STORAGE,
        "bypass: empty(expiring) ? 'None' : 'AzureServices'",
        "bypass: 'None'",
        "closed_when_isolated",
        "bypass is None, not AzureServices",
    ),
    Breakage(
        "an isolated app that anybody deploys to",
        APP,
        "scmIpSecurityRestrictionsDefaultAction: deploymentRestricted ? 'Deny' : 'Allow'",
        "scmIpSecurityRestrictionsDefaultAction: 'Allow'",
        "closed_when_isolated",
        "scmIpSecurityRestrictionsDefaultAction is 'Allow'",
    ),
    Breakage(
        "an isolated namespace that is open",
        BUS,
        "publicNetworkAccess: closed && empty(allowedAddresses) ? 'Disabled' : 'Enabled'",
        "publicNetworkAccess: 'Enabled'",
        "closed_when_isolated",
        "is open to the internet without a list of addresses",
    ),
    Breakage(
        "a name that Azure keeps for itself",
        "names.bicep",
        "serviceBus: joinParts(['sbns', slugOf(environmentName), token])",
        "serviceBus: joinParts(['sbns', slugOf(environmentName), token, 'sb'])",
        "names_fit",
        "no name for Microsoft.ServiceBus/namespaces",
    ),
    Breakage(
        "zones with one instance",
        APP,
        "zoneRedundant ? max(group.value, 2) : group.value",
        "group.value",
        "plan_is_flex",
        "{'function:ingest_push_events': 1, 'http': 1} are always ready",
    ),
    Breakage(
        "keys of a namespace that needs none",
        BUS,
        "disableLocalAuth: senderAuth == 'entra'",
        "disableLocalAuth: false",
        "sender_sends_only",
        "disableLocalAuth is False",
    ),
    Breakage(
        "an availability test that is let through where nobody asked",
        APP,
        "concat(callers, availabilityTestMayCall && !empty(callerAddresses) ? [testCallers] : [])",
        "concat(callers, [testCallers, testCallers])",
        "callers_named",
        "lets in ['ApplicationInsightsAvailability', 'ApplicationInsightsAvailability']",
    ),
    Breakage(
        "a vault without a private endpoint",
        "main.bicep",
        "module vaultEndpoint 'modules/private-endpoint/main.bicep' = if (networkIsolation) {",
        "module vaultEndpoint 'modules/private-endpoint/main.bicep' = if (!networkIsolation) {",
        "reached_privately",
        "the vault: vault is not reached by a private endpoint",
    ),
)

IN_COUNT = (
    Breakage(
        "a loop whose count only the deployment knows",
        "main.bicep",
        "tableNames: tables",
        "tableNames: empty(identity.outputs.clientId) ? [] : tables",
        "whole",
        "",
    ),
)

IN_LINT = (
    Breakage(
        "a misspelt property",
        BUS,
        "minimumTlsVersion: '1.2'",
        "minimumTlsVersoin: '1.2'",
        "BCP089",
        "minimumTlsVersoin",
    ),
    Breakage(
        "a secret as an output",
        "main.bicep",
        "output EMABLER_ENVIRONMENT string = emablerEnvironment",
        "output EMABLER_ENVIRONMENT string = tagHashKey",
        "outputs-should-not-contain-secrets",
        "tagHashKey",
    ),
    Breakage(
        "an address of one of Azure's clouds",
        APP,
        "AzureWebJobsStorage__accountName: host.accountName",
        "AzureWebJobsStorage__blobServiceUri: 'https://${host.accountName}.blob.core.windows.net'",
        "no-hardcoded-env-urls",
        "core.windows.net",
    ),
    Breakage(
        "a parameter that nobody reads",
        "modules/identity/main.bicep",
        "  tags: tags\n",
        "",
        "no-unused-params",
        "tags",
    ),
    Breakage(
        "a resource type that Azure does not have",
        NETWORK,
        "Microsoft.Network/natGateways@2025-05-01",
        "Microsoft.Network/natGatewayz@2025-05-01",
        "BCP081",
        "natGatewayz",
    ),
)

OUT_OF_BOUNDS = {
    # Parameter, value: what the compiler names of it.
    "logRetentionDays = 29": ("30",),
    "logDailyCapGb = 0": ("1",),
    "backupImmutabilityDays = 36": ("35",),
    "queueMegabytes = 9999": ("9999",),
    "gatherMessages = 101": ("100",),
    "gatherSeconds = 31": ("30",),
    "emablerEnvironment = 'prod'": ("'prod'",),
    "tagHashKey = 'too short'": ("32",),
    "scale = { maximumInstanceCount: 5000 }": ("1000",),
    "appSettings = { STORE_BUCKETS: 65, STORE_BUCKETZ: 4, KAFKA_PROTOCOL: 'SaslPlaintext' }": (
        "64",
        "STORE_BUCKETZ",
        "'SaslPlaintext'",
    ),
    "optionalSecrets = ['EMABLER_API_KEY']": ("WEBHOOK_AUTHORIZATION_PREVIOUS",),
    "alerts = { parked_message: {}, taps_slow: { threshold: -1 } }": ("parked_message", "0"),
    "secretLifetimeDays = 30": ("31",),
}

_KAFKA = (
    "{ KAFKA_BROKER_LIST: 'b:9093', KAFKA_TOPIC: 't', KAFKA_CONSUMER_GROUP: 'g', "
    "KAFKA_USERNAME: 'u' }"
)

NOT_TOGETHER = {
    # Parameters that exclude each other: a part of what the deployment says before it begins.
    "queueMegabytes = 10240": "queueMegabytes: a queue of the tier Standard holds at most 5120",
    "alerts = { audit_lost: { window: 'PT10M' } }": "alerts: the window of audit_lost is shorter",
    "backupImmutabilityDays = 30": "has to be less than BACKUP_KEEP_DAYS",
    "gatherMessages = 2\nparam appSettings = { INGEST_LONGEST_WAIT_SECONDS: 133 }": (
        "gatherMessages: messages are locked for 300 seconds"
    ),
    "zoneRedundant = true\nparam hostRedundancy = 'Standard_LRS'": "take Standard_ZRS",
    "appSettings = { KAFKA_TOPIC: 'push' }": "appSettings: Kafka needs KAFKA_BROKER_LIST",
    f"appSettings = {_KAFKA}": "and KAFKA_PASSWORD in optionalSecrets",
    "networkIsolation = true\nparam operatorAddresses = ['198.51.100.6/31']": "one by one",
    "optionalSecrets = ['KAFKA_PASSWORD']": "appSettings: Kafka needs KAFKA_BROKER_LIST",
}
