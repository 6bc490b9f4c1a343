"""How fast tags are imported beside bare upserts, and how little memory they take."""
