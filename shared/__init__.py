"""The deployed package: what the three functions do, and what they share."""
