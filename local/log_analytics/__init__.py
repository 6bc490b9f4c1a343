"""A small Log Analytics: tables as Microsoft documents them, KQL that runs on them, alert rules.

* `tables`: the documented columns (`tables.json`), and rows of them made from what
  `local.app_insights` captured.
* `workspace`: the tables in DuckDB, and KQL on them (`duckdb-kql`), at a chosen instant and over a
  chosen range of time, as Azure Monitor runs a query of an alert or of a workbook.
* `binding`: queries bound to the tables by Microsoft's own language service.
* `rules`: when an alert rule fires, evaluated step by step through a captured time.
* `drawing`: a workbook's parts as pictures (SVG).
"""
