"""How soon and with how much memory many sessions are listed and exported."""
