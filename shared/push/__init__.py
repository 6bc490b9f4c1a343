"""eMabler's Push API on the wire, read into typed events. Pure: no clock, no input, no output."""
