targetScope = 'subscription'

metadata name = 'eMabler on Azure Functions'
metadata description = 'All that the app needs in one resource group. docs/deploy.md says how to use it, docs/security.md what it promises.'

import { alertsType, webhookReceiverType } from 'alerts.bicep'
import { namesOf, scalingRoleName } from 'names.bicep'
import { granteeType } from 'roles.bicep'
import {
  appSettingsDefaults
  appSettingsType
  defaultBackupKeepDays
  defaultIngestLongestWaitSeconds
  optionalSecretType
  requiredSecrets
} from 'settings.bicep'
import { backupContainer, containers, tables } from 'store.bicep'
import { gatheringType, scaleType } from 'modules/function-app/main.bicep'
import { redundancyType } from 'modules/storage/main.bicep'

// Who and where

@description('Required. Name of the environment, as azd knows it. Resource names are made of it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Required. Region of all resources.')
@minLength(1)
@maxLength(40)
param location string

@description('Optional. Tags of all resources, beside those of azd.')
param tags { *: string } = {}

@description('Optional. Object id of whoever deploys, as azd tells it. A person is given the roles of an operator, a machine none.')
@maxLength(36)
param principalId string = ''

@description('Conditional. What kind of principal that is. Required where a machine deploys.')
param principalType 'User' | 'ServicePrincipal' = 'User'

@description('Optional. Object id of the group of people who run manage.py and rotate secrets.')
@maxLength(36)
param operatorsGroupId string = ''

// eMabler

@description('Required. Which eMabler this is. The store belongs to it for good.')
param emablerEnvironment 'test' | 'staging' | 'production'

@description('Required. eMabler\'s API key. Written into the vault where it has none; rotate it there.')
@minLength(1)
@secure()
param emablerApiKey string

@description('Required. Value that eMabler sends with each call. Made by azd; written into the vault where it has none; rotate it there.')
@metadata({ azd: { type: 'generate', config: { length: 44, noSpecial: true } } })
@minLength(32)
@secure()
param webhookAuthorization string

@description('Required. Key of the hash that stands for a tag in table keys. Made by azd; written into the vault where it has none.')
@metadata({ azd: { type: 'generate', config: { length: 44, noSpecial: true } } })
@minLength(32)
@secure()
param tagHashKey string

@description('Optional. How eMabler proves itself to Service Bus: `sas`, a key that can send to the queue and nothing else, or `entra`, an identity.')
param emablerSenderAuth 'sas' | 'entra' = 'sas'

@description('Conditional. Object id, in this tenant, of eMabler\'s enterprise application. Required where eMabler sends over Service Bus with `entra`.')
@maxLength(36)
param emablerSenderPrincipalId string = ''

@description('Optional. IPv4 addresses or ranges that eMabler calls from. With any, nobody else reaches the webhook; an isolated Premium namespace takes messages from them only.')
@maxLength(100)
param emablerAddresses string[] = []

// The app

@description('Optional. Settings of the app that differ from the defaults in docs/settings.md.')
param appSettings appSettingsType = {}

@description('Optional. Secrets that not every deployment has, or has for a time only, and that are referred to while they are named here.')
@maxLength(10)
param optionalSecrets optionalSecretType[] = []

@description('Optional. Memory, number and concurrency of the app\'s instances.')
param scale scaleType = {}

@description('Optional. Name of the queue of push events.')
@minLength(1)
@maxLength(50)
param queueName string = 'push-events'

@description('Optional. How much the queue holds, in megabytes. Standard takes up to 5120.')
@allowed([1024, 2048, 3072, 4096, 5120, 10240, 20480, 40960, 81920])
param queueMegabytes int = 5120

@description('Optional. How many messages the host gathers before it calls ingestion; 1: it calls at once. With some, a fleet of a thousand chargers pays half, and events come to the store seconds later. Not yet seen in Azure.')
@minValue(1)
@maxValue(100)
param gatherMessages int = 1

