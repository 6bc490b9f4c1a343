"""Cross-origin requests from a browser, as `Host.CORS` in local.settings.json allows them."""

from aiohttp import web

from local.functions_host.app_settings import LocalHostOptions


class Cors:
    """Answers preflight requests and marks the others; without configured origins does nothing."""

    def __init__(self, options: LocalHostOptions) -> None:
        self._any = "*" in options.cors_origins
        self._origins = {origin.rstrip("/").lower() for origin in options.cors_origins}
        self._credentials = options.cors_credentials

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to a preflight request from an allowed origin."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        if not self._allows(request):
            return None
        response = web.Response(status=204)
        asked = request.headers
        response.headers["Access-Control-Allow-Methods"] = asked["Access-Control-Request-Method"]
        if "Access-Control-Request-Headers" in asked:
            response.headers["Access-Control-Allow-Headers"] = asked[
                "Access-Control-Request-Headers"
            ]
        self.mark(request, response)
        return response

    def mark(self, request: web.BaseRequest, response: web.Response) -> None:
        """Tell the browser that this origin may read the response."""
        if not self._allows(request):
            return
        everyone = self._any and not self._credentials
        response.headers["Access-Control-Allow-Origin"] = (
            "*" if everyone else request.headers["Origin"]
        )
        if not everyone:
            response.headers["Vary"] = "Origin"
        if self._credentials:
            response.headers["Access-Control-Allow-Credentials"] = "true"

    def _allows(self, request: web.BaseRequest) -> bool:
        origin = request.headers.get("Origin")
        return bool(origin) and (self._any or str(origin).rstrip("/").lower() in self._origins)
