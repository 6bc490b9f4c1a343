"""The operator's command line: what stands behind `manage.py`."""
