metadata name = 'Monitoring'
metadata description = 'Log Analytics and Application Insights. Both take Microsoft Entra identities only. Alerts and the workbook are modules of their own beside this one and use its outputs.'

import { granteeType, roles } from '../../roles.bicep'

@description('Required. Name of the workspace.')
@minLength(4)
@maxLength(63)
param workspaceName string

@description('Required. Name of the component.')
@minLength(1)
@maxLength(260)
param componentName string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param retentionDays int

@description('Required. Gigabytes a day after which the workspace takes no more until the next day.')
@minValue(1)
@maxValue(1000)
param dailyCapGb int

@description('Required. The app, which writes telemetry.')
param app granteeType

@description('Required. The people who read logs.')
param operators granteeType[]

@description('Required. The query alerts, which read logs.')
param alerts granteeType

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    workspaceCapping: {
      dailyQuotaGb: dailyCapGb
    }
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
    publicNetworkAccessForIngestion: 'Enabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: componentName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableIpMasking: false
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: 'Enabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource workspaceDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workspace
  name: 'to-workspace'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        categoryGroup: 'audit'
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

resource appMayWrite 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: component
  name: guid(component.id, app.key, roles['Monitoring Metrics Publisher'])
  properties: {
    principalId: app.id
    principalType: app.type
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles['Monitoring Metrics Publisher']
    )
    description: 'The app writes its telemetry.'
  }
}

resource operatorsMayRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for operator in operators: {
    scope: workspace
    name: guid(workspace.id, operator.key, roles['Log Analytics Reader'])
    properties: {
      principalId: operator.id
      principalType: operator.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Log Analytics Reader'])
      description: 'Operators read logs.'
    }
  }
]

// docs/decisions/0036-alerts.md
resource alertsMayRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: workspace
  name: guid(workspace.id, alerts.key, roles['Log Analytics Reader'])
  properties: {
    principalId: alerts.id
    principalType: alerts.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Log Analytics Reader'])
    description: 'Query alerts read logs.'
  }
}

@description('Resource id of the workspace, which all diagnostic settings write to.')
output workspaceId string = workspace.id

@description('Resource id of the component.')
output componentId string = component.id

@description('Connection string of the component. With local authentication off it is an address, not a secret.')
output connectionString string = component.properties.ConnectionString