@description('Conditional. How long it gathers at most, in seconds since the first of them. Heeded where gatherMessages is more than 1.')
@minValue(1)
@maxValue(30)
param gatherSeconds int = 5

// Resilience and cost

@description('Optional. Tier of Service Bus. Private endpoints and audit logs of messages need Premium.')
param serviceBusTier 'Standard' | 'Premium' = 'Standard'

@description('Conditional. Messaging units. Heeded by Premium.')
@allowed([1, 2, 4, 8, 16])
param messagingUnits int = 1

@description('Optional. Redundancy of the data account.')
param dataRedundancy redundancyType = 'Standard_ZRS'

@description('Optional. Redundancy of the Functions host\'s account. Without it the app stands still.')
param hostRedundancy redundancyType = 'Standard_ZRS'

@description('Optional. True: instances of the app are spread over availability zones, two of them always ready.')
param zoneRedundant bool = false

@description('Optional. How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Optional. Gigabytes of logs a day, after which none are taken until the next day.')
@minValue(1)
@maxValue(1000)
param logDailyCapGb int = 5

@description('Optional. How long a deleted blob can be brought back, in days.')
@minValue(1)
@maxValue(365)
param blobSoftDeleteDays int = 7

@description('Optional. For how many days nobody can change or delete a part of a backup; 0: not at all. Less than BACKUP_KEEP_DAYS.')
@minValue(0)
@maxValue(35)
param backupImmutabilityDays int = 0

@description('Optional. True: nobody can purge the vault before 90 days are over. It cannot be turned off again.')
param purgeProtection bool = true

@description('Optional. How long a secret that the template writes is good for, in days. An alert tells thirty days before its end; what has ended still works.')
@minValue(31)
@maxValue(3650)
param secretLifetimeDays int = 365

@description('Optional. When the lifetime of new secrets begins. Leave it: it is the time of the deployment.')
@maxLength(40)
param deploymentTime string = utcNow()

// Alerts

@description('Optional. Mail addresses that alerts go to, parted by commas. Without any, and without alertWebhooks, alerts are in the portal only.')
@maxLength(2000)
param alertEmails string = ''

@description('Optional. Webhooks that alerts go to.')
@maxLength(10)
param alertWebhooks webhookReceiverType[] = []

@description('Optional. Thresholds, severities and windows of alerts that differ from docs/monitoring.md.')
param alerts alertsType = {}

@description('Optional. Where your people read the runbooks: what stands before NAME.md.')
@maxLength(500)
param runbooksUrl string = 'docs/runbooks/'

@description('Optional. Whether Azure calls the app from several places every five minutes: `unlessRestricted`, where emablerAddresses names nobody, since its machines call for all customers of Azure; `always`, letting them through; `never`.')
param availabilityTest 'unlessRestricted' | 'always' | 'never' = 'unlessRestricted'

@description('Optional. The places that it calls from, as Azure names them.')
@minLength(2)
@maxLength(16)
param availabilityLocations string[] = ['emea-nl-ams-azr', 'emea-gb-db3-azr', 'emea-fr-pra-edge']

// Network

@description('Optional. True: storage, vault and (Premium) Service Bus are reached from inside a virtual network only, and from operatorAddresses.')
param networkIsolation bool = false

@description('Conditional. IPv4 range of the virtual network, at least a /24. Heeded with networkIsolation.')
@minLength(9)
@maxLength(18)
param networkAddressRange string = '10.90.0.0/24'

@description('Conditional. IPv4 addresses or ranges of the people who run manage.py and of the machines that deploy. Heeded with networkIsolation.')
@maxLength(100)
param operatorAddresses string[] = []

// What cannot be together is refused before anything is made, not in the middle of it.
var checkedQueueMegabytes = serviceBusTier == 'Standard' && queueMegabytes > 5120
  ? fail('queueMegabytes: a queue of the tier Standard holds at most 5120; take that, or serviceBusTier Premium.')
  : queueMegabytes
