"""What every request and every answer of the page goes through: who asks, and what may load."""

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
# With it, Ray Serve would go on drawing for a client that has left.
STAYS = "x-request-disconnect-disabled"


def is_loopback(host: str) -> bool:
    """Say whether an address reaches this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(address: str) -> SplitResult:
    """Take an address apart; one that cannot be, like `//[`, names nobody."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


class Guard:
    """Answers strangers with 403, and tells browsers to load nothing from elsewhere.

    On a loopback address only requests that name one are answered: a page elsewhere whose name was
    made to lead here (DNS rebinding) names itself. `origins` are where proxies show the page, as
    browsers write it: requests may name these too. What a proxy says of itself (X-Forwarded-Host
    and the like) could be anybody's words and is not read.
    """

    def __init__(self, app: ASGIApp, *, host: str, origins: Collection[str] = ()) -> None:
        self.app, self.host, self.origins = app, host, frozenset(origins)
        self.names = {_parts(origin).hostname for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; add our headers to the answer."""

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
        """Say why a request is not answered, or nothing."""
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
        if STAYS in headers:
            return f"wanted a client that may leave, found {STAYS}; take that header out"
        return None
