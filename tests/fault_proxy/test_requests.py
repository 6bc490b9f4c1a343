"""What a request asks for is read from its line and its body."""

from __future__ import annotations

import pytest

from local.fault_proxy.requests import Call, Kind, Service, call_of

ACCOUNT = "/devstoreaccount1"


@pytest.mark.parametrize(
    ("method", "target", "kind", "name"),
    [
        ("GET", "/events(PartitionKey='p',RowKey='a%2Fb')", "point", "events"),
        ("GET", "/events%28PartitionKey%3D%27p%27%2CRowKey%3D%27k%27%29", "point", "events"),
        ("GET", "/events()?$filter=PartitionKey%20eq%20'p'", "query", "events"),
        ("GET", "/events", "query", "events"),
        ("POST", "/events", "single", "events"),
        ("PUT", "/events(PartitionKey='p',RowKey='k')", "single", "events"),
        ("PATCH", "/events(PartitionKey='p',RowKey='k')", "single", "events"),
        ("MERGE", "/events(PartitionKey='p',RowKey='k')", "single", "events"),
        ("DELETE", "/events(PartitionKey='p',RowKey='k')", "single", "events"),
        ("GET", "/events?comp=acl", "manage", "events"),
        ("DELETE", "/Tables('events')", "manage", "events"),
        ("GET", "/Tables", "manage", None),
        ("GET", "/?restype=service&comp=properties", "manage", None),
        ("POST", "/$batch", "batch", None),
    ],
)
def test_calls_of_the_table_service(method: str, target: str, kind: Kind, name: str | None) -> None:
    """Each form of address of the table service gives its kind and its table."""
    assert call_of("table", method, ACCOUNT + target) == Call("table", method, kind, name)


@pytest.mark.parametrize(
    ("service", "method", "target", "kind", "name"),
    [
        ("blob", "GET", "/?comp=list", "manage", None),
        ("blob", "PUT", "/bodies?restype=container", "manage", "bodies"),
        ("blob", "GET", "/bodies?restype=container&comp=list", "query", "bodies"),
        ("blob", "PUT", "/bodies/2026/a.json", "single", "bodies"),
        ("blob", "PUT", "/bodies/a.json?comp=lease", "single", "bodies"),
        ("blob", "HEAD", "/bodies/a.json", "point", "bodies"),
        ("blob", "GET", "/bodies/a.json?comp=blocklist", "point", "bodies"),
        ("blob", "POST", "/?comp=batch", "batch", None),
        ("queue", "PUT", "/jobs", "manage", "jobs"),
        ("queue", "POST", "/jobs/messages", "single", "jobs"),
        ("queue", "GET", "/jobs/messages", "single", "jobs"),
        ("queue", "GET", "/jobs/messages?peekonly=true", "point", "jobs"),
        ("queue", "DELETE", "/jobs/messages/id?popreceipt=x", "single", "jobs"),
    ],
)
def test_calls_of_the_other_services(
    service: Service, method: str, target: str, kind: Kind, name: str | None
) -> None:
    """Blobs and queues give the same kinds; a message that is taken is a change."""
    assert call_of(service, method, ACCOUNT + target) == Call(service, method, kind, name)


def test_a_transaction_names_its_table_inside() -> None:
    """The table of a transaction is that of its first operation, whatever host it names."""
    body = (
        b"--batch_1\r\nContent-Type: multipart/mixed; boundary=changeset_2\r\n\r\n"
        b"--changeset_2\r\nContent-Type: application/http\r\n\r\n"
        b"PUT http://127.0.0.1:1/devstoreaccount1/sessions(PartitionKey='p',RowKey='k')"
        b" HTTP/1.1\r\n\r\n--changeset_2\r\n"
        b"POST http://127.0.0.1:1/devstoreaccount1/other HTTP/1.1\r\n"
    )

    call = call_of("table", "POST", f"{ACCOUNT}/$batch", body)

    assert call == Call("table", "POST", "batch", "sessions")


def test_a_transaction_that_holds_a_query_is_a_query() -> None:
    """A transaction of one GET changes nothing."""
    body = b"--batch_1\r\n\r\nGET http://127.0.0.1:1/devstoreaccount1/events() HTTP/1.1\r\n"

    assert call_of("table", "POST", f"{ACCOUNT}/$batch", body).kind == "query"


@pytest.mark.parametrize(
    ("body", "name"), [(b'{"TableName": "events"}', "events"), (b"no JSON", None), (b"[]", None)]
)
def test_making_a_table_names_it_in_the_body(body: bytes, name: str | None) -> None:
    """A table that is made is known by its name, as far as the body can be read."""
    assert call_of("table", "POST", f"{ACCOUNT}/Tables", body).name == name
