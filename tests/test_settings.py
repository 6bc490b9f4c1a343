"""Settings: each that is missing or wrong disables its own rooms, and says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.backup_settings import BACKUP
from shared.errors import SettingError
from shared.setting_values import ENVIRONMENTS
from shared.settings import (
    ALL,
    AUTHORIZATION,
    INGESTION,
    RECONCILIATION,
    RETENTION,
    SETTINGS,
    WEBHOOK,
    read_settings,
)
from shared.settings_of_kafka import KAFKA
from shared.storage.connect import connect_tables

CHECKOUT = Path(__file__).resolve().parent.parent
EVERYBODY = set(ALL)
SECRET = "correct horse battery staple 0123456789"
UNRESOLVED = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/of-ours)"

RIGHT = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "STORE_BUCKETS": "8",
    "ServiceBusConnection": "Endpoint=sb://bus.example;SharedAccessKeyName=n;SharedAccessKey=k",
    "PUSH_QUEUE_NAME": "push-events",
    "TAG_HASH_KEY": SECRET,
    "WEBHOOK_AUTHORIZATION": SECRET.upper(),
    "EMABLER_ENVIRONMENT": "production",
    "EMABLER_API_KEY": "key-of-emabler",
    "EMABLER_PAGE_SIZE": "100",
    "RECONCILE_SCHEDULE": "0 */15 * * * *",
    "RECONCILE_FIRST_DAYS": "7",
    "RECONCILE_OVERLAP_MINUTES": "30",
    "RECONCILE_SETTLING_MINUTES": "5",
    "RECONCILE_RECENT_DAYS": "2",
    "RECONCILE_MONTH_DAYS": "28",
    "RECONCILE_ONGOING_MINUTES": "30",
    "RECONCILE_BEHIND_REQUESTS": "300",
    "RECONCILE_LEASE_SECONDS": "900",
    "RECONCILE_ENERGY_TOLERANCE_WH": "50",
    "RECONCILE_ENERGY_TOLERANCE_PERCENT": "0",
    "RECONCILE_TIME_TOLERANCE_SECONDS": "10",
    "RECONCILE_GRACE_HOURS": "48",
    "RECONCILE_OPEN_HOURS": "72",
}


def disabled(environ: dict[str, str]) -> set[str]:
    settings = read_settings(environ)
    return {room for room in ALL if settings.problems_of(room)}


def test_right_settings_disable_nothing() -> None:
    """With everything right there is no problem, and the values are read."""
    settings = read_settings(RIGHT)

    assert settings.problems == ()
    assert settings["STORE_BUCKETS"] == 8
    assert settings["EMABLER_BASE_URL"] == "https://api.emabler.io/api/v2/cpo/"
    assert settings["WEBHOOK_AUTHORIZATION_PREVIOUS"] is None
    for room in ALL:
        settings.require(room)


def test_what_need_not_be_set_has_its_default() -> None:
    """Buckets, path, page size and lookback need not be set."""
    least = {
        name: value
        for name, value in RIGHT.items()
        if name not in ("STORE_BUCKETS", "EMABLER_PAGE_SIZE", "RECONCILE_FIRST_DAYS")
    }
    settings = read_settings(least)

    assert settings.problems == ()
    assert settings["STORE_BUCKETS"] == 4
    assert settings["EMABLER_TRANSACTIONS_PATH"] == "v3/transactions"
    assert settings["EMABLER_PAGE_SIZE"] == 200
    assert settings["RECONCILE_FIRST_DAYS"] == 3


NEEDED = {
    "DataStorageConnection": EVERYBODY,
    "ServiceBusConnection": {INGESTION, WEBHOOK},
    "PUSH_QUEUE_NAME": {INGESTION, WEBHOOK},
    "TAG_HASH_KEY": {INGESTION, AUTHORIZATION, RECONCILIATION, RETENTION},
    "WEBHOOK_AUTHORIZATION": {AUTHORIZATION, WEBHOOK},
    "EMABLER_ENVIRONMENT": EVERYBODY,
    "EMABLER_API_KEY": {RECONCILIATION},
    "RECONCILE_SCHEDULE": {RECONCILIATION},
}


@pytest.mark.parametrize(("name", "rooms"), NEEDED.items())
@pytest.mark.parametrize("blank", [None, "", "   "], ids=["missing", "empty", "blank"])
def test_a_missing_setting_disables_exactly_its_rooms(
    name: str, rooms: set[str], blank: str | None
) -> None:
    """Each room goes on without what the others need; the message says how to set it."""
    environ = {key: value for key, value in RIGHT.items() if key != name}
    if blank is not None:
        environ[name] = blank

    assert disabled(environ) == rooms
    (problem,) = read_settings(environ).problems
    assert (problem.setting, problem.code) == (name, "setting_missing")
    assert str(problem).startswith(f"{name} is not set. ")
    assert "Example: " in str(problem)


WRONG = [
    ("DataStorageConnection", UNRESOLVED, EVERYBODY, "not resolved"),
    ("STORE_BUCKETS", "0", EVERYBODY, "whole number from 1 to 64"),
    ("STORE_BUCKETS", "65", EVERYBODY, "whole number from 1 to 64"),
    ("STORE_BUCKETS", "four", EVERYBODY, "whole number from 1 to 64"),
    ("STORE_BUCKETS", "4.0", EVERYBODY, "whole number from 1 to 64"),
    ("STORE_BUCKETS", "-4", EVERYBODY, "whole number from 1 to 64"),
    ("STORE_BUCKETS", "1" * 5000, EVERYBODY, "whole number from 1 to 64"),
    ("ServiceBusConnection", UNRESOLVED, {INGESTION, WEBHOOK}, "not resolved"),
    ("PUSH_TYPE_PROPERTIES", "type, kind", {INGESTION}, "no list of names parted by commas"),
    ("PUSH_TYPE_PROPERTIES", "type,,kind", {INGESTION}, "no list of names parted by commas"),
    ("RETENTION_JOURNAL_DAYS", "29", {INGESTION, RETENTION}, "whole number from 30 to 3660"),
    ("RETENTION_JOURNAL_DAYS", "3661", {INGESTION, RETENTION}, "whole number from 30 to 3660"),
    ("RETENTION_SESSIONS_DAYS", "36601", {RETENTION}, "whole number from 1 to 36600"),
    ("RETENTION_AUTHORIZATION_DAYS", "0", {RETENTION}, "whole number from 1 to 36600"),
    ("RETENTION_PARKED_DAYS", "0", {RETENTION}, "whole number from 1 to 36600"),
    ("RETENTION_RUNS_DAYS", "0", {RETENTION}, "whole number from 1 to 36600"),
    ("RETENTION_WINDOWS_DAYS", "0", {RETENTION}, "whole number from 1 to 36600"),
    ("RETENTION_FINDINGS_DAYS", "36601", {RETENTION}, "whole number from 1 to 36600"),
    ("RETENTION_SCHEDULE", "30 2 * * *", {RETENTION}, "no schedule of six fields"),
    ("RETENTION_SCHEDULE", "0 30 2 * * %X%", {RETENTION}, "no schedule of six fields"),
    ("BACKUP_SCHEDULE", "*/15 * * * *", {BACKUP}, "no schedule of six fields"),
    ("BACKUP_EVERY_HOURS", "745", {BACKUP}, "whole number from 0 to 744"),
    ("BACKUP_KEEP_DAYS", "0", {BACKUP}, "whole number from 1 to 90"),
    ("BACKUP_JOURNAL_DAYS", "3661", {BACKUP}, "whole number from 1 to 3660"),
    ("BLOB_SOFT_DELETE_DAYS", "366", {BACKUP}, "whole number from 0 to 365"),
    ("SESSION_MAX_POWER_KW", "0", {INGESTION, RECONCILIATION}, "whole number from 1 to 4000"),
    ("INGEST_LONGEST_WAIT_SECONDS", "241", {INGESTION}, "seconds from 0 to 240"),
    ("INGEST_LONGEST_WAIT_SECONDS", "1e2", {INGESTION}, "seconds from 0 to 240"),
    ("TAG_HASH_KEY_PREVIOUS", "x" * 31, {AUTHORIZATION}, "has 31 characters"),
    ("TAG_SPELLINGS", "reversed, padded", {AUTHORIZATION}, "no list, parted by commas, of rev"),
    ("TAG_SPELLINGS", "decimal", {AUTHORIZATION}, "no list, parted by commas, of reversed"),
    ("AUTHORIZATION_FALLBACK", "allow", {AUTHORIZATION}, "none of defer, deny, last-known"),
    ("AUTHORIZATION_SNAPSHOT_HOURS", "169", {AUTHORIZATION}, "whole number from 1 to 168"),
    ("AUTHORIZATION_FACTS_SECONDS", "3601", {AUTHORIZATION}, "seconds from 0 to 3600"),
    ("AUTHORIZATION_OPEN_SESSION_HOURS", "0", {AUTHORIZATION}, "whole number from 1 to 720"),
    ("AUTHORIZATION_BUDGET_MILLISECONDS", "99", {AUTHORIZATION}, "whole number from 100 to"),
    (
        "TAG_HASH_KEY",
        UNRESOLVED,
        {INGESTION, AUTHORIZATION, RECONCILIATION, RETENTION},
        "not resolved",
    ),
    (
        "TAG_HASH_KEY",
        "x" * 31,
        {INGESTION, AUTHORIZATION, RECONCILIATION, RETENTION},
        "has 31 characters",
    ),
    ("WEBHOOK_AUTHORIZATION", UNRESOLVED, {AUTHORIZATION, WEBHOOK}, "not resolved"),
    ("WEBHOOK_AUTHORIZATION", "changeme", {AUTHORIZATION, WEBHOOK}, "has 8 characters"),
    ("WEBHOOK_AUTHORIZATION_PREVIOUS", UNRESOLVED, {AUTHORIZATION, WEBHOOK}, "not resolved"),
    ("WEBHOOK_AUTHORIZATION_PREVIOUS", "none", {AUTHORIZATION, WEBHOOK}, "has 4 characters"),
    ("EMABLER_ENVIRONMENT", "prod", EVERYBODY, "none of test, staging, production"),
    ("EMABLER_ENVIRONMENT", "Test", EVERYBODY, "none of test, staging, production"),
    ("EMABLER_BASE_URL", "http://api.emabler.io/api/", {RECONCILIATION}, "is not https"),
    ("EMABLER_BASE_URL", "http://127.0.0.1.example/", {RECONCILIATION}, "is not https"),
    ("EMABLER_BASE_URL", "api.emabler.io", {RECONCILIATION}, "no http address"),
    ("EMABLER_BASE_URL", "ftp://api.emabler.io/", {RECONCILIATION}, "no http address"),
    ("EMABLER_BASE_URL", "https://", {RECONCILIATION}, "no http address"),
    ("EMABLER_BASE_URL", "https://[::1", {RECONCILIATION}, "no http address"),
    ("EMABLER_BASE_URL", "https://api.emabler.io:x/", {RECONCILIATION}, "no http address"),
    ("EMABLER_BASE_URL", "https://api.emabler.io/?v=2", {RECONCILIATION}, "no http address"),
    ("EMABLER_BASE_URL", "https://api.emabler.io/#v2", {RECONCILIATION}, "no http address"),
    ("EMABLER_API_KEY", UNRESOLVED, {RECONCILIATION}, "not resolved"),
    ("EMABLER_API_KEY", "kéy", {RECONCILIATION}, "characters that no key has"),
    ("EMABLER_API_KEY", "k\r\ney", {RECONCILIATION}, "characters that no key has"),
    ("EMABLER_TRANSACTIONS_PATH", "/v3/transactions", {RECONCILIATION}, "no relative path"),
    ("EMABLER_TRANSACTIONS_PATH", "https://x.example/v3", {RECONCILIATION}, "no relative path"),
    ("EMABLER_TRANSACTIONS_PATH", "v3/transactions?a=b", {RECONCILIATION}, "no relative path"),
    ("EMABLER_ONGOING_PATH", "//x.example/v2", {RECONCILIATION}, "no relative path"),
    ("EMABLER_CHARGERS_PATH", "../chargers?", {RECONCILIATION}, "no relative path"),
    ("EMABLER_TAGS_PATH", "v2\\tags", {RECONCILIATION}, "no relative path"),
    ("EMABLER_PUSH_CONFIGURATIONS_PATH", "v2//push", {RECONCILIATION}, "no relative path"),
    ("EMABLER_LIST_PAGE_SIZE", "101", {RECONCILIATION}, "whole number from 1 to 100"),
    ("EMABLER_REQUESTS_PER_SECOND", "0", {RECONCILIATION}, "no number from 0.01 to 1000"),
    ("EMABLER_REQUESTS_PER_SECOND", "1e3", {RECONCILIATION}, "no number from 0.01 to 1000"),
    ("EMABLER_TIMEOUT_SECONDS", "0", {RECONCILIATION}, "no number from 0.01 to 230"),
    ("EMABLER_RETRY_SECONDS", "601", {RECONCILIATION}, "seconds from 0 to 600"),
    ("INVENTORY_EVERY_MINUTES", "10081", {RECONCILIATION}, "whole number from 0 to 10080"),
    ("EMABLER_PAGE_SIZE", "0", {RECONCILIATION}, "whole number from 1 to 1000"),
    ("EMABLER_PAGE_SIZE", "1001", {RECONCILIATION}, "whole number from 1 to 1000"),
    ("RECONCILE_FIRST_DAYS", "0", {RECONCILIATION}, "whole number from 1 to 366"),
    ("RECONCILE_FIRST_DAYS", "367", {RECONCILIATION}, "whole number from 1 to 366"),
    ("RECONCILE_OVERLAP_MINUTES", "-1", {RECONCILIATION}, "whole number from 0 to 1440"),
    ("RECONCILE_SETTLING_MINUTES", "1441", {RECONCILIATION}, "whole number from 0 to 1440"),
    ("RECONCILE_RECENT_DAYS", "36", {RECONCILIATION}, "whole number from 1 to 35"),
    ("RECONCILE_MONTH_DAYS", "0", {RECONCILIATION}, "whole number from 1 to 400"),
    ("RECONCILE_ONGOING_MINUTES", "1", {RECONCILIATION}, "whole number from 15 to 1440"),
    ("RECONCILE_BEHIND_REQUESTS", "9", {RECONCILIATION}, "whole number from 10 to 100000"),
    ("RECONCILE_LEASE_SECONDS", "5", {RECONCILIATION}, "whole number from 10 to 3600"),
    ("RECONCILE_ENERGY_TOLERANCE_WH", "-1", {RECONCILIATION}, "whole number from 0 to 100000"),
    ("RECONCILE_ENERGY_TOLERANCE_PERCENT", "-1", {RECONCILIATION}, "whole number from 0 to 100"),
    ("RECONCILE_TIME_TOLERANCE_SECONDS", "1", {RECONCILIATION}, "whole number from 2 to 86400"),
    ("RECONCILE_GRACE_HOURS", "0", {RECONCILIATION}, "whole number from 1 to 8784"),
    ("RECONCILE_OPEN_HOURS", "0", {RECONCILIATION}, "whole number from 1 to 8784"),
    ("TELEMETRY", "otel", set[str](), "none of log, opentelemetry"),
    ("KAFKA_BROKER_LIST", "broker.example", {KAFKA}, "no list, parted by commas, of host:port"),
    ("KAFKA_BROKER_LIST", "a:9093, b:9093", {KAFKA}, "no list, parted by commas, of host:port"),
    ("KAFKA_TOPIC", "%PUSH_QUEUE_NAME%", {KAFKA}, "no name of letters"),
    ("KAFKA_CONSUMER_GROUP", "a b", {KAFKA}, "no name of letters"),
    ("KAFKA_PROTOCOL", "SASL_SSL", {KAFKA}, "none of SaslSsl, Ssl, SaslPlaintext, Plaintext"),
    ("KAFKA_AUTHENTICATION_MODE", "Gssapi", {KAFKA}, "none of Plain, ScramSha256, ScramSha512"),
    ("KAFKA_USERNAME", "n\u00e9", {KAFKA}, "characters that no key has"),
    ("KAFKA_PASSWORD", UNRESOLVED, {KAFKA}, "not resolved"),
]


@pytest.mark.parametrize(
    ("name", "value", "rooms", "what"),
    WRONG,
    ids=[f"{name} {n}" for n, (name, *_) in enumerate(WRONG)],
)
def test_a_wrong_setting_disables_exactly_its_rooms(
    name: str, value: str, rooms: set[str], what: str
) -> None:
    """A wrong value stops those who would heed it and nobody else, and the message tells why."""
    settings = read_settings(RIGHT | {name: value})

    assert {room for room in ALL if settings.problems_of(room)} == rooms
    (problem,) = settings.problems
    assert (problem.setting, problem.code) == (name, "setting_wrong")
    assert str(problem).startswith(f"{name} ")
    assert what in str(problem)
    assert "Example: " in str(problem)


KAFKA_TOGETHER = {
    "KAFKA_BROKER_LIST": "broker-1.example:9093,broker-2.example:9093",
    "KAFKA_TOPIC": "push",
    "KAFKA_CONSUMER_GROUP": "app",
    "KAFKA_USERNAME": "user",
    "KAFKA_PASSWORD": "pass word",
}


@pytest.mark.parametrize("name", KAFKA_TOGETHER)
def test_of_kafka_all_is_set_or_nothing(name: str) -> None:
    """One of its settings alone makes the others needed; Kafka alone is disabled meanwhile."""
    settings = read_settings(RIGHT | {name: KAFKA_TOGETHER[name]})

    assert {problem.setting for problem in settings.problems} == KAFKA_TOGETHER.keys() - {name}
    assert {problem.code for problem in settings.problems} == {"setting_missing"}
    assert {room for room in ALL if settings.problems_of(room)} == {KAFKA}
    assert read_settings(RIGHT | KAFKA_TOGETHER).problems == ()


@pytest.mark.parametrize("protocol", ["Ssl", "Plaintext"])
def test_without_sasl_kafka_needs_no_password(protocol: str) -> None:
    """Where the brokers ask for no name, none has to be set."""
    without = {name: KAFKA_TOGETHER[name] for name in list(KAFKA_TOGETHER)[:3]}

    assert read_settings(RIGHT | without | {"KAFKA_PROTOCOL": protocol}).problems == ()
    assert disabled(RIGHT | without | {"KAFKA_PROTOCOL": f"Sasl{protocol}"}) == {KAFKA}


def test_each_setting_has_its_rows_in_these_tables() -> None:
    """A new setting is to be added above: missing where it is needed, wrong where it can be."""
    needed = {s.name for s in SETTINGS if s.needed_by and s.default is None}
    assert needed == NEEDED.keys() | KAFKA_TOGETHER.keys()
    free_text = {"PUSH_QUEUE_NAME", "RECONCILE_SCHEDULE"}
    assert {name for name, *_ in WRONG} | free_text == {setting.name for setting in SETTINGS}


def test_no_secret_stands_in_a_problem() -> None:
    """What is wrong with a secret is told without the secret, to the log and to an operator."""
    secrets = {
        setting.name: f"@Microsoft.KeyVault(hidden-{n})" if n % 2 else f"hidden-{n}-\u00e9"
        for n, setting in enumerate(SETTINGS)
        if setting.secret
    }
    problems = read_settings(RIGHT | secrets).problems

    assert {problem.setting for problem in problems} == secrets.keys()
    assert "hidden" not in " ".join(map(str, problems))


def test_a_connection_string_that_is_none_is_told_without_its_text() -> None:
    """The storage SDK's own words, which may hold the key, stay out of the message."""
    settings = read_settings(RIGHT | {"DataStorageConnection": "AccountKey=hidden"})

    with pytest.raises(SettingError) as error:
        connect_tables(settings)

    assert "DataStorageConnection is no connection string" in str(error.value)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("unset", [UNRESOLVED, "x" * 31])
