"""A small web server for the demo and for tests: it serves a folder, with planned faults.

It listens on 127.0.0.1 only and answers GET and HEAD from many threads, without a log. The first
part of a path may be given a `Fault`; every other path is a file of the folder, or a 404.
"""

import mimetypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from schemas.errors import UserError

HOST = "127.0.0.1"
GARBAGE = bytes(range(256)) * 8
WEB_PAGE = b"<!doctype html><title>Gone</title><p>This picture has moved."
CLAIMED_BYTES = 1_000_000_000  # the Content-Length of an oversized answer


class Fault(Enum):
    """What is wrong with an answer."""

    FORBIDDEN = "403"
    STALL = "accepts the request and never answers"
    HANG_UP = "closes the connection without an answer"
    GARBAGE = "bytes that are no picture, under a picture's type"
    WEB_PAGE = "an HTML page in a picture's place"
    CUT_OFF = "half of the file, then the connection closes"
    OVERSIZED = "claims a gigabyte"


class WebServer(ThreadingHTTPServer):
    """Serves a folder until it is closed; `serve` does both."""

    daemon_threads = True
    block_on_close = False  # a stalled answer must not delay closing
    request_queue_size = 256  # a crawler opens many connections at once
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int, faults: Mapping[str, Fault]) -> None:
        self.stopping = threading.Event()
        super().__init__((HOST, port), partial(_Handler, folder=folder.resolve(), faults=faults))

    @property
    def address(self) -> str:
        """`host:port`, as `crawl.run.allow_hosts` wants it."""
        return f"{HOST}:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


@contextmanager
def serve(
    folder: Path, *, port: int = 0, faults: Mapping[str, Fault] | None = None
) -> Iterator[WebServer]:
    """Serve `folder` while the block runs, on a free port if `port` is 0.

    Raises UserError if the port is taken.
    """
    try:
        server = WebServer(folder, port, faults or {})
    except OSError as error:
        raise UserError(
            f"wanted to serve {folder} on {HOST}:{port}, but that failed ({error.strerror}); "
            "choose another port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.daemon = True
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def __init__(
        self, *args: Any, folder: Path, faults: Mapping[str, Fault], **kwargs: Any
    ) -> None:
        self.folder, self.faults = folder, faults
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        match self.faults.get(path.split("/")[0]):
            case None:
                self._send_file(path)
            case Fault.FORBIDDEN:
                self._send(b"", "text/plain", status=HTTPStatus.FORBIDDEN)
            case Fault.STALL:
                self.server.stopping.wait()
            case Fault.HANG_UP:
                pass
            case Fault.GARBAGE:
                self._send(GARBAGE, "image/jpeg")
            case Fault.WEB_PAGE:
                self._send(WEB_PAGE, "text/html")
            case Fault.CUT_OFF:
                self._send_file(path, share=0.5)
            case Fault.OVERSIZED:
                self._send(GARBAGE, "image/jpeg", claim=CLAIMED_BYTES)

    do_HEAD = do_GET

    def _send_file(self, path: str, share: float = 1.0) -> None:
        file = (self.folder / path).resolve()
        if not file.is_relative_to(self.folder) or not file.is_file():
            self._send(b"", "text/plain", status=HTTPStatus.NOT_FOUND)
            return
        body = file.read_bytes()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self._send(body[: int(share * len(body))], kind, claim=len(body))

    def _send(
        self,
        body: bytes,
        kind: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        claim: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if claim is None else claim))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""
