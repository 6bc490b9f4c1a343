metadata name = 'Key Vault'
metadata description = 'The vault of the app\'s secrets. A secret is written once, at the first deployment, and never again: who rotates it does so in the vault.'

import { granteeType, roles } from '../../roles.bicep'
import { secretNames } from '../../settings.bicep'

@description('Required. Name of the vault.')
@minLength(3)
@maxLength(24)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. True: nobody can purge the vault before 90 days are over, which cannot be undone.')
param purgeProtection bool

@description('Required. eMabler\'s API key. Written where the vault has none.')
@minLength(1)
@secure()
param emablerApiKey string

@description('Required. Key of the hash that stands for a tag. Written where the vault has none.')
@minLength(32)
@secure()
param tagHashKey string

@description('Required. Value that eMabler sends with each call. Written where the vault has none.')
@minLength(32)
@secure()
param webhookAuthorization string

@description('Required. When secrets that are written now end, in seconds since 1970. Azure gives notice thirty days before; what has ended can still be read.')
param secretsEnd int

@description('Required. Settings whose secrets the app may read.')
param readableSettings string[]

@description('Required. The app, which reads its secrets and no other.')
param app granteeType

@description('Required. The people who rotate secrets.')
param operators granteeType[]

@description('Required. False: the vault is reached through private endpoints and from the addresses given only.')
param publicAccess bool

@description('Required. IPv4 addresses or ranges of people who reach the vault over the internet, where it is closed otherwise.')
param allowedAddresses string[]

@description('Required. Resource id of the workspace that logs and metrics go to.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // Azure takes true or nothing here.
    enablePurgeProtection: purgeProtection ? true : null
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
      ipRules: [
        for address in (publicAccess ? [] : allowedAddresses): {
          value: address
        }
      ]
      virtualNetworkRules: []
    }
    publicNetworkAccess: publicAccess || !empty(allowedAddresses) ? 'Enabled' : 'Disabled'
  }
}

@onlyIfNotExists()
resource emablerApiKeySecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: secretNames.EMABLER_API_KEY
  tags: tags
  properties: {
    contentType: 'EMABLER_API_KEY'
    value: emablerApiKey
    attributes: {
      exp: secretsEnd
    }
  }
}

@onlyIfNotExists()
resource tagHashKeySecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: secretNames.TAG_HASH_KEY
  tags: tags
  properties: {
    contentType: 'TAG_HASH_KEY'
    value: tagHashKey
    attributes: {
      exp: secretsEnd
    }
  }
}

@onlyIfNotExists()
resource webhookAuthorizationSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: secretNames.WEBHOOK_AUTHORIZATION
  tags: tags
  properties: {
    contentType: 'WEBHOOK_AUTHORIZATION'
    value: webhookAuthorization
    attributes: {
      exp: secretsEnd
    }
  }
}

resource readable 'Microsoft.KeyVault/vaults/secrets@2024-11-01' existing = [
  for setting in readableSettings: {
    parent: vault
    name: secretNames[setting]
  }
]

resource appMayRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (setting, index) in readableSettings: {
    scope: readable[index]
    name: guid(readable[index].id, app.key, roles['Key Vault Secrets User'])
    properties: {
      principalId: app.id
      principalType: app.type
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles['Key Vault Secrets User']
      )
      description: 'The app reads ${setting}.'
    }
    dependsOn: [
      emablerApiKeySecret
      tagHashKeySecret
      webhookAuthorizationSecret
    ]
  }
]

resource operatorsMayRotate 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for operator in operators: {
    scope: vault
    name: guid(vault.id, operator.key, roles['Key Vault Secrets Officer'])
    properties: {
      principalId: operator.id
      principalType: operator.type
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles['Key Vault Secrets Officer']
      )
      description: 'Operators rotate secrets.'
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
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

@description('Resource id of the vault.')
output resourceId string = vault.id

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
