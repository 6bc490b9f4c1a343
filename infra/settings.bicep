metadata name = 'App settings'
metadata description = 'The one list of the app\'s own settings. tests/infra holds it to shared/settings.py, local.settings.sample.json and docs/settings.md.'

// A new setting has one place here: a value that an operator may set is a property of
// appSettingsType, a secret is a row of secretNames, and what the template itself knows (an
// address, a name of a resource) is set in modules/function-app/main.bicep.

@export()
@sealed()
@description('What an operator may set of the app. What is left out has the default of the code (docs/settings.md).')
type appSettingsType = {
  @description('Optional. Over how many partitions each table is spread. Fixed when the store is made.')
  @minValue(1)
  @maxValue(64)
  STORE_BUCKETS: int?

  @description('Optional. Message properties that may name a message\'s type, parted by commas.')
  @minLength(1)
  @maxLength(200)
  PUSH_TYPE_PROPERTIES: string?

  @description('Optional. How old an event may be when it arrives, in days.')
  @minValue(30)
  @maxValue(3660)
  RETENTION_JOURNAL_DAYS: int?

  @description('Optional. How many days a session is kept after its end, with all that was said of it; a day longer than the journal keeps its events at least.')
  @minValue(1)
  @maxValue(36600)
  RETENTION_SESSIONS_DAYS: int?

  @description('Optional. How many days the record of a tap is kept.')
  @minValue(1)
  @maxValue(36600)
  RETENTION_AUTHORIZATION_DAYS: int?

  @description('Optional. How many days a parked message is kept after it was parked last, whatever its state.')
  @minValue(1)
  @maxValue(36600)
  RETENTION_PARKED_DAYS: int?

  @description('Optional. How many days a run of reconciliation is listed after it began.')
  @minValue(1)
  @maxValue(36600)
  RETENTION_RUNS_DAYS: int?

  @description('Optional. How many days the proof of a window is kept after the end of the window.')
  @minValue(1)
  @maxValue(36600)
  RETENTION_WINDOWS_DAYS: int?

  @description('Optional. How many days a finding is kept after it was repaired, resolved or gone.')
  @minValue(1)
  @maxValue(36600)
  RETENTION_FINDINGS_DAYS: int?

  @description('Optional. When the app looks whether that day\'s deleting of what is beyond its age is done: six fields, seconds first, UTC. Each time it works on it for eight minutes at most.')
  @minLength(11)
  @maxLength(100)
  RETENTION_SCHEDULE: string?

  @description('Optional. When the app looks whether a backup is due or under way: six fields, seconds first, UTC.')
  @minLength(11)
  @maxLength(100)
  BACKUP_SCHEDULE: string?

  @description('Optional. How old the latest backup may be before the next one begins, in hours. 0: none is taken.')
  @minValue(0)
  @maxValue(744)
  BACKUP_EVERY_HOURS: int?

  @description('Optional. How many days a backup is kept after it began. The account deletes what is a day older by itself.')
  @minValue(1)
  @maxValue(90)
  BACKUP_KEEP_DAYS: int?

  @description('Optional. How many days of the journal a backup takes along, by the day of each event.')
  @minValue(1)
  @maxValue(3660)
  BACKUP_JOURNAL_DAYS: int?

  @description('Optional. The most that a socket of the fleet gives, in kW.')
  @minValue(1)
  @maxValue(4000)
  SESSION_MAX_POWER_KW: int?

  @description('Optional. How long one delivery of a batch waits at most for a store that is away, in seconds.')
  @minValue(0)
  @maxValue(240)
  INGEST_LONGEST_WAIT_SECONDS: int?

  @description('Optional. How long a tap may take, in milliseconds.')
  @minValue(100)
  @maxValue(60000)
  AUTHORIZATION_BUDGET_MILLISECONDS: int?

  @description('Optional. Which other spellings of a card\'s number find its tag: reversed (the bytes turned round), padded (with or without zeros in front), parted by commas. Each costs a tap more reads, side by side.')
  @minLength(1)
  @maxLength(200)
  TAG_SPELLINGS: string?

  @description('Optional. What answers a tap when the store does not, or not in time: defer (503: eMabler\'s own fallback decides), deny, or last-known (the snapshot of the tags; without one as defer).')
  AUTHORIZATION_FALLBACK: ('defer' | 'deny' | 'last-known')?

  @description('Optional. How old the snapshot of the tags may be, from the beginning of its scan, to answer taps under last-known.')
  @minValue(1)
  @maxValue(168)
  AUTHORIZATION_SNAPSHOT_HOURS: int?

  @description('Optional. How long a worker remembers what it read of chargers and groups. A tag is read at each tap, and no tap is denied on remembered facts.')
  @minValue(0)
  @maxValue(3600)
  AUTHORIZATION_FACTS_SECONDS: int?

  @description('Optional. How long a session whose end is not known counts as open.')
  @minValue(1)
  @maxValue(720)
  AUTHORIZATION_OPEN_SESSION_HOURS: int?

  @description('Optional. The address of eMabler\'s REST API where it is not the environment\'s own.')
  @minLength(9)
  @maxLength(200)
  EMABLER_BASE_URL: string?

  @description('Optional. The call that lists finished sessions, below the base address.')
  @minLength(1)
  @maxLength(100)
  EMABLER_TRANSACTIONS_PATH: string?

  @description('Optional. Sessions in a page of REST.')
  @minValue(1)
  @maxValue(1000)
  EMABLER_PAGE_SIZE: int?

  @description('Optional. How telemetry leaves: log, line by line through the host, or opentelemetry, lines and spans from the app itself. What the host and the worker need for that is set as well.')
  TELEMETRY: ('log' | 'opentelemetry')?

  @description('Optional. When reconciliation runs: six fields, seconds first, UTC.')
  @minLength(11)
  @maxLength(100)
  RECONCILE_SCHEDULE: string?

  @description('Optional. How far back the first run of reconciliation begins, in days.')
  @minValue(1)
  @maxValue(366)
  RECONCILE_FIRST_DAYS: int?

  @description('Optional. How much of what is proven each run walks again, in minutes.')
  @minValue(0)
  @maxValue(1440)
  RECONCILE_OVERLAP_MINUTES: int?

  @description('Optional. How long after its end a session is not looked for yet, in minutes.')
  @minValue(0)
  @maxValue(1440)
  RECONCILE_SETTLING_MINUTES: int?

  @description('Optional. How many days back are proven again every day.')
  @minValue(1)
  @maxValue(35)
  RECONCILE_RECENT_DAYS: int?

  @description('Optional. How many days back are proven again every week.')
  @minValue(1)
  @maxValue(400)
  RECONCILE_MONTH_DAYS: int?

  @description('Optional. How often open sessions are compared with ongoing ones, in minutes.')
  @minValue(15)
  @maxValue(1440)
  RECONCILE_ONGOING_MINUTES: int?

  @description('Optional. Requests of one run for what was proven before.')
  @minValue(10)
  @maxValue(100000)
  RECONCILE_BEHIND_REQUESTS: int?

  @description('Optional. After how many seconds without a sign of life another run takes over.')
  @minValue(10)
  @maxValue(3600)
  RECONCILE_LEASE_SECONDS: int?

  @description('Optional. By how many Wh the stop\'s energy and REST\'s may differ before it is a finding, or by RECONCILE_ENERGY_TOLERANCE_PERCENT where that is more.')
  @minValue(0)
  @maxValue(100000)
  RECONCILE_ENERGY_TOLERANCE_WH: int?

  @description('Optional. By how many percent of what REST says energies may differ likewise.')
  @minValue(0)
  @maxValue(100)
  RECONCILE_ENERGY_TOLERANCE_PERCENT: int?

  @description('Optional. By how many seconds starts or ends of push and REST may differ before it is a finding.')
  @minValue(2)
  @maxValue(86400)
  RECONCILE_TIME_TOLERANCE_SECONDS: int?

  @description('Optional. How many hours after its end a session that eMabler lists nowhere is a finding, and after its start one without a transaction id that belongs to nothing.')
  @minValue(1)
  @maxValue(8784)
  RECONCILE_GRACE_HOURS: int?

  @description('Optional. How many hours a session may be open, at eMabler as well, before it is a finding.')
  @minValue(1)
  @maxValue(8784)
  RECONCILE_OPEN_HOURS: int?

  @description('Optional. The call that lists ongoing sessions, below the base address.')
  @minLength(1)
  @maxLength(200)
  EMABLER_ONGOING_PATH: string?

  @description('Optional. The call that lists chargers, below the base address.')
  @minLength(1)
  @maxLength(200)
  EMABLER_CHARGERS_PATH: string?

  @description('Optional. The call that lists tags, below the base address.')
  @minLength(1)
  @maxLength(200)
  EMABLER_TAGS_PATH: string?

  @description('Optional. The call that lists the Push API\'s configurations, below the base address.')
  @minLength(1)
  @maxLength(200)
  EMABLER_PUSH_CONFIGURATIONS_PATH: string?

  @description('Optional. Rows in a page of all other lists: at most 100.')
  @minValue(1)
  @maxValue(100)
  EMABLER_LIST_PAGE_SIZE: int?

  @description('Optional. How many requests one run sends to eMabler\'s REST API at most in a second. Its own limits are not documented.')
  @minLength(1)
  @maxLength(200)
  EMABLER_REQUESTS_PER_SECOND: string?

  @description('Optional. How long eMabler\'s REST API may be silent. One whole answer may take twice as long.')
  @minLength(1)
  @maxLength(200)
  EMABLER_TIMEOUT_SECONDS: string?

  @description('Optional. How long one request is tried again while REST throttles, fails or is away. A Retry-After that asks for more ends the run; the next one comes by itself.')
  @minValue(0)
  @maxValue(600)
  EMABLER_RETRY_SECONDS: int?

  @description('Optional. How old the inventory may be before a run of reconciliation refreshes it. 0: never.')
  @minValue(0)
  @maxValue(10080)
  INVENTORY_EVERY_MINUTES: int?

  @description('Optional. The brokers that push events are taken from, as host:port parted by commas. With it, topic, group and (unless KAFKA_PROTOCOL is Ssl) user name and the secret KAFKA_PASSWORD have to be there.')
  @minLength(3)
  @maxLength(1000)
  KAFKA_BROKER_LIST: string?

  @description('Optional. The topic of push events by Kafka.')
  @minLength(1)
  @maxLength(249)
  KAFKA_TOPIC: string?

  @description('Optional. The consumer group under which Kafka keeps the offsets.')
  @minLength(1)
  @maxLength(249)
  KAFKA_CONSUMER_GROUP: string?

  @description('Optional. How the brokers are reached: from Azure over TLS only.')
  KAFKA_PROTOCOL: ('SaslSsl' | 'Ssl')?

  @description('Optional. How the app proves itself to the brokers with SaslSsl.')
  KAFKA_AUTHENTICATION_MODE: ('Plain' | 'ScramSha256' | 'ScramSha512')?

  @description('Optional. The user name for the brokers.')
  @minLength(1)
  @maxLength(249)
  KAFKA_USERNAME: string?
}

