"""The names of all tables: Table Storage allows letters and digits only."""

EVENTS = "events"
SESSIONS = "sessions"
CHARGERS = "chargers"
TAGS = "tags"
TAG_ROSTER = "tagroster"
TAG_GROUPS = "taggroups"
AUTHORIZATIONS = "authorizations"
UNKNOWN_TAGS = "unknowntags"
PARKED = "parked"
RECONCILIATION = "reconciliation"
STORE = "store"

ALL_TABLES = (
    EVENTS,
    SESSIONS,
    CHARGERS,
    TAGS,
    TAG_ROSTER,
    TAG_GROUPS,
    AUTHORIZATIONS,
    UNKNOWN_TAGS,
    PARKED,
    RECONCILIATION,
    STORE,
)
