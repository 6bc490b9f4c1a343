"""Why eMabler may not push: its endpoint, its configuration, its chargers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from management.checks import Finding
from shared.chargers.inventory import is_listed
from shared.chargers.reading import read_chargers
from shared.errors import EmablerFunctionsError
from shared.storage.rows import Tables

if TYPE_CHECKING:
    import httpx

    from shared.emabler.client import EmablerClient

ENDPOINT = "EMABLER_PUSH_URL"
"""What azd knows the address by that eMabler calls."""

_SECONDS = 15.0
_FEW = 5
_SWITCHES = ("enabled", "isenabled", "active", "isactive")
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _UNAVAILABLE = 200, 401, 403, 404, 503
_ADVICE: Mapping[int, str] = {
    _UNAUTHORIZED: "something in front of the app asks for a sign-in",
    _FORBIDDEN: "an address is not let in (emablerAddresses and operatorAddresses of the "
    "template), or the app is stopped: az functionapp start",
    _NOT_FOUND: "the app is not deployed, the address is another one, or the app does not "
    "start: azd deploy, then the log of its start",
    _UNAVAILABLE: "WEBHOOK_AUTHORIZATION is not set or not resolved (settings.problems of the "
    "status), or the app cannot start",
}


async def endpoint_findings(
    url: str, *, transport: httpx.AsyncBaseTransport | None = None
) -> list[Finding]:
    """Ask the address as eMabler's check does, and once as a stranger with an event.

    It leaves nothing behind: a check has no body, and a stranger is refused.
    """
    import httpx  # noqa: PLC0415 - only this command needs it here

    asked = (
        ("endpoint: GET", "GET", b"", _OK),
        ("endpoint: POST", "POST", b"", _OK),
        ("endpoint: a stranger", "POST", b'{"doctor": true}', _UNAUTHORIZED),
    )
    found: list[Finding] = []
    async with httpx.AsyncClient(transport=transport, timeout=_SECONDS) as http:
        for name, method, body, expected in asked:
            began = perf_counter()
            try:
                answer = await http.request(method, url, content=body)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                detail = f"endpoint_away: {type(error).__name__}: does {url} lead to the app?"
                return [*found, Finding(name, well=False, detail=detail)]
            milliseconds = round((perf_counter() - began) * 1000)
            found.append(_judged(name, answer.status_code, expected, milliseconds))
    return found


def _judged(name: str, status: int, expected: int, milliseconds: int) -> Finding:
    if status == expected:
        refused = ", as it should be" if expected == _UNAUTHORIZED else ""
        return Finding(
            name, well=True, detail=f"answered {status}{refused}, after {milliseconds} ms"
        )
    if expected == _UNAUTHORIZED and status == _OK:
        what = "anybody may send events: deploy this app again"
    else:
        what = _ADVICE.get(status, "look into the log of the function push_webhook")
    return Finding(name, well=False, detail=f"endpoint_wrong: answered {status}: {what}")


async def configuration_findings(client: EmablerClient) -> list[Finding]:
    """What eMabler is set to push, as far as its REST tells."""
    name = "push configuration"
    try:
        configurations = await client.push_configurations()
        if not configurations:
            detail = (
                "push_not_configured: eMabler has no push configuration. What to do: make one in "
                "Connect, Settings, Developers (docs/deploy.md)"
            )
            return [Finding(name, well=False, detail=detail)]
        return [
            _configuration(
                f"{name} {each.id}",
                each.item,
                [(e.kind, e.item) for e in await client.push_endpoints(each.id)],
                [(m.kind, m.item) for m in await client.push_messages(each.id)],
            )
            for each in configurations
        ]
    except EmablerFunctionsError as error:
        return [Finding(name, well=False, detail=f"{error.code}: {error}")]


type _Listed = Sequence[tuple[str | None, Mapping[str, Any]]]


def _configuration(
    name: str, item: Mapping[str, Any], endpoints: _Listed, messages: _Listed
) -> Finding:
    sending = [(kind, each) for kind, each in endpoints if not switched_off(each)]
    sent = [str(kind) for kind, each in messages if not switched_off(each)]
    unsent = [str(kind) for kind, each in messages if switched_off(each)]
    flaws = []
    if switched_off(item):
        flaws.append("it is switched off")
    if not sending:
        flaws.append("no endpoint is switched on" if endpoints else "it has no endpoint")
    if not sent:
        flaws.append("no type of message is switched on" if messages else "it sends no message")
    if flaws:
        detail = f"push_off: {', '.join(flaws)}. What to do: Connect, Settings, Developers"
        return Finding(name, well=False, detail=detail)
    where = ", ".join(sorted({_where(kind, each) for kind, each in sending}))
    detail = f"sends {', '.join(sorted(set(sent)))} to {where}"
    if unsent:
        detail += f"; switched off: {', '.join(sorted(set(unsent)))}"
    return Finding(name, well=True, detail=detail)


def switched_off(item: Mapping[str, Any]) -> bool:
    """Whether an item says that it is off. The name of that field is not documented."""
    return any(value is False for field, value in item.items() if field.casefold() in _SWITCHES)


def _where(kind: str | None, item: Mapping[str, Any]) -> str:
    """The kind of an endpoint, with the host of an address where it tells one, and no more."""
    hosts = {
        urlsplit(value).hostname
        for value in item.values()
        if isinstance(value, str) and value.startswith(("http://", "https://", "sb://"))
    }
    told = ", ".join(sorted(host for host in hosts if host))
    return f"{kind or 'an endpoint'} ({told})" if told else kind or "an endpoint"


async def chargers_finding(tables: Tables) -> Finding:
    """Which chargers of the last inventory eMabler does not push for."""
    name = "chargers that push"
    told = 0
    off: list[str] = []
    try:
        async for row in read_chargers(tables, charger=None, buckets=1):
            pushes = row.columns.get("inventory_push_enabled")
            if pushes is not None and is_listed(row.columns):
                told += 1
                if not pushes:
                    off.append(str(row.columns["charger"]))
    except EmablerFunctionsError as error:
        return Finding(name, well=False, detail=f"{error.code}: {error}")
    if off:
        detail = (
            f"push_off_for_chargers: eMabler does not push for {len(off)} of {told} chargers: "
            f"{_some(off)}. What to do: switch push on for them in Connect; `chargers list --json` "
            "tells push_enabled of each"
        )
        return Finding(name, well=False, detail=detail)
    if not told:
        detail = "not known: the inventory tells it of no charger (manage.py chargers refresh)"
    else:
        detail = f"all {told} of the inventory"
    return Finding(name, well=True, detail=detail)


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    shown = ", ".join(ordered[:_FEW])
    return shown if len(ordered) <= _FEW else f"{shown} …"
