"""Tags that may charge, and the sessions that each tag has: one range of rows for one tag."""
