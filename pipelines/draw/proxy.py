"""The page behind a reverse proxy: its public origins, and the path prefix of its requests."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import ConfigError

PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """What the page must know about a reverse proxy."""

    root_path: str = ""  # prefix of the paths that the proxy passes on, such as /draw
    origins: tuple[str, ...] = ()  # where browsers see the page, as they write it


NO_PROXY = Proxy()


def proxy_of(root_path: str | None, origins: Sequence[str]) -> Proxy:
    """Check and normalise the settings; raise ConfigError for what cannot be a path or origin."""
    return Proxy(_path(root_path or ""), tuple(map(_origin, origins)))


def _path(text: str) -> str:
    path = text.rstrip("/")
    if text and not re.fullmatch(r"(/[\w.~%:@-]+)*", path):
        raise ConfigError(
            f"--root-path: wanted a path that begins with /, like /draw, found '{text[:100]}'"
        )
    return path


def _origin(text: str) -> str:
    """Write an origin as browsers do: in lower case, without the default port and without path."""
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not re.fullmatch(r"https?://[\w.:\[\]-]+/?", text.lower()) or not parts.hostname:
        raise ConfigError(
            "--allow-origin: wanted what a browser shows before the path, like "
            f"https://draw.example.org, found '{text[:100]}'"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    named = "" if port in (None, PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{named}"


class StripPrefix:
    """Middleware that removes the proxy's prefix; paths without it are served as well."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its path in this application."""
        if self.prefix and scope["type"] == "http":
            path = scope["path"]
            if path == self.prefix and scope["method"] == "GET":
                # without the slash, the page's relative addresses would miss the prefix
                beside = RedirectResponse(f"{self.prefix.rpartition('/')[2]}/")
                return await beside(scope, receive, send)
            if path.startswith(f"{self.prefix}/"):
                scope = {**scope, "path": path.removeprefix(self.prefix)}
        return await self.app(scope, receive, send)
