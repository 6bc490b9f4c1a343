"""The commands of `dev.py`, one module each: `python -m local.commands.<name>`.

They run in `.venv`, with Node first on PATH. `dev.py` holds their help.
"""
