using '../../../infra/main.bicep'

// A closed network: Premium Service Bus, private endpoints, eMabler and the operators by address.
param environmentName = 'isolated'
param location = 'westeurope'
param principalId = '44444444-4444-4444-4444-444444444444'
param principalType = 'ServicePrincipal'
param operatorsGroupId = '33333333-3333-3333-3333-333333333333'
param emablerEnvironment = 'production'
param emablerApiKey = 'made up: eMabler key'
param webhookAuthorization = 'made up: value of the webhook, long enough'
param tagHashKey = 'made up: key of the tag hash, long enough'
param emablerAddresses = ['203.0.113.16/28']
param operatorAddresses = ['198.51.100.7', '198.51.100.128/25']
param networkIsolation = true
param networkAddressRange = '10.20.30.0/24'
param serviceBusTier = 'Premium'
param queueMegabytes = 20480
param alertEmails = 'oncall@operator.example, charging@operator.example'
param alertWebhooks = [
  {
    name: 'pager'
    url: 'https://pager.operator.example/azure'
    entraObjectId: '55555555-5555-5555-5555-555555555555'
    entraIdentifierUri: 'api://pager'
  }
  {
    name: 'chat'
    url: 'https://chat.operator.example/alerts'
  }
]
param availabilityTest = 'always'
