metadata name = 'Network'
metadata description = 'The virtual network: one subnet for the app, one for private endpoints, one address to the outside, and the private DNS zones.'

@description('Required. Name of the network; its parts are named after it.')
@minLength(2)
@maxLength(56)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. IPv4 range of the network, at least a /24.')
@minLength(9)
@maxLength(18)
param addressRange string

@description('Required. True: Service Bus has private endpoints, and so a zone.')
param withServiceBus bool

@description('Required. Resource id of the workspace that logs and metrics go to.')
param workspaceId string

var storageSuffix = environment().suffixes.storage
var zoneNames = concat(
  [
    'privatelink.blob.${storageSuffix}'
    'privatelink.queue.${storageSuffix}'
    'privatelink.table.${storageSuffix}'
    'privatelink.vaultcore.azure.net'
  ],
  withServiceBus ? ['privatelink.servicebus.windows.net'] : []
)

resource appRules 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${name}-app-nsg'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'deny-internet-inbound'
        properties: {
          description: 'Calls come through the platform, never straight to an instance. What the platform itself needs is in the default rules.'
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${name}-endpoints-nsg'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'allow-app'
        properties: {
          description: 'The app reaches storage, vault (443) and Service Bus (5671).'
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: cidrSubnet(addressRange, 26, 0)
          sourcePortRange: '*'
          destinationAddressPrefix: cidrSubnet(addressRange, 26, 1)
          destinationPortRanges: [
            '443'
            '5671'
          ]
        }
      }
      {
        name: 'deny-all-inbound'
        properties: {
          description: 'Nobody else does.'
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource outboundAddress 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: '${name}-outbound-ip'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
    publicIPAddressVersion: 'IPv4'
  }
}

resource outbound 'Microsoft.Network/natGateways@2025-05-01' = {
  name: '${name}-nat'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: outboundAddress.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressRange
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressRange, 26, 0)
          defaultOutboundAccess: false
          delegations: [
            {
              name: 'app'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
          natGateway: {
            id: outbound.id
          }
          networkSecurityGroup: {
            id: appRules.id
          }
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressRange, 26, 1)
          defaultOutboundAccess: false
          networkSecurityGroup: {
            id: endpointRules.id
          }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zoneNames: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in zoneNames: {
    parent: zones[index]
    name: name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource networkDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: network
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

resource appRulesDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: appRules
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource endpointRulesDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: endpointRules
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource addressDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: outboundAddress
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

@description('Resource id of the app\'s subnet.')
output appSubnetId string = '${network.id}/subnets/app'

@description('Resource id of the subnet of private endpoints.')
output endpointSubnetId string = '${network.id}/subnets/endpoints'

@description('Resource ids of the DNS zones of blob, queue, table and vault.')
output zoneIds { blob: string, queue: string, table: string, vault: string } = {
  blob: zones[0].id
  queue: zones[1].id
  table: zones[2].id
  vault: zones[3].id
}

@description('Resource id of the DNS zone of Service Bus, empty without one.')
output serviceBusZoneId string = withServiceBus ? zones[4].id : ''

@description('The address that the app calls eMabler from.')
output outboundAddress string = outboundAddress.properties.ipAddress
