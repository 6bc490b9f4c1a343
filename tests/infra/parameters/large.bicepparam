using '../../../infra/main.bicep'

// Everything at its limit: the longest name, all settings, the most of everything, nothing from outside.
param environmentName = 'The_(Longest).Name--of.an_environment-that-azd-takes-in-2026-001'
param location = 'germanywestcentral'
param tags = {
  costCentre: 'charging'
}
param principalId = '11111111-1111-1111-1111-111111111111'
param emablerEnvironment = 'production'
param emablerApiKey = 'made up: eMabler key'
param webhookAuthorization = 'made up: value of the webhook, long enough'
param tagHashKey = 'made up: key of the tag hash, long enough'
param emablerSenderAuth = 'entra'
param optionalSecrets = ['KAFKA_PASSWORD', 'TAG_HASH_KEY_PREVIOUS', 'WEBHOOK_AUTHORIZATION_PREVIOUS']
param appSettings = {
  STORE_BUCKETS: 16
  PUSH_TYPE_PROPERTIES: 'messageType,eventType,type'
  RETENTION_JOURNAL_DAYS: 400
  RETENTION_SESSIONS_DAYS: 3650
  RETENTION_AUTHORIZATION_DAYS: 90
  RETENTION_PARKED_DAYS: 400
  RETENTION_RUNS_DAYS: 90
  RETENTION_WINDOWS_DAYS: 400
  RETENTION_FINDINGS_DAYS: 400
  RETENTION_SCHEDULE: '0 8,23,38,53 * * * *'
  BACKUP_SCHEDULE: '0 */15 * * * *'
  BACKUP_EVERY_HOURS: 24
  BACKUP_KEEP_DAYS: 90
  BACKUP_JOURNAL_DAYS: 30
  SESSION_MAX_POWER_KW: 400
  INGEST_LONGEST_WAIT_SECONDS: 120
  AUTHORIZATION_BUDGET_MILLISECONDS: 1500
  TAG_SPELLINGS: 'reversed,padded'
  AUTHORIZATION_FALLBACK: 'last-known'
  AUTHORIZATION_SNAPSHOT_HOURS: 24
  AUTHORIZATION_FACTS_SECONDS: 30
  AUTHORIZATION_OPEN_SESSION_HOURS: 24
  EMABLER_BASE_URL: 'https://api.emabler.io/api/v2/cpo/'
  EMABLER_TRANSACTIONS_PATH: 'v3/transactions'
  EMABLER_PAGE_SIZE: 200
  TELEMETRY: 'opentelemetry'
  RECONCILE_SCHEDULE: '0 */5 * * * *'
  RECONCILE_FIRST_DAYS: 7
  RECONCILE_OVERLAP_MINUTES: 60
  RECONCILE_SETTLING_MINUTES: 2
  RECONCILE_RECENT_DAYS: 3
  RECONCILE_MONTH_DAYS: 35
  RECONCILE_ONGOING_MINUTES: 60
  RECONCILE_BEHIND_REQUESTS: 3000
  RECONCILE_LEASE_SECONDS: 600
  RECONCILE_ENERGY_TOLERANCE_WH: 100
  RECONCILE_ENERGY_TOLERANCE_PERCENT: 1
  RECONCILE_TIME_TOLERANCE_SECONDS: 120
  RECONCILE_GRACE_HOURS: 24
  RECONCILE_OPEN_HOURS: 24
  EMABLER_ONGOING_PATH: 'v2/ongoing-transactions'
  EMABLER_CHARGERS_PATH: 'v2/chargers'
  EMABLER_TAGS_PATH: 'v2/tags'
  EMABLER_PUSH_CONFIGURATIONS_PATH: 'v2/push-integrations/configurations'
  EMABLER_LIST_PAGE_SIZE: 100
  EMABLER_REQUESTS_PER_SECOND: '5'
  EMABLER_TIMEOUT_SECONDS: '30'
  EMABLER_RETRY_SECONDS: 60
  INVENTORY_EVERY_MINUTES: 60
  KAFKA_BROKER_LIST: 'broker-1.example:9093,broker-2.example:9093'
  KAFKA_TOPIC: 'emabler-push-events'
  KAFKA_CONSUMER_GROUP: 'emabler-functions'
  KAFKA_PROTOCOL: 'SaslSsl'
  KAFKA_AUTHENTICATION_MODE: 'ScramSha512'
  KAFKA_USERNAME: 'emabler-functions'
}
param scale = {
  instanceMemoryMB: 4096
  maximumInstanceCount: 1000
  alwaysReadyHttp: 1
  alwaysReadyIngestion: 1
  httpConcurrency: 100
}
param queueName = 'push-events-of-the-whole-fleet'
param queueMegabytes = 81920
param gatherMessages = 100
param gatherSeconds = 30
param serviceBusTier = 'Premium'
param messagingUnits = 16
param dataRedundancy = 'Standard_RAGZRS'
param hostRedundancy = 'Standard_ZRS'
param zoneRedundant = true
param logRetentionDays = 730
param logDailyCapGb = 1000
param blobSoftDeleteDays = 30
param backupImmutabilityDays = 35
param networkIsolation = true
param secretLifetimeDays = 3650
param deploymentTime = '20261126T120000Z'
param alertEmails = 'oncall@operator.example, charging@operator.example, oncall@operator.example,'
param alerts = {
  parked_messages: { enabled: false }
  ingestion_age: { threshold: 50, severity: 1, window: 'PT30M' }
  reconciliation_failing: { threshold: 15 }
  dead_letters: { threshold: 10, window: 'PT30M' }
  queue_waiting: { threshold: 80000 }
  availability: { threshold: 80, severity: 1 }
}
param runbooksUrl = 'https://handbook.operator.example/charging/'
param availabilityLocations = ['emea-nl-ams-azr', 'emea-gb-db3-azr', 'emea-fr-pra-edge', 'emea-se-sto-edge', 'us-va-ash-azr']
