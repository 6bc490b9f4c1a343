metadata name = 'Storage account'
metadata description = 'One storage account with its services, tables, containers, roles and diagnostics. Keys are off: only identities of Microsoft Entra get in.'

import { granteeType, roles } from '../../roles.bicep'
import { containerType } from '../../store.bicep'

@description('Required. Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. How many copies are kept, and where.')
param redundancy redundancyType

@description('Required. Tables to make.')
param tableNames string[]

@description('Required. Private blob containers to make.')
param containers containerType[]

@description('Required. How long a deleted blob or container can be brought back, in days.')
@minValue(1)
@maxValue(365)
param softDeleteDays int

@description('Required. Who may read and write rows and blobs, table by table and container by container.')
param contributors granteeType[]

@description('Required. Who owns the blobs of the whole account: the Functions host, in the account that is its own. Empty for the account of the data.')
param blobOwners granteeType[]

@description('Required. False: the account is reached through private endpoints and from the addresses given only.')
param publicAccess bool

@description('Required. IPv4 addresses or ranges of people who reach the account over the internet, where it is closed otherwise.')
param allowedAddresses string[]

@description('Required. Resource id of the workspace that logs and metrics go to.')
param workspaceId string

@export()
@description('How many copies are kept, and where.')
type redundancyType =
  | 'Standard_LRS'
  | 'Standard_ZRS'
  | 'Standard_GRS'
  | 'Standard_RAGRS'
  | 'Standard_GZRS'
  | 'Standard_RAGZRS'

// The role of each pair: all contributors of the first table, then of the second, …
var tableContributors = roles['Storage Table Data Contributor']
var blobContributors = roles['Storage Blob Data Contributor']
var expiring = filter(containers, container => container.?deleteAfterDays != null)

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
    }
    isLocalUserEnabled: false
    isSftpEnabled: false
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      // A lifecycle policy is turned away by the firewall like a stranger unless trusted services
      // of Azure are let in (learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-configure).
      bypass: empty(expiring) ? 'None' : 'AzureServices'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
      ipRules: [
        // The service takes single addresses without a prefix length only.
        for address in (publicAccess ? [] : allowedAddresses): {
          action: 'Allow'
          value: endsWith(address, '/32') ? split(address, '/')[0] : address
        }
      ]
      virtualNetworkRules: []
    }
    publicNetworkAccess: publicAccess || !empty(allowedAddresses) ? 'Enabled' : 'Disabled'
    supportsHttpsTrafficOnly: true
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = [
  for table in tableNames: {
    parent: tableService
    name: table
  }
]

resource blobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [
  for container in containers: {
    parent: blobService
    name: container.name
    properties: {
      publicAccess: 'None'
    }
  }
]

// A container-level policy, left unlocked: whoever may manage the account can still take it away.
resource immutability 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = [
  for (container, index) in containers: if ((container.?immutableDays ?? 0) > 0) {
    parent: blobContainers[index]
    name: 'default'
    properties: {
      allowProtectedAppendWrites: false
      immutabilityPeriodSinceCreationInDays: container.?immutableDays ?? 0
    }
  }
]

resource expiry 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = if (!empty(expiring)) {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        for container in expiring: {
          name: 'delete-${container.name}'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: map(container.?deleteUnder ?? [''], folder => '${container.name}/${folder}')
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterCreationGreaterThan: container.?deleteAfterDays ?? 0
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource tableRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for pair in range(0, length(tableNames) * length(contributors)): {
    scope: tables[pair / length(contributors)]
    name: guid(tables[pair / length(contributors)].id, contributors[pair % length(contributors)].key, tableContributors)
    properties: {
      principalId: contributors[pair % length(contributors)].id
      principalType: contributors[pair % length(contributors)].type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributors)
      description: 'Rows of this table.'
    }
  }
]

resource containerRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for pair in range(0, length(containers) * length(contributors)): {
    scope: blobContainers[pair / length(contributors)]
    name: guid(
      blobContainers[pair / length(contributors)].id,
      contributors[pair % length(contributors)].key,
      blobContributors
    )
    properties: {
      principalId: contributors[pair % length(contributors)].id
      principalType: contributors[pair % length(contributors)].type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributors)
      description: 'Blobs of this container.'
    }
  }
]

resource ownerRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for owner in blobOwners: {
    scope: account
    name: guid(account.id, owner.key, roles['Storage Blob Data Owner'])
    properties: {
      principalId: owner.id
      principalType: owner.type
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles['Storage Blob Data Owner']
      )
      description: 'The Functions host: its locks, its keys and the package.'
    }
  }
]

resource accountDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource blobDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in ['StorageRead', 'StorageWrite', 'StorageDelete']: {
        category: category
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource queueDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: queueService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in ['StorageRead', 'StorageWrite', 'StorageDelete']: {
        category: category
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

// Without reads: the addresses of point reads hold keys, and there is one for each tap.
resource tableDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: tableService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in ['StorageWrite', 'StorageDelete']: {
        category: category
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

@description('Resource id of the account.')
output resourceId string = account.id

@description('Address of the table service.')
output tableEndpoint string = account.properties.primaryEndpoints.table

@description('Address of the blob service.')
output blobEndpoint string = account.properties.primaryEndpoints.blob
