"""A small eMabler on one machine: the documented REST v2 reads over books that a test fills.

Written from eMabler's public documentation and its OpenAPI description "Entity Management API"
2.0.1 alone. It shares no code with the product, so that no misreading can agree with itself.

| module | subject |
|---|---|
| `records` | what the books hold, in the shapes of the wire |
| `books`, `views` | the records in memory, kept in a file when asked; their orders |
| `paging`, `errors` | the documented page and error bodies |
| `habits`, `limits` | what is not documented, as switches; limits of rate |
| `operations`, `rest/` | what a documented read is; one module for each |
| `openapi.json` | the description of the reads, served at `/swagger.json` |
| `faults/` | what goes wrong with the reads, by name, rate and time |
| `control` | `/_books/…`, `/_faults`, `/_habits`: the simulator from outside |
| `server` | the web application |
| `__main__`, `options`, `process` | as a program, its options, as a child process |
| `examples/` | one push message of each type in each documented generation |
"""

BASE_PATH = "/api/v2/cpo"
"""Below which the documented paths lie, with a version of their own once more."""
