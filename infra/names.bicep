metadata name = 'Names'
metadata description = 'The one table of names that have to be unique in Azure or in the resource group. A part of a resource is named after it, or by what it is.'

@export()
@description('The name of each resource, within the lengths and characters that its service allows.')
type namesType = {
  @description('Resource group: 1 to 90 characters.')
  resourceGroup: string

  @description('User-assigned identity: 3 to 128 characters.')
  identity: string

  @description('Log Analytics workspace: 4 to 63 characters.')
  workspace: string

  @description('Application Insights component: 1 to 260 characters.')
  component: string

  @description('Storage account of the Functions host: 3 to 24 lower-case letters and digits.')
  hostStorage: string

  @description('Storage account of the data: 3 to 24 lower-case letters and digits.')
  dataStorage: string

  @description('Service Bus namespace: 6 to 50 characters, not ending in -sb or -mgmt.')
  serviceBus: string

  @description('Key Vault: 3 to 24 characters, no two hyphens side by side.')
  keyVault: string

  @description('Flex Consumption plan: 1 to 60 characters.')
  plan: string

  @description('Function app: 2 to 60 characters.')
  functionApp: string

  @description('Virtual network: 2 to 64 characters. The parts of the network are named after it.')
  network: string

  @description('User-assigned identity of the query alerts: 3 to 128 characters.')
  alertsIdentity: string

  @description('Action group: 1 to 260 characters. Alert rules begin with `alert`.')
  actionGroup: string

  @description('Availability test: 1 to 260 characters.')
  availabilityTest: string

  @description('What names of alert rules begin with.')
  alerts: string
}

@export()
@description('The name of the role that lets the platform read how many messages wait. Unique in a tenant.')
func scalingRoleName(token string) string => 'Service Bus queue counts reader ${token}'

@export()
@description('Parts joined by single hyphens; empty parts are left out.')
func joinParts(parts string[]) string => join(filter(split(join(parts, '-'), '-'), part => !empty(part)), '-')

@export()
@description('An environment name as part of a resource name: lower case, letters, digits and hyphens, at most 20 characters.')
func slugOf(environmentName string) string =>
  take(replace(replace(replace(replace(toLower(environmentName), '_', '-'), '.', '-'), '(', '-'), ')', '-'), 20)

@export()
@description('The names of one environment. The token tells apart equal environment names in other subscriptions and regions.')
func namesOf(environmentName string, token string) namesType => {
  resourceGroup: 'rg-${take(replace(environmentName, '.', '-'), 64)}'
  identity: joinParts(['id', slugOf(environmentName), token])
  workspace: joinParts(['log', slugOf(environmentName), token])
  component: joinParts(['appi', slugOf(environmentName), token])
  hostStorage: 'sth${token}'
  dataStorage: 'std${token}'
  serviceBus: joinParts(['sbns', slugOf(environmentName), token])
  keyVault: 'kv-${token}'
  plan: joinParts(['plan', slugOf(environmentName), token])
  functionApp: joinParts(['func', slugOf(environmentName), token])
  network: joinParts(['vnet', slugOf(environmentName), token])
  alertsIdentity: joinParts(['id', slugOf(environmentName), 'alerts', token])
  actionGroup: joinParts(['ag', slugOf(environmentName), token])
  availabilityTest: joinParts(['avail', slugOf(environmentName), token])
  alerts: joinParts(['alert', slugOf(environmentName)])
}
