"""What a call asks for: service, table, kind. Pure: from the request's line and body alone.

Source of the forms: Azure Storage REST documentation, "Addressing Table service resources",
"Performing entity group transactions", and the operations of the blob and queue services.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote

type Service = Literal["table", "blob", "queue"]
type Kind = Literal["point", "query", "single", "batch", "manage"]
type KindName = Literal["point", "query", "single", "batch", "manage", "read", "write"]

SERVICES: tuple[Service, ...] = ("table", "blob", "queue")

KINDS: Mapping[KindName, frozenset[Kind]] = {
    # One row, one blob, a peek at a queue.
    "point": frozenset(("point",)),
    # A list: rows of a table, blobs of a container.
    "query": frozenset(("query",)),
    # One row, blob or message changed; taking a message from a queue changes it too.
    "single": frozenset(("single",)),
    # An entity group transaction, a batch of blobs.
    "batch": frozenset(("batch",)),
    # Tables, containers and queues made, removed, listed or set up.
    "manage": frozenset(("manage",)),
    "read": frozenset(("point", "query")),
    "write": frozenset(("single", "batch")),
}
"""The names that a rule may use, and the kinds of call that each stands for."""

_READING = frozenset(("GET", "HEAD"))
_INNER_LINE = re.compile(rb"^(GET|POST|PUT|PATCH|MERGE|DELETE) (\S+) HTTP/1\.1\r?$", re.MULTILINE)
# The first operation's line comes after two short multipart headers.
_INNER_LINE_WITHIN = 4096


@dataclass(frozen=True, slots=True)
class Call:
    """What one request asks for. No keys: they may hold what belongs in no record.

    Attributes:
        service: whose port it came to.
        method: the HTTP method.
        kind: see `KINDS`.
        name: the table, container or queue; None where it concerns the account.
    """

    service: Service
    method: str
    kind: Kind
    name: str | None = None


def call_of(service: Service, method: str, target: str, body: bytes = b"") -> Call:
    """Tell what a request asks for.

    Args:
        service: whose port it came to.
        method: the HTTP method.
        target: path and query as sent; the path begins with the account.
        body: the body; a transaction's names its table, and so does that which makes one.
    """
    path, _, query = target.partition("?")
    parameters = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    _account, resource, below = [*path.lstrip("/").split("/", 2), "", ""][:3]
    if service == "table":
        return _table_call(method, unquote(resource), parameters, body)
    read = _blob_kind if service == "blob" else _queue_kind
    kind = read(method, resource, below, parameters)
    return Call(service, method, kind, unquote(resource) or None)


def _table_call(method: str, resource: str, parameters: Mapping[str, str], body: bytes) -> Call:
    name, _, keys = resource.partition("(")
    if resource == "$batch":
        return _batch_call(method, body)
    if name == "Tables":
        return Call("table", method, "manage", keys.strip("')") or _table_to_make(body))
    if not name or "comp" in parameters:
        return Call("table", method, "manage", name or None)
    if method in _READING:
        return Call("table", method, "query" if keys in ("", ")") else "point", name)
    return Call("table", method, "single", name)


def _batch_call(method: str, body: bytes) -> Call:
    line = _INNER_LINE.search(body[:_INNER_LINE_WITHIN])
    if line is None:
        return Call("table", method, "batch")
    target = re.sub(r"^https?://[^/]*", "", line[2].decode("ascii", "replace"))
    inner = call_of("table", line[1].decode("ascii"), target)
    # A transaction may hold a single query instead of changes.
    kind: Kind = "query" if inner.method == "GET" else "batch"
    return Call("table", method, kind, inner.name)


def _table_to_make(body: bytes) -> str | None:
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    name = asked.get("TableName") if isinstance(asked, dict) else None
    return name if isinstance(name, str) else None


def _blob_kind(method: str, container: str, blob: str, parameters: Mapping[str, str]) -> Kind:
    asked = parameters.get("comp")
    if asked == "batch":
        return "batch"
    if asked in ("list", "blobs") and not blob:
        # Containers are listed as well as blobs; a list of containers concerns the account.
        return "query" if container else "manage"
    if not container or not blob or parameters.get("restype") == "container":
        return "manage"
    return "point" if method in _READING else "single"


def _queue_kind(method: str, queue: str, below: str, parameters: Mapping[str, str]) -> Kind:
    if not queue or not below:
        return "manage"
    peeked = method == "GET" and parameters.get("peekonly", "").lower() == "true"
    return "point" if peeked else "single"