def test_a_secret_that_is_none_is_not_set(unset: str) -> None:
    """An unresolved reference and a short text are never used as a secret."""
    settings = read_settings(
        RIGHT
        | dict.fromkeys(
            ("TAG_HASH_KEY", "WEBHOOK_AUTHORIZATION", "WEBHOOK_AUTHORIZATION_PREVIOUS"), unset
        )
    )

    assert settings["TAG_HASH_KEY"] is None
    assert settings["WEBHOOK_AUTHORIZATION"] is None
    assert settings["WEBHOOK_AUTHORIZATION_PREVIOUS"] is None


def test_a_secret_of_32_characters_is_one() -> None:
    """The limit itself is long enough; blanks around a value do not count."""
    settings = read_settings(RIGHT | {"TAG_HASH_KEY": " " + "x" * 32 + "\n"})

    assert settings.problems == ()
    assert settings["TAG_HASH_KEY"] == "x" * 32


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080/api", "http://localhost/", "http://[::1]/"]
)
def test_plain_http_is_for_this_machine_only(address: str) -> None:
    """A loopback address may be plain, so that the simulator can be used; it ends with a slash."""
    settings = read_settings(RIGHT | {"EMABLER_BASE_URL": address})

    assert settings.problems == ()
    assert settings["EMABLER_BASE_URL"].endswith("/")


