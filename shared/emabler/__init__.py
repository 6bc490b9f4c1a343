"""eMabler's REST API v2: its client and what its answers mean."""
