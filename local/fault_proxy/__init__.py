"""A proxy between an app and its storage that lets calls go wrong, by a plan.

It speaks HTTP on a port of its own for each service, hands calls on untouched (the signature of a
call does not cover the address), and acts on those that a rule chooses. So Microsoft's SDK, with
its retries and time-outs, is part of what a test sees.

| fault | what happens to a chosen call | options |
|---|---|---|
| `slow` | it waits before it is handed on, or before it is answered | `seconds`, `before` |
| `busy` | not handed on; 503 ServerBusy | `retry_after`, `inside` |
| `throttled` | not handed on; 429 TooManyRequests | `retry_after`, `inside` |
| `error_after_write` | handed on and done, answered with a 500 all the same | `code`, `inside` |
| `late_write` | answered with a 500 at once, handed on later | `seconds`, `code`, `inside` |
| `reset_before` | the connection is reset, nothing was handed on | |
| `reset_after` | handed on and done, then the connection is reset | |
| `absent` | reset, and its service goes away (all do, if the rule names none) | `seconds`, `how` |
| `refused` | not handed on; 403, or 401, as the code says | `code` |
| `missing_table` | not handed on; 404 TableNotFound | |

`local.fault_proxy.rules` tells what a rule is made of. A rule is written as a line, the same in
Python (`proxy.add("busy table=events kind=write rate=0.1")`), on the command line (`--rule`) and
on the control port.

| module | subject |
|---|---|
| `requests` | what a call asks for: service, table, kind (pure) |
| `rules` | a rule, read and checked (pure) |
| `plan` | rules and a seed → which calls go wrong (pure) |
| `answers` | the bodies with which the services tell errors (pure) |
| `addresses` | the addresses of the storage and of the proxy, connection strings (pure) |
| `upstream` | calls handed on to the storage, each once |
| `listening` | one service's port: open, away, and back |
| `faults` | the faults, done to calls |
| `records` | what was decided, and what came of it |
| `proxy` | `FaultProxy`, all of it in this process |
| `control`, `__main__`, `process` | the control port, as a program, as a child process |
"""
