metadata name = 'Function app'
metadata description = 'The app on Flex Consumption, its plan, and all of its settings.'

import { appSettingsDefaults, appSettingsType, secretNames } from '../../settings.bicep'

@description('Required. Name of the app.')
@minLength(2)
@maxLength(60)
param name string

@description('Required. Name of the plan.')
@minLength(1)
@maxLength(60)
param planName string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Name of the service in azure.yaml that is deployed here.')
param serviceName string

@description('Required. How the app scales.')
param scale scaleType

@description('Required. What is gathered of the queue before ingestion is called.')
param gathering gatheringType

@description('Required. True: instances are spread over availability zones.')
param zoneRedundant bool

@description('Required. The app\'s identity.')
param identity {
  @description('Required. Resource id.')
  resourceId: string

  @description('Required. Client id.')
  clientId: string
}

@description('Required. The host\'s storage account, and the address of the container that packages are deployed to.')
param host {
  @description('Required. Name of the account.')
  accountName: string

  @description('Required. Address of the container.')
  packageContainerUrl: string
}

@description('Required. Connection string of the Application Insights component.')
param telemetryConnectionString string

@description('Required. Address of the data account\'s table service.')
param tableEndpoint string

@description('Required. Address of the data account\'s blob service.')
param blobEndpoint string

@description('Required. Host name of the Service Bus namespace.')
param serviceBusHostName string

@description('Required. Name of the queue of push events.')
param queueName string

@description('Required. How long the data account keeps a blob that was deleted, in days.')
param blobSoftDeleteDays int

@description('Required. Which eMabler this is.')
param emablerEnvironment string

@description('Required. What the operator sets of the app.')
param appSettings appSettingsType

@description('Required. Settings that refer to a secret of the vault.')
param secretSettings string[]

@description('Required. Address of the vault.')
param vaultUri string

@description('Required. Resource id of the subnet that the app calls out through; empty: none.')
param subnetId string

@description('Required. IPv4 addresses or ranges that may call the app; empty: everybody, who then needs the Authorization value all the same.')
param callerAddresses string[]

@description('Required. True: the availability test may call the app where callers are named. Its machines call for all customers of Azure.')
param availabilityTestMayCall bool

@description('Required. IPv4 addresses or ranges that may deploy to the app; heeded where `deploymentRestricted`.')
param deploymentAddresses string[]

@description('Required. True: only `deploymentAddresses` may deploy.')
param deploymentRestricted bool

@description('Required. Resource id of the workspace that logs and metrics go to.')
param workspaceId string

@export()
@sealed()
@description('How the app scales.')
type scaleType = {
  @description('Optional. Memory of an instance, in megabytes. 2048 by default.')
  instanceMemoryMB: 512 | 2048 | 4096?

  @description('Optional. How many instances there are at most. 100 by default.')
  @minValue(40)
  @maxValue(1000)
  maximumInstanceCount: int?

  @description('Optional. How many instances are always ready for taps and webhook calls. 1 by default; 2 at least with zone redundancy.')
  @minValue(0)
  @maxValue(20)
  alwaysReadyHttp: int?

  @description('Optional. How many instances are always ready for messages of the queue. 0 by default: after a quiet time the first message may wait for minutes. 2 at least with zone redundancy, where there are any.')
  @minValue(0)
  @maxValue(20)
  alwaysReadyIngestion: int?

  @description('Optional. How many taps and webhook calls one instance answers side by side. 16 by default.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int?
}

@export()
@sealed()
@description('How many messages of the queue make a call of ingestion.')
type gatheringType = {
  @description('Required. So many at least, unless `seconds` pass before. 1: nothing is waited for.')
  @minValue(1)
  @maxValue(100)
  messages: int

  @description('Required. How long is waited for them at most, since the first of them.')
  @minValue(1)
  @maxValue(30)
  seconds: int
}

// By Azure's names: HTTP functions are one group, any other function is one of its own.
var alwaysReady = {
  http: max(scale.?alwaysReadyHttp ?? 1, zoneRedundant ? 1 : 0)
  'function:ingest_push_events': scale.?alwaysReadyIngestion ?? 0
}
var alwaysReadyGroups = filter(items(alwaysReady), group => group.value > 0)

var callers = map(range(0, length(callerAddresses)), index => {
  action: 'Allow'
  ipAddress: contains(callerAddresses[index], '/') ? callerAddresses[index] : '${callerAddresses[index]}/32'
  name: 'caller-${index}'
  priority: 100 + index
})
var testCallers = {
  action: 'Allow'
  ipAddress: 'ApplicationInsightsAvailability'
  tag: 'ServiceTag'
  name: 'availability-test'
  priority: 900
}

var ownSettings = mapValues(union(appSettingsDefaults, appSettings), value => string(value))

var secretReferences = toObject(
  secretSettings,
  setting => setting,
  setting => '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${secretNames[setting]})'
)

var platformSettings = {
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.clientId};Authorization=AAD'
  APPLICATIONINSIGHTS_CONNECTION_STRING: telemetryConnectionString
  AzureWebJobsStorage__accountName: host.accountName
  AzureWebJobsStorage__clientId: identity.clientId
  AzureWebJobsStorage__credential: 'managedidentity'
}

