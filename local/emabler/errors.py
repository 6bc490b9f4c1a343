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


class RefusalError(Exception):
    """A call is refused. Each kind knows the answer that tells so."""

    def answer(self, request: web.Request) -> web.Response:
        """Make the answer."""
        raise NotImplementedError


class BadValueError(RefusalError):
    """A value of the request cannot be used: answered 400 with an RFC 7807 body."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail

    def answer(self, request: web.Request) -> web.Response:
        """Answer 400 as RFC 7807 says."""
        problem = Problem(
            type="https://tools.ietf.org/html/rfc9110#section-15.5.1",
            title="One or more validation errors occurred.",
            status=400,
            detail=str(self),
            instance=request.path,
            extensions={self.field: self.detail},
        )
        return json_response(problem, 400, "application/problem+json")


class BadSortKeyError(RefusalError):
    """The sort key is not known: answered 400 with the older body."""

    def __init__(self, key: str, known: tuple[str, ...]) -> None:
        super().__init__(f"'{key}' is not a sort key; known are {', '.join(known)}")

    def answer(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the same for all
        """Answer 400 with the older body."""
        return older("INVALID_SORT_KEY", str(self), 400)


class NotThereError(RefusalError):
    """The path names a record that there is not: answered 404 with an RFC 7807 body."""

    def answer(self, request: web.Request) -> web.Response:
        """Answer 404 as RFC 7807 says."""
        problem = Problem(
            type="https://tools.ietf.org/html/rfc9110#section-15.5.5",
            title="Not Found",
            status=404,
            detail=str(self),
            instance=request.path,
        )
        return json_response(problem, 404, "application/problem+json")


class MissingPermissionError(RefusalError):
    """The key's operator lacks a permission: answered 403 with the older body.

    Which permission is not told: nothing documents that eMabler tells.
    """

    def answer(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the same for all
        """Answer 403 with the older body."""
        return older("FORBIDDEN", "You do not have permission to do this.", 403)


class PoisonedRowError(RefusalError):
    """A row of the page cannot be written: answered 500 with the older body."""

    def answer(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the same for all
        """Answer 500 with the older body."""
        return older("INTERNAL_ERROR", "An unexpected error occurred.", 500)


class ThrottledError(RefusalError):
    """Too many calls: answered 429 with the older body.

    No status, header or body of throttling is documented; integrators meet 429.

    Attributes:
        retry_after: the seconds of the `Retry-After` header, None for none.
    """

    def __init__(self, retry_after: int | None) -> None:
        super().__init__("too many calls")
        self.retry_after = retry_after

    def answer(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the same for all
        """Answer 429."""
        answer = older("TOO_MANY_REQUESTS", "Too many requests.", 429)
        if self.retry_after is not None:
            answer.headers["Retry-After"] = str(self.retry_after)
        return answer


def json_response(body: object, status: int = 200, content_type: str | None = None) -> web.Response:
    """Answer with a JSON body."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type=content_type or "application/json",
    )


def older(code: str, message: str, status: int) -> web.Response:
    """Answer with the older body."""
    return json_response(OlderError(error_code=code, message=message, error_number=status), status)
