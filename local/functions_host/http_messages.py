"""HTTP requests as the worker gets them, and what functions answer as HTTP responses.

The conversions are those of Azure's host for a worker with the capabilities RpcHttpBodyOnly and
RawHttpBodyBytes, which Microsoft's Python runtime declares: the body goes over as bytes; header
names are in lower case; several values of one name are joined by a comma; query parameters
without a value are left out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from local.functions_host.functions import HttpTrigger
from local.functions_host.rpc import TypedData, protos
from local.functions_host.worker.protos import Message

_PLAIN_TEXT = "text/plain; charset=utf-8"
# The server frames the body itself.
_FRAMING = {"content-length", "transfer-encoding", "connection"}


def request_data(request: web.BaseRequest, body: bytes, parameters: Mapping[str, str]) -> TypedData:
    """The `TypedData` of a request that was routed with these route parameters."""
    http = protos.RpcHttp(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.raw_path}",
        headers=_joined(request.headers, lower=True),
        query={name: value for name, value in _joined(request.rel_url.query).items() if value},
        params=parameters,
    )
    if body:
        http.body.bytes = body
    return protos.TypedData(http=http)


def text_request_data(url: str, body: str) -> TypedData:
    """The `TypedData` of a POST without a client, for running an HTTP function by its name."""
    http = protos.RpcHttp(method="POST", url=url, headers={"content-type": "application/json"})
    if body:
        http.body.bytes = body.encode()
    return protos.TypedData(http=http)


def response_of(trigger: HttpTrigger, answer: Message) -> web.Response:
    """What a successful invocation answers; 200 without a body when it returned nothing.

    Raises:
        ValueError: The status is no number, or a header cannot be written.
    """
    data = answer.return_value
    if trigger.output != "$return":
        data = next((o.data for o in answer.output_data if o.name == trigger.output), None)
    kind = data.WhichOneof("data") if data is not None else None
    if data is None or kind is None:
        return web.Response()
    if kind == "http":
        return _http_response(data.http)
    body = _body(data)
    headers = {"content-type": _PLAIN_TEXT} if isinstance(body, str) else {}
    return web.Response(body=body.encode() if isinstance(body, str) else body, headers=headers)


def _http_response(http: Message) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in http.headers.items():
        if name.lower() not in _FRAMING:
            headers[name] = value
    body = _body(http.body)
    response = web.Response(
        status=int(http.status_code or 200),
        body=body.encode() if isinstance(body, str) else body,
        headers=headers,
    )
    for cookie in http.cookies:
        _set_cookie(response, cookie)
    return response


def _body(data: TypedData) -> bytes | str:
    kind = data.WhichOneof("data")
    if kind is None:
        return b""
    value = getattr(data, kind)
    return value if isinstance(value, bytes | str) else str(value)


def _set_cookie(response: web.Response, cookie: Message) -> None:
    same_site = {1: "Lax", 2: "Strict", 3: "None"}.get(cookie.same_site)
    expires = None
    if cookie.HasField("expires"):
        instant = datetime.fromtimestamp(cookie.expires.value.ToSeconds(), UTC)
        expires = instant.strftime("%a, %d %b %Y %H:%M:%S GMT")
    response.set_cookie(
        cookie.name,
        cookie.value,
        domain=cookie.domain.value or None,
        path=cookie.path.value or "/",
        expires=expires,
        max_age=int(cookie.max_age.value) if cookie.HasField("max_age") else None,
        secure=cookie.secure.value or None,
        httponly=cookie.http_only.value or None,
        samesite=same_site,
    )


def _joined(values: MultiMapping[str], *, lower: bool = False) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in values.items():
        key = name.lower() if lower else name
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined
