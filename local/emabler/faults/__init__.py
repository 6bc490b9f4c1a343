"""What goes wrong with the REST reads, by name, rate and time. The books stay true.

| module | subject |
|---|---|
| `rules` | the names, what each does, and a rule: which, how often, when (pure) |
| `plan` | rules and a seed → which calls go wrong (pure) |
| `sessions` | sessions that appear late or change after they were listed |
| `walks` | what earlier pages of a walk did to the later ones |
| `pages` | pages that move, are short, empty, wrong, or hold what was not asked for |
| `values` | values as the field has them: numbers for names, nulls, unknown fields |
| `answers` | calls that are throttled, fail, hang or break off |
| `faults` | `Faults`: all of it around a read |

No fault loses anything for good: once they are off, the reads give the books again.
"""
