"""`/_books/…`, `/_faults`, `/_habits`: the simulator from outside. Loopback only, no key.

| call | what |
|---|---|
| `GET /_books/{shelf}` | the records of a shelf, as they are, whatever faults are on |
| `PUT /_books/{shelf}` | make a list of records its whole content |
| `POST /_books/{shelf}` | add records; the same subject is replaced |
| `DELETE /_books` | empty everything |
| `GET /_books/calls` | the last thousand REST calls |
| `GET /_faults` | the seed, the rules, how many calls came, how many suffered from what |
| `PUT /_faults` | `{"seed": 7, "rules": […]}`: these rules alone; calls count from 1 again |
| `POST /_faults` | add a rule or a list of rules; one for the same fault is replaced |
| `DELETE /_faults` | all off; calls count from 1 again |
| `DELETE /_faults/{fault}` | one off |
| `GET /_habits` | what is not documented, as it is now |
| `PUT /_habits` | change it; what is left out has its default |

Shelves are `sessions`, `ongoing`, `chargers`, `tags` and `push_configurations`; records are given
in the wire's names, and fields with a default may be left out. A rule is a line, or an object of
its parts.
"""

from collections.abc import Callable, Iterable

import msgspec
from aiohttp import web

from local.emabler.books import SHELF_TYPES, AnyRecord, Books
from local.emabler.errors import BadValueError, json_response
from local.emabler.faults.faults import Faults
from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import FAULTS, BadRuleError, Rule, read_rule
from local.emabler.habits import Habits


class _PlanSaid(msgspec.Struct, forbid_unknown_fields=True):
    seed: int = 0
    rules: list[str | dict[str, object]] = []


def control_routes(books: Books, habits: Habits, faults: Faults) -> list[web.RouteDef]:
    """Make the control routes."""
    return [*_book_routes(books), *_fault_routes(faults), *_habit_routes(habits)]


def _book_routes(books: Books) -> list[web.RouteDef]:
    async def calls(_request: web.Request) -> web.Response:
        return json_response(list(books.calls))

    async def clear(_request: web.Request) -> web.Response:
        books.clear()
        return web.Response(status=204)

    async def show(request: web.Request) -> web.Response:
        return json_response(books.shelf(_shelf(request)))

    async def put(request: web.Request) -> web.Response:
        return await _take(request, books.put)

    async def add(request: web.Request) -> web.Response:
        return await _take(request, books.add)

    return [
        web.get("/_books/calls", calls),
        web.delete("/_books", clear),
        web.get("/_books/{shelf}", show),
        web.put("/_books/{shelf}", put),
        web.post("/_books/{shelf}", add),
    ]


def _fault_routes(faults: Faults) -> list[web.RouteDef]:
    async def show(_request: web.Request) -> web.Response:
        return json_response(
            {
                "seed": faults.plan.seed,
                "rules": [str(rule) for rule in faults.plan.rules.values()],
                "calls": faults.number,
                "happened": dict(faults.happened),
            }
        )

    async def put(request: web.Request) -> web.Response:
        said = _decoded("faults", await request.read(), _PlanSaid)
        faults.put(Plan(seed=said.seed).with_rules(map(_rule, said.rules)))
        return web.Response(status=204)

    async def add(request: web.Request) -> web.Response:
        said: object = _decoded("faults", await request.read(), object)
        # All are read before one is in force: a list is taken whole or not at all.
        rules = [_rule(each) for each in (said if isinstance(said, list) else [said])]
        faults.change(faults.plan.with_rules(rules))
        return web.Response(status=204)

    async def clear(_request: web.Request) -> web.Response:
        faults.put(Plan(seed=faults.plan.seed))
        return web.Response(status=204)

    async def remove(request: web.Request) -> web.Response:
        for name in FAULTS:
            if name == request.match_info["fault"]:
                faults.change(faults.plan.without(name))
                return web.Response(status=204)
        raise BadValueError("fault", f"there is none of that name; there are {', '.join(FAULTS)}")

    return [
        web.get("/_faults", show),
        web.put("/_faults", put),
        web.post("/_faults", add),
        web.delete("/_faults", clear),
        web.delete("/_faults/{fault}", remove),
    ]


def _habit_routes(habits: Habits) -> list[web.RouteDef]:
    async def show(_request: web.Request) -> web.Response:
        return json_response(habits)

    async def put(request: web.Request) -> web.Response:
        habits.become(_decoded("habits", await request.read(), Habits))
        return web.Response(status=204)

    return [web.get("/_habits", show), web.put("/_habits", put)]


def _rule(said: object) -> Rule:
    try:
        return read_rule(said)
    except BadRuleError as error:
        raise BadValueError("rule", str(error)) from error


def _decoded[T](what: str, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadValueError(what, str(error)) from error


def _shelf(request: web.Request) -> str:
    name = request.match_info["shelf"]
    if name not in SHELF_TYPES:
        raise BadValueError("shelf", f"'{name}' is none of {', '.join(SHELF_TYPES)}")
    return name


async def _take(
    request: web.Request, keep: Callable[[str, Iterable[AnyRecord]], None]
) -> web.Response:
    shelf = _shelf(request)
    keep(shelf, _decoded(shelf, await request.read(), SHELF_TYPES[shelf]))
    return web.Response(status=204)