@export()
@description('Values that stand where an operator sets none and the code has no default.')
var appSettingsDefaults = {
  RECONCILE_SCHEDULE: '0 */15 * * * *'
}

@export()
@description('How many days a backup is kept where an operator sets no BACKUP_KEEP_DAYS. A test holds it to shared/backup_settings.py.')
var defaultBackupKeepDays = 30

@export()
@description('How long a delivery waits for a store that is away where an operator sets no INGEST_LONGEST_WAIT_SECONDS. A test holds it to shared/settings.py.')
var defaultIngestLongestWaitSeconds = 120

@export()
@description('Settings that are secrets, and the secret of the vault that each one refers to.')
var secretNames = {
  EMABLER_API_KEY: 'emabler-api-key'
  KAFKA_PASSWORD: 'kafka-password'
  TAG_HASH_KEY: 'tag-hash-key'
  TAG_HASH_KEY_PREVIOUS: 'tag-hash-key-previous'
  WEBHOOK_AUTHORIZATION: 'webhook-authorization'
  WEBHOOK_AUTHORIZATION_PREVIOUS: 'webhook-authorization-previous'
}

@export()
@description('Secrets that every deployment has.')
var requiredSecrets = [
  'EMABLER_API_KEY'
  'TAG_HASH_KEY'
  'WEBHOOK_AUTHORIZATION'
]

@export()
@description('Secrets that are referred to on request only: an unresolved reference counts as a wrong setting and would disable what heeds it.')
type optionalSecretType = 'KAFKA_PASSWORD' | 'TAG_HASH_KEY_PREVIOUS' | 'WEBHOOK_AUTHORIZATION_PREVIOUS'
