"""A small eMabler on one machine: the documented REST v2 reads over books that a test fills.

Written from eMabler's public documentation and its OpenAPI description "Entity Management API"
2.0.1 alone. It shares no code with the product, so that no misreading can agree with itself.

| module | subject |
|---|---|
| `records` | what the books hold, in the shapes of the wire |
| `books` | the records in memory, kept in a file when asked |
| `paging`, `errors` | the documented page and error bodies |
| `rest/` | one module for each documented read |
| `control` | `/_books/…`: fill and read the books from outside |
| `server`, `__main__`, `process` | the web application, as a program, as a child process |
| `examples/` | one push message of each type in each documented generation |
"""

BASE_PATH = "/api/v2/cpo"
"""Below which the documented paths lie, with a version of their own once more."""
