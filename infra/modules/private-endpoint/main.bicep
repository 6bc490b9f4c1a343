metadata name = 'Private endpoint'
metadata description = 'One service of one resource, reached from inside the virtual network, with its name in private DNS.'

@description('Required. Name of the endpoint.')
@minLength(2)
@maxLength(64)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Resource id of the subnet.')
param subnetId string

@description('Required. Resource id of what is reached.')
param targetId string

@description('Required. Which of its services.')
param service 'blob' | 'queue' | 'table' | 'vault' | 'namespace'

@description('Required. Resource id of the private DNS zone of that service.')
param zoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    customNetworkInterfaceName: '${name}-nic'
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            service
          ]
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service
        properties: {
          privateDnsZoneId: zoneId
        }
      }
    ]
  }
}
