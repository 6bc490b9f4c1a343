metadata name = 'Alerts'
metadata description = 'The one list of alerts: their queries, and what an operator may set of each. tests/infra holds it to infra/monitoring and docs/runbooks.'

// A new query alert has three places: a row of monitoring/alerts.json, its query in
// monitoring/alerts, and here a property of alertsType and a line of queries. A new metric alert is
// a row of monitoring/metric-alerts.json and a property of alertsType.

@export()
@sealed()
@description('What an operator may set of a query alert. What is left out is as infra/monitoring has it.')
type queryAlertType = {
  @description('Optional. False: the alert is there and never fires.')
  enabled: bool?

  @description('Optional. How bad it is: 0 critical, 1 error, 2 warning, 3 informational, 4 verbose.')
  severity: (0 | 1 | 2 | 3 | 4)?

  @description('Optional. The limit, in the unit of the alert.')
  @minValue(0)
  @maxValue(1000000000)
  threshold: int?

  @description('Optional. How much time one evaluation looks at: no less than passes between two of them.')
  window: (
    | 'PT5M'
    | 'PT10M'
    | 'PT15M'
    | 'PT30M'
    | 'PT45M'
    | 'PT1H'
    | 'PT2H'
    | 'PT3H'
    | 'PT4H'
    | 'PT5H'
    | 'PT6H'
    | 'P1D'
    | 'P2D')?
}

@export()
@sealed()
@description('What an operator may set of a metric alert. What is left out is as infra/monitoring has it.')
type metricAlertType = {
  @description('Optional. False: the alert is there and never fires.')
  enabled: bool?

  @description('Optional. How bad it is: 0 critical, 1 error, 2 warning, 3 informational, 4 verbose.')
  severity: (0 | 1 | 2 | 3 | 4)?

  @description('Optional. The limit, in the unit of the alert.')
  @minValue(0)
  @maxValue(1000000000)
  threshold: int?

  @description('Optional. How much time one evaluation looks at: no less than passes between two of them.')
  window: ('PT5M' | 'PT15M' | 'PT30M' | 'PT1H' | 'PT6H' | 'PT12H' | 'P1D')?
}

@export()
@sealed()
@description('What an operator may set of the alerts, by name.')
type alertsType = {
  @description('Optional. Messages were parked.')
  parked_messages: queryAlertType?

  @description('Optional. Events arrive late in the store.')
  ingestion_age: queryAlertType?

  @description('Optional. Invocations fail.')
  invocations_failing: queryAlertType?

  @description('Optional. A function does not do its work. Its threshold, in hours, is by how much schedules pause longer than the alert expects: reconciliation 2 h, backups 6 h, retention 30 h.')
  function_silent: queryAlertType?

  @description('Optional. Taps are answered slowly.')
  taps_slow: queryAlertType?

  @description('Optional. Taps are answered without the store.')
  taps_by_policy: queryAlertType?

  @description('Optional. Calls with a wrong Authorization value.')
  tokens_refused: queryAlertType?

  @description('Optional. A burst of unknown tags.')
  unknown_tags: queryAlertType?

  @description('Optional. Rows of the audit of taps are lost.')
  audit_lost: queryAlertType?

  @description('Optional. Reconciliation has not succeeded for two periods. Its threshold, in minutes, is two periods of RECONCILE_SCHEDULE and the time of one run.')
  reconciliation_failing: queryAlertType?

  @description('Optional. A day\'s proof is too old.')
  proof_old: queryAlertType?

  @description('Optional. Reconciliation found something new.')
  findings_new: queryAlertType?

  @description('Optional. eMabler has stopped pushing.')
  push_silent: queryAlertType?

  @description('Optional. The latest backup is too old. Its threshold, in hours, is BACKUP_EVERY_HOURS and the time that a backup takes.')
  backup_old: queryAlertType?

  @description('Optional. Log Analytics nears its daily cap. Its threshold follows logDailyCapGb.')
  daily_cap: queryAlertType?

  @description('Optional. A secret nears its end.')
  secret_expiring: queryAlertType?

  @description('Optional. Messages became dead letters.')
  dead_letters: metricAlertType?

  @description('Optional. Messages wait in the queue. Its threshold, in messages, is two minutes of the busiest hour, and no less than what a few chargers send in an hour.')
  queue_waiting: metricAlertType?

  @description('Optional. Table Storage turns requests away.')
  table_throttling: metricAlertType?

  @description('Optional. The app does not answer from outside.')
  availability: metricAlertType?
}

@export()
@description('A webhook that is told of alerts.')
type webhookReceiverType = {
  @description('Required. Its name in the action group.')
  @minLength(1)
  @maxLength(100)
  name: string

  @description('Required. Its address. Whoever may read the resource group sees it: take one that asks for an Entra token, or one without a key in it.')
  @minLength(9)
  @maxLength(2000)
  url: string

  @description('Optional. Object id of the Entra application that guards the webhook: Azure then sends a token.')
  @maxLength(36)
  entraObjectId: string?

  @description('Optional. Identifier URI of that application.')
  @maxLength(500)
  entraIdentifierUri: string?
}

@export()
@description('The query of each query alert, as monitoring/alerts.json names them.')
var queries = {
  parked_messages: loadTextContent('monitoring/alerts/parked_messages.kql')
  ingestion_age: loadTextContent('monitoring/alerts/ingestion_age.kql')
  invocations_failing: loadTextContent('monitoring/alerts/invocations_failing.kql')
  function_silent: loadTextContent('monitoring/alerts/function_silent.kql')
  taps_slow: loadTextContent('monitoring/alerts/taps_slow.kql')
  taps_by_policy: loadTextContent('monitoring/alerts/taps_by_policy.kql')
  tokens_refused: loadTextContent('monitoring/alerts/tokens_refused.kql')
  unknown_tags: loadTextContent('monitoring/alerts/unknown_tags.kql')
  audit_lost: loadTextContent('monitoring/alerts/audit_lost.kql')
  reconciliation_failing: loadTextContent('monitoring/alerts/reconciliation_failing.kql')
  proof_old: loadTextContent('monitoring/alerts/proof_old.kql')
  findings_new: loadTextContent('monitoring/alerts/findings_new.kql')
  push_silent: loadTextContent('monitoring/alerts/push_silent.kql')
  backup_old: loadTextContent('monitoring/alerts/backup_old.kql')
  daily_cap: loadTextContent('monitoring/alerts/daily_cap.kql')
  secret_expiring: loadTextContent('monitoring/alerts/secret_expiring.kql')
}