var checkedHostRedundancy = zoneRedundant && !contains(hostRedundancy, 'ZRS')
  ? fail('hostRedundancy: with zoneRedundant the host\'s account has to be spread over zones as well; take Standard_ZRS.')
  : hostRedundancy
var kafkaWanted = contains(appSettings, 'KAFKA_BROKER_LIST') || contains(appSettings, 'KAFKA_TOPIC') || contains(
  appSettings,
  'KAFKA_CONSUMER_GROUP'
) || contains(appSettings, 'KAFKA_USERNAME') || contains(optionalSecrets, 'KAFKA_PASSWORD')
var kafkaAddressed = contains(appSettings, 'KAFKA_BROKER_LIST') && contains(appSettings, 'KAFKA_TOPIC') && contains(
  appSettings,
  'KAFKA_CONSUMER_GROUP'
)
var kafkaProven = (appSettings.?KAFKA_PROTOCOL ?? 'SaslSsl') == 'Ssl' || (contains(appSettings, 'KAFKA_USERNAME') && contains(
  optionalSecrets,
  'KAFKA_PASSWORD'
))
var checkedAppSettings = kafkaWanted && !(kafkaAddressed && kafkaProven)
  ? fail('appSettings: Kafka needs KAFKA_BROKER_LIST, KAFKA_TOPIC, KAFKA_CONSUMER_GROUP and, unless KAFKA_PROTOCOL is Ssl, KAFKA_USERNAME and KAFKA_PASSWORD in optionalSecrets.')
  : appSettings

// A message's lock, 300 s, goes on while it waits for the call before its own, which waits for a
// store that is away, and for those that are gathered. docs/decisions/0039 has the sum.
var longestWaitSeconds = appSettings.?INGEST_LONGEST_WAIT_SECONDS ?? defaultIngestLongestWaitSeconds
var gathering gatheringType = gatherMessages > 1 && 2 * longestWaitSeconds + gatherSeconds > 270
  ? fail('gatherMessages: messages are locked for 300 seconds, so twice INGEST_LONGEST_WAIT_SECONDS and gatherSeconds have to be 270 together at most; take less of either, or gatherMessages 1.')
  : {
      messages: gatherMessages
      seconds: gatherSeconds
    }

// Storage takes no range of two addresses.
var pairs = filter(operatorAddresses, address => endsWith(address, '/31'))
var checkedOperatorAddresses = empty(pairs)
  ? operatorAddresses
  : fail('operatorAddresses: storage takes no range of the length 31; name the two addresses of ${join(pairs, ', ')} one by one.')

var mails = filter(map(split(alertEmails, ','), email => trim(email)), email => !empty(email))

var backupKeepDays = appSettings.?BACKUP_KEEP_DAYS ?? defaultBackupKeepDays
var checkedImmutability = backupImmutabilityDays >= backupKeepDays
  ? fail('backupImmutabilityDays: has to be less than BACKUP_KEEP_DAYS, or backups outlive the day that an erasure tells.')
  : backupImmutabilityDays
// The app deletes a backup at its age; the account sees to it a day later, whether the app runs or not.
var dataContainers = map(
  containers,
  each =>
    each.name == backupContainer
      ? {
          name: each.name
          deleteAfterDays: backupKeepDays + 1
          // Not erasures/: they have to outlive the backups, and the app deletes them.
          deleteUnder: ['manifests/', 'parts/']
          immutableDays: checkedImmutability
        }
      : each
)

var serviceName = 'functions'
var token = uniqueString(subscription().id, environmentName, location)
var names = namesOf(environmentName, token)
var allTags = union(tags, { 'azd-env-name': environmentName })
var packageContainer = 'app-package'
var readableSettings = union(requiredSecrets, optionalSecrets)
var restricted = !empty(emablerAddresses)
var testsAvailability = availabilityTest == 'always' || (availabilityTest == 'unlessRestricted' && !restricted)
var isolatedBus = networkIsolation && serviceBusTier == 'Premium'

