metadata name = 'Identity'
metadata description = 'The one identity of the app: what it may do is granted to nobody else, and outlives the app itself.'

@description('Required. Name of the identity.')
@minLength(3)
@maxLength(128)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Resource id of the identity.')
output resourceId string = identity.id

@description('Object id in Microsoft Entra, which roles are given to.')
output principalId string = identity.properties.principalId

@description('Client id, which the app names when it asks for a token.')
output clientId string = identity.properties.clientId
