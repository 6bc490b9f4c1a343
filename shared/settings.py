"""The app's settings: read once, checked as a whole, each error with what to do.

Only what every function needs stops the start (`Settings.problems_of_all`); anything else that is
wrong disables the functions that need it, which then say so when they are called.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.backup_settings import BACKUP, BACKUP_SETTINGS
from shared.schedules import schedule
from shared.setting_values import ENVIRONMENTS
from shared.setting_values import environment as _environment
from shared.setting_values import key as _key
from shared.setting_values import names as _names
from shared.setting_values import number as _number
from shared.setting_values import one_of as _one_of
from shared.setting_values import path as _path
from shared.setting_values import seconds as _seconds
from shared.setting_values import secret as _secret
from shared.setting_values import some_of as _some_of
from shared.setting_values import text as _text
from shared.setting_values import url as _url
from shared.setting_values import whole as _whole
from shared.settings_checked import Setting, Settings
from shared.settings_of_kafka import KAFKA, KAFKA_SETTINGS
from shared.settings_of_reconciliation import OF_RECONCILIATION, ROOM
from shared.settings_reading import read_values

INGESTION, AUTHORIZATION, WEBHOOK, RECONCILIATION, RETENTION = (
    "ingestion",
    "authorization",
    "webhook",
    ROOM,
    "retention",
)
ALL = (INGESTION, AUTHORIZATION, WEBHOOK, RECONCILIATION, RETENTION, BACKUP, KAFKA)


def _age(what: str, meaning: str, days: int) -> Setting:
    name, read = f"RETENTION_{what}_DAYS", _whole(1, 36_600)
    return Setting(name, f"How many days {meaning}.", str(days), read, (RETENTION,), default=days)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "DataStorageConnection",
        "The storage account of the data: a connection string, or with `__tableServiceUri` "
        "appended its table address, used with a managed identity (`__blobServiceUri` where its "
        "blobs have another name than Azure gives them).",
        "DataStorageConnection__tableServiceUri=https://mydata.table.core.windows.net",
        _key,
        ALL,
        secret=True,
    ),
    Setting(
        "STORE_BUCKETS",
        "Over how many partitions each table is spread. Fixed when the store is made.",
        "4",
        _whole(1, 64),
        ALL,
        default=4,
    ),
    Setting(
        "ServiceBusConnection",
        "The Service Bus namespace: a connection string, or with `__fullyQualifiedNamespace` "
        "appended its host name, used with a managed identity.",
        "ServiceBusConnection__fullyQualifiedNamespace=mybus.servicebus.windows.net",
        _key,
        (INGESTION, WEBHOOK),
        secret=True,
    ),
    Setting(
        "PUSH_QUEUE_NAME",
        "The queue that eMabler's push events arrive on.",
        "push-events",
        _text,
        (INGESTION, WEBHOOK),
    ),
    Setting(
        "PUSH_TYPE_PROPERTIES",
        "Message properties that may name a message's type, the first that is there counts. "
        "The fields of the message decide all the same.",
        "messageType,eventType,type",
        _names,
        (INGESTION,),
        default="messageType,eventType,type",
    ),
    Setting(
        "RETENTION_JOURNAL_DAYS",
        "How many days the journal keeps an event, and how old one may be when it arrives. An "
        "older one is parked, since its repeat could not be recognised.",
        "400",
        _whole(30, 3660),
        (INGESTION, RETENTION),
        default=400,
    ),
    _age(
        "SESSIONS",
        "a session is kept after its end, with all that was said of it. It stays a day longer than "
        "the journal keeps its events at least, since an erasure finds them by the session",
        3650,
    ),
    _age("AUTHORIZATION", "the record of a tap is kept", 90),
    _age("PARKED", "a parked message is kept after it was parked last, whatever its state", 400),
    _age("RUNS", "a run of reconciliation is listed after it began", 90),
    _age("WINDOWS", "the proof of a window is kept after the window's end", 400),
    _age("FINDINGS", "a finding is kept after it was repaired, resolved or gone", 400),
    Setting(
        "RETENTION_SCHEDULE",
        "When the app looks whether that day's deleting of what is beyond its age is done: six "
        "fields, seconds first, UTC. Each time it works on it for eight minutes at most.",
        "0 8,23,38,53 * * * *",
        schedule,
        (RETENTION,),
        default="0 8,23,38,53 * * * *",
    ),
    *BACKUP_SETTINGS,
    Setting(
        "SESSION_MAX_POWER_KW",
        "The most that a socket of the fleet gives. A session with more energy than its time at "
        "that power allows is held: not to be billed before somebody looked at it.",
        "400",
        _whole(1, 4000),
        (INGESTION, RECONCILIATION),
        default=400,
    ),
    Setting(
        "INGEST_LONGEST_WAIT_SECONDS",
        "How long one delivery of a batch waits at most for a store that is away.",
        "120",
        _seconds(240),
        (INGESTION,),
        default=120,
    ),
    Setting(
        "TAG_HASH_KEY",
        "The key of the hash that stands for a tag in table keys. At least 32 characters.",
        "(a random text of 44 characters: openssl rand -base64 32)",
        _secret,
        (INGESTION, AUTHORIZATION, RECONCILIATION, RETENTION),
        secret=True,
    ),
    Setting(
        "WEBHOOK_AUTHORIZATION",
        "The Authorization value that eMabler sends with each call. At least 32 characters.",
        "(a random text of 44 characters: openssl rand -base64 32)",
        _secret,
        (AUTHORIZATION, WEBHOOK),
        secret=True,
    ),
    Setting(
        "WEBHOOK_AUTHORIZATION_PREVIOUS",
        "While the value is being changed: the one before, accepted as well.",
        "(the value before)",
        _secret,
        heeded_by=(AUTHORIZATION, WEBHOOK),
        secret=True,
    ),
    Setting(
        "TAG_HASH_KEY_PREVIOUS",
        "While tags are moved to a new key (`manage.py tags rehash`): the key before. Tags are "
        "found under both, and what lies under the current one counts.",
        "(the key before)",
        _secret,
        heeded_by=(AUTHORIZATION,),
        secret=True,
    ),
    Setting(
        "TAG_SPELLINGS",
        "Which other spellings of a card's number find its tag: `reversed` (the bytes turned "
        "round), `padded` (with or without zeros in front), parted by commas. Each costs a tap "
        "more reads, side by side.",
        "reversed,padded",
        _some_of("reversed", "padded"),
        heeded_by=(AUTHORIZATION,),
    ),
    Setting(
        "AUTHORIZATION_FALLBACK",
        "What answers a tap when the store does not, or not in time: `defer` (503: eMabler's own "
        "fallback decides), `deny`, or `last-known` (the snapshot of the tags; without one as "
        "`defer`).",
        "defer",
        _one_of("defer", "deny", "last-known"),
        (AUTHORIZATION,),
        default="defer",
    ),
    Setting(
        "AUTHORIZATION_SNAPSHOT_HOURS",
        "How old the snapshot of the tags may be, from the beginning of its scan, to answer taps "
        "under `last-known`.",
        "24",
        _whole(1, 24 * 7),
        (AUTHORIZATION,),
        default=24,
    ),
    Setting(
        "AUTHORIZATION_FACTS_SECONDS",
        "How long a worker remembers what it read of chargers and groups. A tag is read at each "
        "tap, and no tap is denied on remembered facts.",
        "30",
        _seconds(3600),
        (AUTHORIZATION,),
        default=30,
    ),
    Setting(
        "AUTHORIZATION_OPEN_SESSION_HOURS",
        "How long a session whose end is not known counts as open.",
        "24",
        _whole(1, 24 * 30),
        (AUTHORIZATION,),
        default=24,
    ),
    Setting(
        "AUTHORIZATION_BUDGET_MILLISECONDS",
        "How long a tap may take. Beyond it AUTHORIZATION_FALLBACK answers; eMabler's time-out has "
        "to be longer.",
        "1500",
        _whole(100, 60_000),
        (AUTHORIZATION,),
        default=1500,
    ),
    Setting(
        "EMABLER_ENVIRONMENT",
        "Which eMabler this is: test, staging or production. The store belongs to it.",
        "production",
        _environment,
        ALL,
    ),
    Setting(
        "EMABLER_BASE_URL",
        "The REST API's base address where it is not the environment's own.",
        "https://api.emabler.io/api/v2/cpo/",
        _url,
        heeded_by=(RECONCILIATION,),
    ),
    Setting(
        "EMABLER_API_KEY",
        "The key of eMabler's REST API (Connect, Settings, Developers).",
        "(the key as eMabler shows it)",
        _key,
        (RECONCILIATION,),
        secret=True,
    ),
    Setting(
        "EMABLER_TRANSACTIONS_PATH",
        "The call that lists finished sessions, below the base address.",
        "v3/transactions",
        _path,
        (RECONCILIATION,),
        default="v3/transactions",
    ),
    Setting(
        "EMABLER_ONGOING_PATH",
        "The call that lists ongoing sessions, below the base address.",
        "v2/ongoing-transactions",
        _path,
        (RECONCILIATION,),
        default="v2/ongoing-transactions",
    ),
    Setting(
        "EMABLER_CHARGERS_PATH",
        "The call that lists chargers, below the base address.",
        "v2/chargers",
        _path,
        (RECONCILIATION,),
        default="v2/chargers",
    ),
    Setting(
        "EMABLER_TAGS_PATH",
        "The call that lists tags, below the base address.",
        "v2/tags",
        _path,
        (RECONCILIATION,),
        default="v2/tags",
    ),
    Setting(
        "EMABLER_PUSH_CONFIGURATIONS_PATH",
        "The call that lists the Push API's configurations, below the base address.",
        "v2/push-integrations/configurations",
        _path,
        (RECONCILIATION,),
        default="v2/push-integrations/configurations",
    ),
    Setting(
        "EMABLER_PAGE_SIZE",
        "Sessions in a page: at most 200 for v3/transactions, 1000 for v2/transactions.",
        "200",
        _whole(1, 1000),
        (RECONCILIATION,),
        default=200,
    ),
    Setting(
        "EMABLER_LIST_PAGE_SIZE",
        "Rows in a page of all other lists: at most 100.",
        "100",
        _whole(1, 100),
        (RECONCILIATION,),
        default=100,
    ),
    Setting(
        "EMABLER_REQUESTS_PER_SECOND",
        "How many requests one run sends to eMabler's REST API at most in a second. Its own limits "
        "are not documented.",
        "5",
        _number(0.01, 1000),
        (RECONCILIATION,),
        default=5.0,
    ),
    Setting(
        "EMABLER_TIMEOUT_SECONDS",
        "How long eMabler's REST API may be silent. One whole answer may take twice as long.",
        "30",
        _number(0.01, 230),
        (RECONCILIATION,),
        default=30.0,
    ),
    Setting(
        "EMABLER_RETRY_SECONDS",
        "How long one request is tried again while REST throttles, fails or is away. A "
        "`Retry-After` that asks for more ends the run; the next one comes by itself.",
        "60",
        _seconds(600),
        (RECONCILIATION,),
        default=60.0,
    ),
    Setting(
        "TELEMETRY",
        "How telemetry leaves: `log`, line by line through the host, or `opentelemetry`, lines and "
        "spans from the app itself (docs/telemetry.md).",
        "log",
        _one_of("log", "opentelemetry"),
        default="log",
    ),
    *OF_RECONCILIATION,
    *KAFKA_SETTINGS,
)

IDENTITY_SUFFIXES: Mapping[str, str] = {
    "DataStorageConnection": "__tableServiceUri",
    "ServiceBusConnection": "__fullyQualifiedNamespace",
}
"""Where a connection is an address and an identity: what is appended to its name, as Azure does."""

BLOB_ADDRESS = "DataStorageConnection__blobServiceUri"
"""The blob service of the same account, where it has not the address that Azure would give it."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings from the environment, which is where Azure Functions puts app settings."""
    values, problems = read_values(SETTINGS, environ, IDENTITY_SUFFIXES)
    tables = values["DataStorageConnection__tableServiceUri"] or ""
    values[BLOB_ADDRESS] = environ.get(BLOB_ADDRESS, "").strip() or tables.replace(
        ".table.", ".blob.", 1
    )
    if not values["EMABLER_BASE_URL"] and values["EMABLER_ENVIRONMENT"]:
        values["EMABLER_BASE_URL"] = ENVIRONMENTS[values["EMABLER_ENVIRONMENT"]]
    return Settings(values, tuple(problems))
