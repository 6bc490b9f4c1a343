"""What `dev.py` installs before anything can run: Python packages, Node, Node packages.

Everything here runs on any Python from 3.8 on, with the standard library alone, because it runs
before the right Python was found.
"""
