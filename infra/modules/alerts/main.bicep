metadata name = 'Alerts'
metadata description = 'The action group and all alert rules, as infra/alerts.bicep and infra/monitoring list them. Query alerts read the workspace with an identity of their own.'

import { alertsType, queries, webhookReceiverType } from '../../alerts.bicep'
import { joinParts } from '../../names.bicep'

@description('Required. Name of the action group.')
@minLength(1)
@maxLength(260)
param actionGroupName string

@description('Required. What names of alert rules begin with.')
@minLength(1)
@maxLength(60)
param namePrefix string

@description('Required. What titles begin with, so that a mail tells which environment it is about.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Required. Region of the query alerts.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Mail addresses that are told.')
@maxLength(100)
param emails string[]

@description('Required. Webhooks that are told.')
@maxLength(10)
param webhooks webhookReceiverType[]

@description('Required. What differs from infra/monitoring.')
param settings alertsType

@description('Required. Gigabytes of logs a day that the workspace takes.')
param dailyCapGb int

@description('Required. Resource id of the identity that reads the workspace for the query alerts.')
param identityId string

@description('Required. Name of the Log Analytics workspace.')
param workspaceName string

@description('Required. Name of the Application Insights component.')
param componentName string

@description('Required. Name of the Service Bus namespace.')
param serviceBusName string

@description('Required. Name of the queue of push events.')
param queueName string

@description('Required. Name of the data account.')
param dataStorageName string

@description('Required. Name of the availability test.')
param availabilityTestName string

@description('Required. False: the availability test is off, and so is the alert on it.')
param testsAvailability bool

@description('Required. What addresses of runbooks begin with.')
param runbooksUrl string

// Four fifths of the cap, in megabytes.
var followed = { daily_cap: dailyCapGb * 800 }
var queryAlerts = loadJsonContent('../../monitoring/alerts.json', 'alerts')
var metricAlerts = loadJsonContent('../../monitoring/metric-alerts.json', 'alerts')
var minutes = {
  PT5M: 5
  PT10M: 10
  PT15M: 15
  PT30M: 30
  PT45M: 45
  PT1H: 60
  PT2H: 120
  PT3H: 180
  PT4H: 240
  PT5H: 300
  PT6H: 360
  PT12H: 720
  P1D: 1440
  P2D: 2880
}
// Azure refuses a rule that looks at less time than passes between two looks.
var tooShort = filter(
  concat(queryAlerts, metricAlerts),
  alert => minutes[settings[?alert.name].?window ?? alert.window] < minutes[alert.frequency]
)
var checkedName = empty(tooShort)
  ? actionGroupName
  : fail('alerts: the window of ${join(map(tooShort, alert => alert.name), ', ')} is shorter than the time between two evaluations; take a longer one.')
var scopes = {
  serviceBus: namespace.id
  tables: account::tables.id
  component: component.id
}
var named = {
  serviceBus: [queueName]
  tables: []
  component: [availabilityTestName]
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusName
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: dataStorageName

  resource tables 'tableServices' existing = {
    name: 'default'
  }
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: checkedName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'emabler'
    emailReceivers: [
      for email in emails: {
        name: email
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
    webhookReceivers: [
      for webhook in webhooks: {
        name: webhook.name
        serviceUri: webhook.url
        useCommonAlertSchema: true
        useAadAuth: webhook.?entraObjectId != null
        objectId: webhook.?entraObjectId
        identifierUri: webhook.?entraIdentifierUri
        tenantId: webhook.?entraObjectId == null ? null : tenant().tenantId
      }
    ]
  }
}

resource queryRules 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for alert in queryAlerts: {
    name: joinParts([namePrefix, replace(alert.name, '_', '-')])
    location: location
    tags: tags
    kind: 'LogAlert'
    identity: {
      type: 'UserAssigned'
      userAssignedIdentities: {
        '${identityId}': {}
      }
    }
    properties: {
      displayName: '${environmentName}: ${alert.title}'
      description: '${alert.description} What to do: ${runbooksUrl}${alert.name}.md'
      severity: settings[?alert.name].?severity ?? alert.severity
      enabled: settings[?alert.name].?enabled ?? true
      scopes: [
        workspace.id
      ]
      evaluationFrequency: alert.frequency
      windowSize: settings[?alert.name].?window ?? alert.window
      autoMitigate: alert.resolves
      checkWorkspaceAlertsStorageConfigured: false
      // The role of the identity takes minutes to spread, and a table has no columns before its
      // first row: Azure's check would refuse what tests/infra has checked.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: queries[alert.name]
            metricMeasureColumn: alert.measure
            timeAggregation: alert.aggregation
            operator: alert.operator
            threshold: settings[?alert.name].?threshold ?? (followed[?alert.name] ?? alert.threshold)
            dimensions: [
              for dimension in alert.dimensions: {
                name: dimension
                operator: 'Include'
                values: [
                  '*'
                ]
              }
            ]
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          actionGroup.id
        ]
        customProperties: {
          alert: alert.name
          environment: environmentName
          runbook: '${runbooksUrl}${alert.name}.md'
        }
      }
    }
  }
]

resource metricRules 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for alert in metricAlerts: {
    name: joinParts([namePrefix, replace(alert.name, '_', '-')])
    location: 'global'
    tags: tags
    properties: {
      description: '${environmentName}: ${alert.title}. ${alert.description} What to do: ${runbooksUrl}${alert.name}.md'
      severity: settings[?alert.name].?severity ?? alert.severity
      enabled: (settings[?alert.name].?enabled ?? true) && (testsAvailability || alert.scope != 'component')
      scopes: [
        scopes[alert.scope]
      ]
      evaluationFrequency: alert.frequency
      windowSize: settings[?alert.name].?window ?? alert.window
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: alert.name
            metricNamespace: alert.namespace
            metricName: alert.metric
            timeAggregation: alert.aggregation
            operator: alert.operator
            threshold: settings[?alert.name].?threshold ?? alert.threshold
            dimensions: [
              {
                name: alert.dimension
                operator: 'Include'
                values: empty(alert.values) ? named[alert.scope] : alert.values
              }
            ]
          }
        ]
      }
      actions: [
        {
          actionGroupId: actionGroup.id
          webHookProperties: {
            alert: alert.name
            environment: environmentName
            runbook: '${runbooksUrl}${alert.name}.md'
          }
        }
      ]
    }
  }
]

@description('Resource id of the action group.')
output actionGroupId string = actionGroup.id