var app granteeType = {
  id: identity.outputs.principalId
  key: names.identity
  type: 'ServicePrincipal'
}
var queryAlerts granteeType = {
  id: alertsIdentity.outputs.principalId
  key: names.alertsIdentity
  type: 'ServicePrincipal'
}
var deployer granteeType[] = empty(principalId) || principalType == 'ServicePrincipal'
  ? []
  : [
      {
        id: principalId
        key: principalId
        type: 'User'
      }
    ]
var operatorsGroup granteeType[] = empty(operatorsGroupId)
  ? []
  : [
      {
        id: operatorsGroupId
        key: operatorsGroupId
        type: 'Group'
      }
    ]
var operators = concat(deployer, operatorsGroup)
var senders granteeType[] = emablerSenderAuth == 'entra' && !empty(emablerSenderPrincipalId)
  ? [
      {
        id: emablerSenderPrincipalId
        key: emablerSenderPrincipalId
        type: 'ServicePrincipal'
      }
    ]
  : []

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: names.resourceGroup
  location: location
  tags: allTags
}

module identity 'modules/identity/main.bicep' = {
  scope: group
  params: {
    name: names.identity
    location: location
    tags: allTags
  }
}

module alertsIdentity 'modules/identity/main.bicep' = {
  scope: group
  params: {
    name: names.alertsIdentity
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring/main.bicep' = {
  scope: group
  params: {
    workspaceName: names.workspace
    componentName: names.component
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
    app: app
    operators: operators
    alerts: queryAlerts
  }
}

module workbook 'modules/workbook/main.bicep' = {
  scope: group
  params: {
    workspaceName: names.workspace
    componentName: names.component
    environmentName: environmentName
    location: location
    tags: allTags
  }
  dependsOn: [
    monitoring
  ]
}

module keyVault 'modules/key-vault/main.bicep' = {
  scope: group
  params: {
    name: names.keyVault
    location: location
    tags: allTags
    purgeProtection: purgeProtection
    emablerApiKey: emablerApiKey
    tagHashKey: tagHashKey
    webhookAuthorization: webhookAuthorization
    secretsEnd: dateTimeToEpoch(dateTimeAdd(deploymentTime, 'P${secretLifetimeDays}D'))
    readableSettings: readableSettings
    app: app
    operators: operators
    publicAccess: !networkIsolation
    allowedAddresses: checkedOperatorAddresses
    workspaceId: monitoring.outputs.workspaceId
  }
}

module hostStorage 'modules/storage/main.bicep' = {
  scope: group
  params: {
    name: names.hostStorage
    location: location
    tags: allTags
    redundancy: checkedHostRedundancy
    tableNames: []
    containers: [{ name: packageContainer }]
    softDeleteDays: blobSoftDeleteDays
    contributors: []
    blobOwners: [app]
    publicAccess: !networkIsolation
    allowedAddresses: []
    workspaceId: monitoring.outputs.workspaceId
  }
}

module dataStorage 'modules/storage/main.bicep' = {
  scope: group
  params: {
    name: names.dataStorage
    location: location
    tags: allTags
    redundancy: dataRedundancy
    tableNames: tables
    containers: dataContainers
    softDeleteDays: blobSoftDeleteDays
    contributors: concat([app], operators)
    blobOwners: []
    publicAccess: !networkIsolation
    allowedAddresses: checkedOperatorAddresses
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'modules/service-bus/main.bicep' = {
  scope: group
  params: {
    name: names.serviceBus
    location: location
    tags: allTags
    tier: serviceBusTier
    messagingUnits: messagingUnits
    queueName: queueName
    queueMegabytes: checkedQueueMegabytes
    senderAuth: emablerSenderAuth
    app: app
    senders: senders
    operators: operators
    scalingRoleName: scalingRoleName(token)
    keyVaultName: names.keyVault
    publicAccess: !networkIsolation
    allowedAddresses: union(emablerAddresses, checkedOperatorAddresses)
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    keyVault
  ]
}

module network 'modules/network/main.bicep' = if (networkIsolation) {
  scope: group
  params: {
    name: names.network
    location: location
    tags: allTags
    addressRange: networkAddressRange
    withServiceBus: isolatedBus
    workspaceId: monitoring.outputs.workspaceId
  }
}

module blobEndpoints 'modules/private-endpoint/main.bicep' = [
  for account in (networkIsolation ? ['host', 'data'] : []): {
    scope: group
    params: {
      name: '${names.network}-pep-${account}-blob'
      location: location
      tags: allTags
      subnetId: network!.outputs.endpointSubnetId
      targetId: account == 'host' ? hostStorage.outputs.resourceId : dataStorage.outputs.resourceId
      service: 'blob'
      zoneId: network!.outputs.zoneIds.blob
    }
  }
]

module queueEndpoint 'modules/private-endpoint/main.bicep' = if (networkIsolation) {
  scope: group
  params: {
    name: '${names.network}-pep-host-queue'
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    targetId: hostStorage.outputs.resourceId
    service: 'queue'
    zoneId: network!.outputs.zoneIds.queue
  }
}

module tableEndpoints 'modules/private-endpoint/main.bicep' = [
  for account in (networkIsolation ? ['host', 'data'] : []): {
    scope: group
    params: {
      name: '${names.network}-pep-${account}-table'
      location: location
      tags: allTags
      subnetId: network!.outputs.endpointSubnetId
      targetId: account == 'host' ? hostStorage.outputs.resourceId : dataStorage.outputs.resourceId
      service: 'table'
      zoneId: network!.outputs.zoneIds.table
    }
  }
]

module vaultEndpoint 'modules/private-endpoint/main.bicep' = if (networkIsolation) {
  scope: group
  params: {
    name: '${names.network}-pep-vault'
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    targetId: keyVault.outputs.resourceId
    service: 'vault'
    zoneId: network!.outputs.zoneIds.vault
  }
}

module serviceBusEndpoint 'modules/private-endpoint/main.bicep' = if (isolatedBus) {
  scope: group
  params: {
    name: '${names.network}-pep-service-bus'
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    targetId: serviceBus.outputs.resourceId
    service: 'namespace'
    zoneId: network!.outputs.serviceBusZoneId
  }
}

module functionApp 'modules/function-app/main.bicep' = {
  scope: group
  params: {
    name: names.functionApp
    planName: names.plan
    location: location
    tags: allTags
    serviceName: serviceName
    scale: scale
    gathering: gathering
    zoneRedundant: zoneRedundant
    identity: {
      resourceId: identity.outputs.resourceId
      clientId: identity.outputs.clientId
    }
    host: {
      accountName: names.hostStorage
      packageContainerUrl: '${hostStorage.outputs.blobEndpoint}${packageContainer}'
    }
    telemetryConnectionString: monitoring.outputs.connectionString
    tableEndpoint: dataStorage.outputs.tableEndpoint
    blobEndpoint: dataStorage.outputs.blobEndpoint
    serviceBusHostName: serviceBus.outputs.hostName
    queueName: queueName
    blobSoftDeleteDays: blobSoftDeleteDays
    emablerEnvironment: emablerEnvironment
    appSettings: checkedAppSettings
    secretSettings: readableSettings
    vaultUri: keyVault.outputs.uri
    subnetId: networkIsolation ? network!.outputs.appSubnetId : ''
    callerAddresses: restricted ? union(emablerAddresses, checkedOperatorAddresses) : []
    availabilityTestMayCall: testsAvailability
    deploymentAddresses: checkedOperatorAddresses
    deploymentRestricted: networkIsolation
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    // An app that starts before its stores can be reached fails its first deployment.
    blobEndpoints
    queueEndpoint
    serviceBusEndpoint
    tableEndpoints
    vaultEndpoint
  ]
}

// There in any case: a deployment takes nothing away, and a test that is left behind where callers
// were named since would fail, and wake somebody, for ever.
module availability 'modules/availability-test/main.bicep' = {
  scope: group
  params: {
    name: names.availabilityTest
    location: location
    tags: allTags
    enabled: testsAvailability
    componentName: names.component
    url: 'https://${functionApp.outputs.hostName}/api/live'
    locations: availabilityLocations
  }
}

module alertRules 'modules/alerts/main.bicep' = {
  scope: group
  params: {
    actionGroupName: names.actionGroup
    namePrefix: names.alerts
    environmentName: environmentName
    location: location
    tags: allTags
    // Each once: Azure refuses two receivers of one name, and one without an address.
    emails: union(mails, mails)
    webhooks: alertWebhooks
    settings: alerts
    dailyCapGb: logDailyCapGb
    identityId: alertsIdentity.outputs.resourceId
    workspaceName: names.workspace
    componentName: names.component
    serviceBusName: names.serviceBus
    queueName: queueName
    dataStorageName: names.dataStorage
    availabilityTestName: names.availabilityTest
    testsAvailability: testsAvailability
    runbooksUrl: runbooksUrl
  }
  dependsOn: [
    availability
    dataStorage
    monitoring
    serviceBus
  ]
}

// For azd

@description('Region of the resource group.')
output AZURE_LOCATION string = location

@description('Tenant of the subscription.')
output AZURE_TENANT_ID string = tenant().tenantId

@description('Name of the resource group.')
output AZURE_RESOURCE_GROUP string = group.name

// For the operator: names of resources

@description('Name of the function app.')
output AZURE_FUNCTION_APP_NAME string = names.functionApp

@description('Name of the vault.')
output AZURE_KEY_VAULT_NAME string = names.keyVault

@description('Name of the data account.')
output AZURE_DATA_STORAGE_NAME string = names.dataStorage

@description('Name of the Service Bus namespace.')
output AZURE_SERVICE_BUS_NAME string = names.serviceBus

@description('Name of the Log Analytics workspace.')
output AZURE_LOG_ANALYTICS_NAME string = names.workspace

@description('Address that answers monitors with what they ask a function key for.')
output STATUS_URL string = 'https://${functionApp.outputs.hostName}/api/status'

@description('Address that eMabler calls with events and taps.')
output EMABLER_PUSH_URL string = 'https://${functionApp.outputs.hostName}/api/emabler/push'

@description('The address that the app calls eMabler from, where it has one of its own.')
output EMABLER_CALLS_COME_FROM string = networkIsolation ? network!.outputs.outboundAddress : ''

@description('Secret of the vault that holds eMabler\'s connection string, with `sas`.')
output EMABLER_SERVICE_BUS_SECRET string = emablerSenderAuth == 'sas' ? 'emabler-service-bus' : ''

// For manage.py: the app's own settings, as an operator's machine needs them

@description('Address of the data account\'s table service.')
output DataStorageConnection__tableServiceUri string = dataStorage.outputs.tableEndpoint

@description('Address of the data account\'s blob service.')
output DataStorageConnection__blobServiceUri string = dataStorage.outputs.blobEndpoint

@description('Host name of the Service Bus namespace.')
output ServiceBusConnection__fullyQualifiedNamespace string = serviceBus.outputs.hostName

@description('Name of the queue of push events.')
output PUSH_QUEUE_NAME string = queueName

@description('Which eMabler this is.')
output EMABLER_ENVIRONMENT string = emablerEnvironment

@description('What else is set of the app, as JSON: an operator\'s machine works with the same.')
output APP_SETTINGS string = string(union(
  appSettingsDefaults,
  appSettings,
  { BLOB_SOFT_DELETE_DAYS: blobSoftDeleteDays }
))
