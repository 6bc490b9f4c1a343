"""Answers that are errors: what eMabler says in either of its two shapes, and what to do. Pure.

`CODES` is the table of all that can go wrong with a request; docs/emabler-rest.md is held to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

from shared.emabler.calls import Call
from shared.emabler.retries import retry_after
from shared.errors import RestRefusedError, RestUnavailableError

_OK, _REDIRECT, _REFUSED, _FAILING = 200, 300, 400, 500
_TOLD_CHARACTERS = 200
KEY_HIDDEN, TAG_HIDDEN = "(key)", "(tag)"


@dataclass(frozen=True, slots=True)
class Code:
    """One way to fail: when it happens, whether the request is tried again, and what to do."""

    when: str
    tried_again: bool
    advice: str


CODES: Mapping[str, Code] = {
    "rest_key_refused": Code(
        "401", tried_again=False, advice="the API key is wrong or revoked: check EMABLER_API_KEY"
    ),
    "rest_permission_missing": Code(
        "403",
        tried_again=False,
        advice="the operator who made the key lacks a permission, probably {permissions}: grant "
        "it in eMabler Connect, or make a key as an operator who has it",
    ),
    "rest_not_found": Code(
        "404",
        tried_again=False,
        advice="the address is wrong: check EMABLER_ENVIRONMENT, EMABLER_BASE_URL{setting}",
    ),
    "rest_redirected": Code(
        "3xx: not followed, since the key would go along",
        tried_again=False,
        advice="redirects are not followed: check EMABLER_BASE_URL",
    ),
    "rest_refused": Code(
        "any other 4xx",
        tried_again=False,
        advice="eMabler does not take the request: a page size (EMABLER_PAGE_SIZE, "
        "EMABLER_LIST_PAGE_SIZE) may be too large, or its API has changed{setting}",
    ),
    "rest_throttled": Code(
        "429",
        tried_again=True,
        advice="eMabler throttles: lower EMABLER_REQUESTS_PER_SECOND where it lasts",
    ),
    "rest_failing": Code(
        "408 and any 5xx (501 and 505 are not tried again)",
        tried_again=True,
        advice="eMabler has a fault of its own: ask its support where it lasts",
    ),
    "rest_away": Code(
        "no connection, no answer in time, an answer that breaks off",
        tried_again=True,
        advice="check EMABLER_BASE_URL, the app's network and eMabler's status",
    ),
    "rest_answer_unreadable": Code(
        "an answer that is no JSON (HTML, cut off, badly compressed) or not of the documented "
        "shape",
        tried_again=True,
        advice="check that EMABLER_BASE_URL is the API's own address; something else may answer "
        "there",
    ),
    "rest_answer_too_large": Code(
        "an answer beyond 32 MiB", tried_again=False, advice="lower EMABLER_PAGE_SIZE"
    ),
    "rest_pages_repeat": Code(
        "a page that came before, with a promise of a next one",
        tried_again=False,
        advice="the next run walks again; where it lasts, ask eMabler's support",
    ),
    "rest_pages_endless": Code(
        "more than twice the pages that the first answer's total needs, and 20",
        tried_again=False,
        advice="the next run walks again; where it lasts, ask eMabler's support",
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: its headers by lower-case name, its body unpacked.

    `asked` is the instant before its request was sent.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    asked: datetime


class Hidden:
    """Takes what must not be told out of a text: the key, and the tags that a request names.

    A server may echo what it was sent, as it was sent, in other case or percent-escaped.
    """

    def __init__(self, key: str, tags: Iterable[str] = ()) -> None:
        self._key = key
        # The longest first: a tag may be the beginning of another one.
        hidden = dict.fromkeys(tags, TAG_HIDDEN) | {key: KEY_HIDDEN}
        spelled = {form: name for text, name in hidden.items() for form in _spellings(text)}
        longest_first = sorted(spelled, key=len, reverse=True)
        self._names = {form.casefold(): name for form, name in spelled.items()}
        self._pattern = re.compile(
            "|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE
        )

    def __repr__(self) -> str:
        return "Hidden()"

    def and_tags(self, tags: Sequence[str]) -> Hidden:
        """Hides these tags as well."""
        return Hidden(self._key, tags) if tags else self

    def without(self, text: str) -> str:
        """The text with names in their place."""
        return self._pattern.sub(lambda m: self._names.get(m[0].casefold(), KEY_HIDDEN), text)


def _spellings(text: str) -> Iterable[str]:
    return {each for each in (text, quote(text, safe=""), json.dumps(text)[1:-1]) if each}


def advice(code: str, call: Call) -> str:
    """What to do about a code, for this call."""
    setting = ""
    if call.setting:
        setting = f": check {call.setting}" if code == "rest_refused" else f" and {call.setting}"
    permissions = " and ".join(call.permissions) or "one that eMabler does not name"
    return CODES[code].advice.format(permissions=permissions, setting=setting)


def refuse(call: Call, answer: Answer, hidden: Hidden, now: datetime) -> None:
    """Let an answer pass that is none of an error.

    Raises:
        RestUnavailableError: Throttled or failing.
        RestRefusedError: The key, a permission, the address or the request is wrong.
    """
    status = answer.status
    if _OK <= status < _REDIRECT:
        return
    code = _code(status)
    told = _told(answer.content, hidden)
    to_do = advice(code, call)
    parts = [f"{call}: {status}", *(each for each in (told.code, told.title, told.detail) if each)]
    if code == "rest_redirected" and (host := _host(answer.headers.get("location"))):
        parts.append(hidden.without(f"leads to {host}"))
    after = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"), now)
    if CODES[code].tried_again and after is not None:
        parts.append(f"asks to wait {after:.0f} s")
    message = ": ".join((*parts, to_do))
    if CODES[code].tried_again:
        raise RestUnavailableError(
            message,
            code=code,
            status=status,
            server_code=told.code,
            detail=told.detail or told.title,
            advice=to_do,
            retry_after=after,
        )
    raise RestRefusedError(
        message,
        code=code,
        status=status,
        server_code=told.code,
        detail=told.detail or told.title,
        advice=to_do,
        call=str(call),
    )


_BY_STATUS: Mapping[int, str] = {
    401: "rest_key_refused",
    403: "rest_permission_missing",
    404: "rest_not_found",
    408: "rest_failing",
    429: "rest_throttled",
}


def _code(status: int) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _FAILING:
        return "rest_failing"
    return "rest_refused" if status >= _REFUSED else "rest_redirected"


def unusable(
    call: Call, code: str, what: str, *, status: int | None = None
) -> RestUnavailableError:
    """The error for an answer that did not come, or that is no answer."""
    to_do = advice(code, call)
    return RestUnavailableError(f"{call}: {what}: {to_do}", code=code, status=status, advice=to_do)


@dataclass(frozen=True, slots=True)
class _Told:
    code: str | None = None
    title: str | None = None
    detail: str | None = None


def _told(content: bytes, hidden: Hidden) -> _Told:
    """RFC 7807 tells title and detail, the older shape errorCode and message."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return _Told()
    if not isinstance(fields, dict):
        return _Told()

    def first(names: Sequence[str]) -> str | None:
        texts = (fields.get(name) for name in names)
        found = next((each for each in texts if isinstance(each, str) and each.strip()), None)
        if found is None:
            return None
        # Half a surrogate pair can be in JSON and not in a log.
        text = hidden.without(found).encode("utf-8", "replace").decode()
        return " ".join(text.split())[:_TOLD_CHARACTERS]

    return _Told(first(("errorCode",)), first(("title", "message")), first(("detail",)))


def _host(location: str | None) -> str | None:
    try:
        return urlsplit(location or "").hostname
    except ValueError:
        return None
