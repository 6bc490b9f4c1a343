"""Decoding beside a pydantic model that does the same."""
