"""Middleware that refuses requests of other sites, and sets the page's security headers."""

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# a request with this header of Ray Serve's would be drawn on after its client disconnects
KEEPS_DRAWING = "x-request-disconnect-disabled"


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine's loopback."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(address: str) -> SplitResult:
    """Split an address; an invalid one, like `//[`, has an empty host."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


class Guard:
    """Answers requests of other sites with 403, and lets browsers load nothing from elsewhere.

    On a loopback address a request's Host header must be a loopback name, or one of `origins`, the
    addresses at which proxies show the page: this stops DNS rebinding, where another site's name
    resolves to this machine. X-Forwarded-Host and the like are not read, for any client can set
    them.
    """

    def __init__(self, app: ASGIApp, *, host: str, origins: Collection[str] = ()) -> None:
        self.app, self.host, self.origins = app, host, frozenset(origins)
        self.names = {_parts(origin).hostname for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; add the security headers to the answer."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        wrong = self.wrong(Headers(scope=scope)) if scope["type"] == "http" else None
        if wrong is None:
            await self.app(scope, receive, send_guarded)
        else:
            await JSONResponse({"error": wrong}, 403)(scope, receive, send_guarded)

    def wrong(self, headers: Headers) -> str | None:
        """Return why a request is refused, or None."""
        asked, origin = headers.get("host", ""), headers.get("origin")
        name = _parts(f"//{asked}").hostname or ""
        if is_loopback(self.host) and not is_loopback(name) and name not in self.names:
            return (
                f"wanted a request to {self.host}, found one to '{asked[:100]}'; open the address "
                "that the server printed, or name the proxy's with --allow-origin"
            )
        if origin not in (None, *self.origins) and _parts(origin or "").netloc != asked:
            return (
                f"wanted a request from this page, found one from '{(origin or '')[:100]}'; if a "
                "proxy shows the page there, name that with --allow-origin"
            )
        if KEEPS_DRAWING in headers:
            return f"wanted a client that may disconnect, found {KEEPS_DRAWING}; remove that header"
        return None
