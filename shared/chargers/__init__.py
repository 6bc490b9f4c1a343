"""Chargers and their sockets: the latest state of each by the device's own time."""
