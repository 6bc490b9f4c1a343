using '../../../infra/main.bicep'

// eMabler sends with a key; the webhook answers eMabler's addresses only; no operator is named.
param environmentName = 'sas'
param location = 'northeurope'
param emablerEnvironment = 'staging'
param emablerApiKey = 'made up: eMabler key'
param webhookAuthorization = 'made up: value of the webhook, long enough'
param tagHashKey = 'made up: key of the tag hash, long enough'
param emablerSenderAuth = 'sas'
param emablerAddresses = ['203.0.113.16/28', '203.0.113.40']
param optionalSecrets = ['WEBHOOK_AUTHORIZATION_PREVIOUS']
