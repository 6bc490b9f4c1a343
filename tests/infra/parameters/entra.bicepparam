using '../../../infra/main.bicep'

// eMabler sends with an identity: no key of the namespace works at all.
param environmentName = 'entra'
param location = 'westeurope'
param principalId = '11111111-1111-1111-1111-111111111111'
param emablerEnvironment = 'production'
param emablerApiKey = 'made up: eMabler key'
param webhookAuthorization = 'made up: value of the webhook, long enough'
param tagHashKey = 'made up: key of the tag hash, long enough'
param emablerSenderAuth = 'entra'
param emablerSenderPrincipalId = '22222222-2222-2222-2222-222222222222'
param availabilityTest = 'never'
param gatherMessages = 20
