"""The names of all tables: Table Storage allows letters and digits only."""

EVENTS = "events"
SESSIONS = "sessions"
CHARGERS = "chargers"
TAGS = "tags"
PARKED = "parked"
STORE = "store"

ALL_TABLES = (
    EVENTS,
    SESSIONS,
    CHARGERS,
    TAGS,
    PARKED,
    STORE,
)
