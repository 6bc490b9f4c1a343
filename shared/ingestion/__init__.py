"""Push events into the store: the journal, sessions, chargers; what cannot be read is parked."""
