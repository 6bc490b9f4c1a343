"""Answers: a status, headers and a body; and the bodies with which the services tell errors.

Source: Azure Storage REST documentation, "Status and error codes", "Common REST API error codes",
"Table storage error codes", and the sample answer of "Performing entity group transactions".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType

from local.fault_proxy.requests import Call

type Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole."""

    status: int
    reason: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class _Error:
    status: HTTPStatus
    message: str


_ERRORS: Mapping[str, _Error] = MappingProxyType(
    {
        "ServerBusy": _Error(HTTPStatus.SERVICE_UNAVAILABLE, "The server is busy."),
        "TooManyRequests": _Error(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests."),
        "InternalError": _Error(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "The server encountered an internal error. Please retry the request.",
        ),
        "OperationTimedOut": _Error(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "The operation could not be completed within the permitted time.",
        ),
        "TableNotFound": _Error(HTTPStatus.NOT_FOUND, "The table specified does not exist."),
        "AuthenticationFailed": _Error(
            HTTPStatus.FORBIDDEN,
            "Server failed to authenticate the request. Make sure the value of the Authorization"
            " header is formed correctly including the signature.",
        ),
        "AuthorizationFailure": _Error(
            HTTPStatus.FORBIDDEN, "This request is not authorized to perform this operation."
        ),
        "AuthorizationPermissionMismatch": _Error(
            HTTPStatus.FORBIDDEN,
            "This request is not authorized to perform this operation using this permission.",
        ),
        "NoAuthenticationInformation": _Error(
            HTTPStatus.UNAUTHORIZED,
            "Server failed to authenticate the request. Please refer to the information in the"
            " www-authenticate header.",
        ),
    }
)
_TABLE_JSON = "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
_TABLE_XML = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
# SDKs read the address of the identity provider from here when they work with tokens.
_CHALLENGE = (
    "Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize"
    " resource_id=https://storage.azure.com"
)


def error_answer(
    call: Call,
    code: str,
    *,
    accept: str,
    request_id: str,
    at: datetime,
    retry_after: int | None = None,
    inside: bool = False,
) -> Answer:
    """Make the answer with which the service tells an error.

    Args:
        call: what was asked.
        code: one of the service's error codes that this module knows.
        accept: the request's `Accept` header; tables answer JSON or XML by it.
        request_id: the id of the request, for headers and message.
        at: the instant, UTC.
        retry_after: seconds for a `Retry-After` header.
        inside: answer a transaction with 202 and the error as its one part, as the service does
            when a transaction fails after it was taken; a `Retry-After` is then not seen.
    """
    status, content_type, body = _told(call, code, accept, request_id, at, inside=inside)
    headers: list[tuple[str, str]] = [
        ("Content-Type", content_type),
        ("x-ms-request-id", request_id),
        ("Server", f"Windows-Azure-{call.service.capitalize()}/1.0 Microsoft-HTTPAPI/2.0"),
    ]
    if status != HTTPStatus.ACCEPTED:
        headers.append(("x-ms-error-code", code))
        if retry_after is not None:
            headers.append(("Retry-After", str(retry_after)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", _CHALLENGE))
    return Answer(status.value, status.phrase, tuple(headers), body)


def _told(
    call: Call, code: str, accept: str, request_id: str, at: datetime, *, inside: bool
) -> tuple[HTTPStatus, str, bytes]:
    error = _ERRORS[code]
    said = f"{error.message}\nRequestId:{request_id}\nTime:{at:%Y-%m-%dT%H:%M:%S.%fZ}"
    if call.service != "table":
        return error.status, "application/xml", _storage_xml(code, said)
    if inside and call.kind == "batch":
        # The service puts the number of the operation that failed before the message.
        boundary, body = _transaction(error.status, _table_json(code, f"0:{said}"), request_id)
        return HTTPStatus.ACCEPTED, f"multipart/mixed; boundary={boundary}", body
    if "json" in accept:
        return error.status, _TABLE_JSON, _table_json(code, said)
    return error.status, "application/xml", _table_xml(code, said)


def _table_json(code: str, said: str) -> bytes:
    error = {"code": code, "message": {"lang": "en-US", "value": said}}
    return json.dumps({"odata.error": error}).encode()


def _table_xml(code: str, said: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>'
        f'<error xmlns="{_TABLE_XML}"><code>{code}</code>'
        f'<message xml:lang="en-US">{said}</message></error>'
    ).encode()


def _storage_xml(code: str, said: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{code}</Code><Message>{said}</Message></Error>"
    ).encode()


def _transaction(status: HTTPStatus, told: bytes, request_id: str) -> tuple[str, bytes]:
    """Wrap an error as the answer to a transaction: its boundary, and the multipart body."""
    outer, inner = f"batchresponse_{request_id}", f"changesetresponse_{request_id}"
    head = (
        f"--{outer}",
        f"Content-Type: multipart/mixed; boundary={inner}",
        "",
        f"--{inner}",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"HTTP/1.1 {status.value} {status.phrase}",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-cache",
        "DataServiceVersion: 3.0;",
        f"Content-Type: {_TABLE_JSON}",
        "",
        "",
    )
    tail = ("", f"--{inner}--", f"--{outer}--", "")
    return outer, "\r\n".join(head).encode() + told + "\r\n".join(tail).encode()
