metadata name = 'Workbook'
metadata description = 'How the app is, at a glance: infra/monitoring/workbook.json, which is made of the queries in infra/monitoring/workbook.'

@description('Required. Name of the workspace that it reads.')
@minLength(4)
@maxLength(63)
param workspaceName string

@description('Required. Name of the component in whose gallery it is listed.')
@minLength(1)
@maxLength(260)
param componentName string

@description('Required. Name of the environment, which its title tells.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // Azure takes nothing but a GUID for its name.
  name: guid(component.id, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'eMabler: ${environmentName}'
    description: 'Events, taps, proof and cost.'
    category: 'workbook'
    sourceId: component.id
    version: 'Notebook/1.0'
    serializedData: replace(loadTextContent('../../monitoring/workbook.json'), '{workspace}', workspace.id)
  }
}

@description('Resource id of the workbook.')
output resourceId string = workbook.id