@pytest.mark.parametrize("environment", ["test", "staging", "production"])
def test_an_environment_has_its_own_address(environment: str) -> None:
    """Without an address of its own, REST is that of the environment."""
    settings = read_settings(RIGHT | {"EMABLER_ENVIRONMENT": environment})

    assert settings["EMABLER_BASE_URL"] == ENVIRONMENTS[environment]


@pytest.mark.parametrize(
    ("name", "suffix", "value"),
    [
        ("DataStorageConnection", "__tableServiceUri", "https://d.table.core.windows.net"),
        ("ServiceBusConnection", "__fullyQualifiedNamespace", "bus.servicebus.windows.net"),
    ],
)
def test_an_address_and_an_identity_stand_for_a_connection_string(
    name: str, suffix: str, value: str
) -> None:
    """With the suffix that Azure Functions uses, no connection string is needed."""
    environ = {key: each for key, each in RIGHT.items() if key != name}
    settings = read_settings(environ | {name + suffix: value, f"{name}__clientId": "id-7"})

    assert settings.problems == ()
    assert settings[name + suffix] == value
    assert settings[f"{name}__clientId"] == "id-7"
    assert disabled(environ | {name + suffix: "  "}) != set()


def test_one_refusal_names_all_that_is_wrong() -> None:
    """A room that is asked for without its settings tells all of them at once."""
    settings = read_settings({"DataStorageConnection": "UseDevelopmentStorage=true"})

    with pytest.raises(SettingError) as error:
        settings.require(RECONCILIATION)

    assert error.value.code == "setting_missing"
    for name in ("TAG_HASH_KEY", "EMABLER_ENVIRONMENT", "EMABLER_API_KEY", "RECONCILE_SCHEDULE"):
        assert f"{name} is not set" in str(error.value)
    assert "PUSH_QUEUE_NAME" not in str(error.value)


def test_the_sample_is_right_but_for_the_secrets() -> None:
    """local.settings.sample.json names every setting; with its secrets filled in all is well."""
    text = (CHECKOUT / "local.settings.sample.json").read_text(encoding="utf-8")
    sample: dict[str, str] = json.loads(text)["Values"]
    host = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}

    assert sample.keys() - host == {setting.name for setting in SETTINGS}
    assert {problem.setting for problem in read_settings(sample).problems} == {
        "TAG_HASH_KEY",
        "WEBHOOK_AUTHORIZATION",
        "EMABLER_API_KEY",
    }


def test_each_default_is_a_right_value() -> None:
    """What stands where nothing is set would be accepted if it were set."""
    for setting in SETTINGS:
        if setting.default is not None:
            assert setting.read(str(setting.default)) == setting.default
