using '../../../infra/main.bicep'

// What an operator gets who answers azd's questions and sets nothing else.
param environmentName = 'plain'
param location = 'westeurope'
param principalId = '11111111-1111-1111-1111-111111111111'
param emablerEnvironment = 'test'
param emablerApiKey = 'made up: eMabler key'
param webhookAuthorization = 'made up: value of the webhook, long enough'
param tagHashKey = 'made up: key of the tag hash, long enough'
