"""The proxy's error answers have the forms of the services."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from local.fault_proxy.answers import Answer, error_answer
from local.fault_proxy.requests import Call
from local.fault_proxy.rules import CODES

WRITE = Call("table", "POST", "single", "events")
BATCH = Call("table", "POST", "batch", "events")
BLOB = Call("blob", "PUT", "single", "bodies")
STATUS = {
    "ServerBusy": 503,
    "TooManyRequests": 429,
    "InternalError": 500,
    "OperationTimedOut": 500,
    "TableNotFound": 404,
    "AuthorizationPermissionMismatch": 403,
    "AuthorizationFailure": 403,
    "AuthenticationFailed": 403,
    "NoAuthenticationInformation": 401,
}


def answer(
    call: Call, code: str, *, accept: str = "application/json", inside: bool = False
) -> Answer:
    return error_answer(
        call,
        code,
        accept=accept,
        request_id="4ed29861-b036-4b97-b1e4-fc44c95f0bea",
        at=datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
        retry_after=3,
        inside=inside,
    )


def parsed(xml: bytes) -> ET.Element:
    return ET.fromstring(xml)  # noqa: S314 - the proxy made it a moment ago


@pytest.mark.parametrize("code", sorted({code for codes in CODES.values() for code in codes}))
def test_every_code_has_its_documented_status(code: str) -> None:
    """Each code that a rule may name is answered with its status, in header and body."""
    told = answer(WRITE, code)

    assert told.status == STATUS[code]
    assert dict(told.headers)["x-ms-error-code"] == code
    assert json.loads(told.body)["odata.error"]["code"] == code


def test_tables_tell_errors_in_the_format_that_was_asked_for() -> None:
    """JSON is answered with odata.error, anything else with XML."""
    told = json.loads(answer(WRITE, "ServerBusy").body)["odata.error"]["message"]
    assert told["value"].startswith("The server is busy.\nRequestId:4ed29861-")
    assert told["value"].endswith("\nTime:2026-11-22T10:00:00.000000Z")

    told_in_xml = answer(WRITE, "ServerBusy", accept="application/atom+xml").body
    assert parsed(told_in_xml).findtext("{*}code") == "ServerBusy"


def test_blobs_and_queues_tell_errors_in_xml() -> None:
    """The other services answer XML whatever was asked for."""
    told = answer(BLOB, "ServerBusy")

    assert parsed(told.body).findtext("Code") == "ServerBusy"
    assert dict(told.headers)["Content-Type"] == "application/xml"


def test_a_wait_is_asked_for_in_a_header() -> None:
    """`Retry-After` is in the headers, and a 401 says how to authenticate (RFC 9110, 15.5.2)."""
    assert dict(answer(WRITE, "ServerBusy").headers)["Retry-After"] == "3"
    assert "WWW-Authenticate" in dict(answer(WRITE, "NoAuthenticationInformation").headers)


def test_a_transaction_can_fail_inside() -> None:
    """Inside, a transaction is answered 202 with one part; other calls are answered as ever."""
    told = answer(BATCH, "ServerBusy", inside=True)

    assert told.status == 202
    assert b"\r\nHTTP/1.1 503 Service Unavailable\r\n" in told.body
    assert b'"value": "0:The server is busy.' in told.body
    assert "Retry-After" not in dict(told.headers)
    assert answer(WRITE, "ServerBusy", inside=True).status == 503
