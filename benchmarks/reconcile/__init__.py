"""Reconciliation beside the least that it could cost."""