// Host and worker have to know that the app sends its own lines, or each is sent twice.
var telemetrySettings = appSettings.?TELEMETRY == 'opentelemetry'
  ? {
      AzureFunctionsJobHost__telemetryMode: 'OpenTelemetry'
      OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
      OTEL_TRACES_SAMPLER_ARG: '1'
      PYTHON_ENABLE_OPENTELEMETRY: 'true'
    }
  : {}

// host.json's values of these names, overridden: a choice of the operator's is no change of the app.
var gatheringSettings = gathering.messages > 1
  ? {
      AzureFunctionsJobHost__extensions__serviceBus__maxBatchWaitTime: '00:00:${padLeft(gathering.seconds, 2, '0')}'
      AzureFunctionsJobHost__extensions__serviceBus__minMessageBatchSize: string(gathering.messages)
    }
  : {}

var connectionSettings = {
  BLOB_SOFT_DELETE_DAYS: string(blobSoftDeleteDays)
  DataStorageConnection__blobServiceUri: blobEndpoint
  DataStorageConnection__clientId: identity.clientId
  DataStorageConnection__credential: 'managedidentity'
  DataStorageConnection__tableServiceUri: tableEndpoint
  EMABLER_ENVIRONMENT: emablerEnvironment
  PUSH_QUEUE_NAME: queueName
  ServiceBusConnection__clientId: identity.clientId
  ServiceBusConnection__credential: 'managedidentity'
  ServiceBusConnection__fullyQualifiedNamespace: serviceBusHostName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.resourceId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    clientAffinityEnabled: false
    httpsOnly: true
    keyVaultReferenceIdentity: identity.resourceId
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: host.packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.resourceId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: scale.?instanceMemoryMB ?? 2048
        maximumInstanceCount: scale.?maximumInstanceCount ?? 100
        alwaysReady: [
          for group in alwaysReadyGroups: {
            name: group.key
            instanceCount: zoneRedundant ? max(group.value, 2) : group.value
          }
        ]
        triggers: {
          http: {
            perInstanceConcurrency: scale.?httpConcurrency ?? 16
          }
        }
      }
    }
    siteConfig: {
      http20Enabled: true
      ipSecurityRestrictions: concat(callers, availabilityTestMayCall && !empty(callerAddresses) ? [testCallers] : [])
      ipSecurityRestrictionsDefaultAction: empty(callerAddresses) ? 'Allow' : 'Deny'
      minTlsVersion: '1.2'
      remoteDebuggingEnabled: false
      scmIpSecurityRestrictions: [
        for (address, index) in (deploymentRestricted ? deploymentAddresses : []): {
          action: 'Allow'
          ipAddress: contains(address, '/') ? address : '${address}/32'
          name: 'deployer-${index}'
          priority: 100 + index
        }
      ]
      scmIpSecurityRestrictionsDefaultAction: deploymentRestricted ? 'Deny' : 'Allow'
      scmIpSecurityRestrictionsUseMain: false
      scmMinTlsVersion: '1.2'
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(
      ownSettings,
      connectionSettings,
      platformSettings,
      telemetrySettings,
      gatheringSettings,
      secretReferences
    )
  }

  resource basicFtp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource basicScm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}

resource planDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: plan
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

resource appDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

@description('Resource id of the app.')
output resourceId string = app.id

@description('Host name of the app.')
output hostName string = app.properties.defaultHostName
