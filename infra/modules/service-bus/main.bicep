metadata name = 'Service Bus'
metadata description = 'The namespace and the queue of push events, as docs/decisions/0008-outages.md reasons its times and limits.'

import { granteeType, roles } from '../../roles.bicep'

@description('Required. Name of the namespace.')
@minLength(6)
@maxLength(50)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Tier. Private endpoints and audit logs of the data plane need Premium.')
param tier 'Standard' | 'Premium'

@description('Required. Messaging units, Premium only.')
@allowed([1, 2, 4, 8, 16])
param messagingUnits int

@description('Required. Name of the queue.')
@minLength(1)
@maxLength(260)
param queueName string

@description('Required. How much the queue holds, in megabytes. Standard takes up to 5120.')
@allowed([1024, 2048, 3072, 4096, 5120, 10240, 20480, 40960, 81920])
param queueMegabytes int

@description('Required. How eMabler proves itself: by a key that can send to this queue and nothing else, or by an identity.')
param senderAuth 'sas' | 'entra'

@description('Required. The app, which receives, sends what came by webhook, and lets the platform read how much waits.')
param app granteeType

@description('Required. eMabler\'s identity, with `entra`; at most one.')
@maxLength(1)
param senders granteeType[]

@description('Required. The people who move dead letters.')
param operators granteeType[]

@description('Required. Name of the role that reads the queue\'s counts, unique in the tenant.')
@minLength(1)
@maxLength(128)
param scalingRoleName string

@description('Required. Name of the vault that the connection string of the sender goes into, with `sas`.')
param keyVaultName string

@description('Required. False: the namespace is reached through private endpoints and from the addresses given only. Heeded by Premium.')
param publicAccess bool

@description('Required. IPv4 addresses or ranges that reach the namespace over the internet, where it is closed otherwise.')
param allowedAddresses string[]

@description('Required. Resource id of the workspace that logs and metrics go to.')
param workspaceId string

var closed = tier == 'Premium' && !publicAccess
var receiver = roles['Azure Service Bus Data Receiver']
var sender = roles['Azure Service Bus Data Sender']
var receivers = concat([app], operators)
var allSenders = concat([app], operators, senders)

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: tier
    tier: tier
    capacity: tier == 'Premium' ? messagingUnits : null
  }
  properties: {
    disableLocalAuth: senderAuth == 'entra'
    minimumTlsVersion: '1.2'
    premiumMessagingPartitions: tier == 'Premium' ? 1 : null
    publicNetworkAccess: closed && empty(allowedAddresses) ? 'Disabled' : 'Enabled'
  }
}

resource networkRules 'Microsoft.ServiceBus/namespaces/networkRuleSets@2024-01-01' = if (closed) {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: empty(allowedAddresses) ? 'Disabled' : 'Enabled'
    defaultAction: 'Deny'
    trustedServiceAccessEnabled: false
    ipRules: [
      for address in allowedAddresses: {
        action: 'Allow'
        ipMask: address
      }
    ]
    virtualNetworkRules: []
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: queueName
  properties: {
    lockDuration: 'PT5M'
    maxDeliveryCount: 100
    defaultMessageTimeToLive: 'P14D'
    deadLetteringOnMessageExpiration: true
    maxSizeInMegabytes: queueMegabytes
    enableBatchedOperations: true
    enablePartitioning: false
    requiresDuplicateDetection: false
    requiresSession: false
    status: 'Active'
  }
}

resource sendRule 'Microsoft.ServiceBus/namespaces/queues/authorizationRules@2024-01-01' = if (senderAuth == 'sas') {
  parent: queue
  name: 'emabler-send'
  properties: {
    rights: [
      'Send'
    ]
  }
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: keyVaultName
}

// The one place where a key is read: it goes from the queue into the vault and nowhere else.
resource senderSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (senderAuth == 'sas') {
  parent: vault
  name: 'emabler-service-bus'
  tags: tags
  properties: {
    contentType: 'Connection string that eMabler sends push events with'
    value: sendRule!.listKeys().primaryConnectionString
  }
}

resource receiverRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principal in receivers: {
    scope: queue
    name: guid(queue.id, principal.key, receiver)
    properties: {
      principalId: principal.id
      principalType: principal.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
      description: 'Receives from this queue.'
    }
  }
]

resource senderRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principal in allSenders: {
    scope: queue
    name: guid(queue.id, principal.key, sender)
    properties: {
      principalId: principal.id
      principalType: principal.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
      description: 'Sends to this queue.'
    }
  }
]

// docs/decisions/0019-scaling-role.md
resource countsReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(namespace.id, 'counts reader')
  properties: {
    roleName: scalingRoleName
    description: 'Reads how many messages wait in a queue. No message, no key, no change.'
    type: 'customRole'
    permissions: [
      {
        actions: [
          'Microsoft.ServiceBus/namespaces/read'
          'Microsoft.ServiceBus/namespaces/queues/read'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource scalingRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: namespace
  name: guid(namespace.id, app.key, countsReader.id)
  properties: {
    principalId: app.id
    principalType: app.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', countsReader.name)
    description: 'The platform reads how many messages wait.'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: namespace
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
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

@description('Resource id of the namespace.')
output resourceId string = namespace.id

@description('Host name of the namespace.')
output hostName string = split(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':')[0]
