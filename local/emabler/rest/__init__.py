"""The documented reads, one module each."""
