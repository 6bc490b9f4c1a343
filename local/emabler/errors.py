"""The documented error bodies: RFC 7807, and the older one of four fields.

Which of the two a path answers with is not documented: values that cannot be used get RFC 7807
here, a sort key that is not known and failures within get the older one, so that both are met.
"""

import msgspec
from aiohttp import web


class Problem(msgspec.Struct):
    """The RFC 7807 body as the OpenAPI description declares it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    extensions: dict[str, str] = {}


class OlderError(msgspec.Struct, rename="camel"):
    """The older body."""

    error_code: str
    message: str
    error_number: int = 0
    help_link: str = ""


class BadValueError(Exception):
    """A value of the request cannot be used: answered 400 with an RFC 7807 body."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class BadSortKeyError(Exception):
    """The sort key is not known: answered 400 with the older body."""


def json_response(body: object, status: int = 200, content_type: str | None = None) -> web.Response:
    """Answer with a JSON body."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type=content_type or "application/json",
    )


def bad_value(request: web.Request, error: BadValueError) -> web.Response:
    """Answer 400 as RFC 7807 says."""
    problem = Problem(
        type="https://tools.ietf.org/html/rfc9110#section-15.5.1",
        title="One or more validation errors occurred.",
        status=400,
        detail=str(error),
        instance=request.path,
        extensions={error.field: error.detail},
    )
    return json_response(problem, 400, "application/problem+json")


def older(code: str, message: str, status: int) -> web.Response:
    """Answer with the older body."""
    return json_response(OlderError(error_code=code, message=message, error_number=status), status)
