"""A SharedKey signature for blobs and queues, whose SDKs are not among this project's libraries.

Source: Azure Storage REST documentation, "Authorize with Shared Key".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Generator
from email.utils import formatdate

import httpx

from local.azurite import ACCOUNT_KEY, ACCOUNT_NAME

_SIGNED = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)


class SharedKey(httpx.Auth):
    """Signs each request with the emulator's key."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["x-ms-date"] = formatdate(usegmt=True)
        request.headers["x-ms-version"] = "2021-12-02"
        length = request.headers.get("Content-Length", "")
        plain = {**request.headers, "content-length": "" if length == "0" else length}
        ours = sorted(item for item in request.headers.items() if item[0].startswith("x-ms-"))
        path = request.url.raw_path.partition(b"?")[0].decode()
        text = "\n".join(
            (
                request.method,
                *(plain.get(name.lower(), "") for name in _SIGNED),
                *(f"{name}:{value}" for name, value in ours),
                f"/{ACCOUNT_NAME}{path}",
                *(f"{name}:{value}" for name, value in sorted(request.url.params.items())),
            )
        )
        key = base64.b64decode(ACCOUNT_KEY)
        signature = base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()
        request.headers["Authorization"] = f"SharedKey {ACCOUNT_NAME}:{signature}"
        yield request


def storage_client() -> httpx.AsyncClient:
    """An HTTP client whose calls Azurite takes."""
    return httpx.AsyncClient(auth=SharedKey(), trust_env=False, timeout=10)
