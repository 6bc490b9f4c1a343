"""The names of all tables: Table Storage allows letters and digits only."""

EVENTS = "events"
SESSIONS = "sessions"
SESSION_ENDS = "sessionends"
OPEN_SESSIONS = "opensessions"
CHARGERS = "chargers"
TAGS = "tags"
PARKED = "parked"
STORE = "store"

ALL_TABLES = (
    EVENTS,
    SESSIONS,
    SESSION_ENDS,
    OPEN_SESSIONS,
    CHARGERS,
    TAGS,
    PARKED,
    STORE,
)
