"""The web page and its API, as an ASGI application: any server runs it, ours is Ray Serve.

GET /        the page, its style and its script; nothing is loaded from elsewhere, and all addresses
             are relative, so it may be shown below any path
GET /about   the models, the default settings and the limits of a request
POST /draw   a DrawRequest in JSON; answered by one JSON object a line, each as soon as it is known:
             {"event": "waiting", "ahead": 2, "seconds": 9.5}
             {"event": "started", "candidates": 16, "seconds": 4.7, "notes": [...], "settings": ...}
             {"event": "picture", "candidate": 0, "score": 0.31, "file": ..., "png": base64, ...}
             {"event": "done", "ranking": [7, 0, ...], "ranked_by": "CLIP", "seconds": 4.5, ...}
             {"event": "failed", "error": a sentence}

A request that cannot be drawn is answered by {"error": a sentence} and a status of 400 or more. The
request of a client that disconnects leaves the queue, and no more tiles of it are drawn.
"""

import asyncio
import json
import math
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

from pydantic import Field, field_validator
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipelines.draw.draw_request import DrawRequest
from pipelines.draw.guard import Guard
from pipelines.draw.proxy import NO_PROXY, Proxy, StripPrefix
from pipelines.draw.request_queue import QueueFull, RequestQueue, Ticket
from pipelines.draw.sheet import sheet_png
from pipelines.draw.text_to_image import TextToImage, file_name
from schemas.errors import ConfigError
from stages.models.ranking import CALLED
from stages.sample.generator import Picture

QUEUE = 16  # requests, with the one that is being drawn
MAX_CHARACTERS = 4_000  # of a prompt; the paper's prior reads 256 tokens
MAX_CANDIDATES = 512  # as many as the paper draws
BODY_BYTES, BODY_SECONDS = 64 * 2**10, 10.0
PAGE = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


class BoundedDrawRequest(DrawRequest):
    """A request from the network, of limited size."""

    candidates: int = Field(16, ge=1, le=MAX_CANDIDATES)

    @field_validator("prompt")
    @classmethod
    def _not_too_long(cls, prompt: str) -> str:
        if len(prompt) > MAX_CHARACTERS:
            raise ValueError(
                f"wanted at most {MAX_CHARACTERS:,} characters, found {len(prompt):,}; shorten it"
            )
        return prompt


class WebApp:
    """Serves the page, and draws one request at a time."""

    def __init__(self, pipeline: TextToImage, *, queue: int = QUEUE) -> None:
        self.pipeline = pipeline
        self.queue = RequestQueue(queue)
        # one thread, so the next request waits for the last tile of a client that has disconnected
        self.executor = ThreadPoolExecutor(1)

    def application(self, host: str, proxy: Proxy = NO_PROXY) -> Starlette:
        """Return the ASGI application for a server on `host`, perhaps behind a proxy."""
        return Starlette(
            routes=[
                *(Route(path, _file(name)) for path, name in PAGE.items()),
                Route("/about", self.about),
                Route("/draw", self.draw, methods=["POST"]),
            ],
            middleware=[
                Middleware(Guard, host=host, origins=proxy.origins),
                Middleware(StripPrefix, prefix=proxy.root_path),
            ],
            exception_handlers={HTTPException: _refused, Exception: _broken},
        )

    async def about(self, http: Request) -> Response:
        """Answer with the models, the default settings and the limits of a request."""
        defaults = self.pipeline.resolve(DrawRequest(prompt="any"))
        return JSONResponse(
            {
                "side": self.pipeline.generator.tokens.side,
                "tile": self.pipeline.tile,
                "codes": self.pipeline.generator.tokens.image_vocab,
                "takes_guidance": self.pipeline.takes_guidance,
                "made_by": self.pipeline.generator.fingerprints,
                "settings": defaults.model_dump(exclude={"prompt"}),
                "limits": {
                    "candidates": MAX_CANDIDATES,
                    "characters": MAX_CHARACTERS,
                    "queue": self.queue.capacity,
                },
            }
        )

    async def draw(self, http: Request) -> Response:
        """Queue a request and answer with its events; 400 or 503 if it cannot be queued."""
        body = await _body(http)
        try:
            request = self.pipeline.resolve(BoundedDrawRequest.of_json(body))
            ticket = self.queue.join(math.ceil(request.candidates / self.pipeline.tile))
        except ConfigError as error:
            raise HTTPException(400, str(error)) from None
        except QueueFull as error:
            raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from None
        return EventStream(self._events(request, ticket), ticket)

    async def _events(
        self, request: DrawRequest, ticket: Ticket
    ) -> AsyncIterator[Mapping[str, Any]]:
        async for ahead, seconds in ticket.turns():
            yield {"event": "waiting", "ahead": ahead, "seconds": seconds}
        yield {
            "event": "started",
            "candidates": request.candidates,
            "seconds": self.queue.seconds([ticket]),
            "notes": self.pipeline.truncations(request),
            "settings": request.model_dump(),
        }
        try:
            pictures: list[Picture] = []
            began = before = time.monotonic()
            tiles = self.pipeline.tiles(request)
            while tile := await self._in_thread(self._next_tile, tiles, request):
                ticket.drew(time.monotonic() - before)
                before = time.monotonic()
                for picture, png in tile:
                    pictures.append(picture)
                    yield _picture_event(picture, png, request)
            pictures = self.pipeline.ranked(pictures)
            sheet = await self._in_thread(sheet_png, pictures, request)
        except Exception:
            yield {"event": "failed", "error": "The drawing failed; the server's log says why."}
            raise
        yield {
            "event": "done",
            "ranking": [picture.candidate for picture in pictures],
            "ranked_by": CALLED[self.pipeline.generator.rank_by],
            "seconds": round(time.monotonic() - began, 2),
            "file": file_name(request),
            "sheet": b64encode(sheet).decode(),
        }

    async def _in_thread(self, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *args)

    def _next_tile(
        self, tiles: Iterator[list[Picture]], request: DrawRequest
    ) -> list[tuple[Picture, bytes]]:
        png = self.pipeline.generator.png
        return [(one, png(one, request.seed, request.sampling)) for one in next(tiles, [])]


class EventStream(StreamingResponse):
    """Events as JSON lines; the ticket leaves the queue after the last, or with the client."""

    media_type = "application/x-ndjson"

    def __init__(self, events: AsyncIterator[Mapping[str, Any]], ticket: Ticket) -> None:
        super().__init__(
            (json.dumps(event) + "\n" async for event in events),
            headers={"X-Accel-Buffering": "no"},  # a proxy must pass each line on as it comes
        )
        self.ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.ticket.leave()


def _picture_event(picture: Picture, png: bytes, request: DrawRequest) -> Mapping[str, Any]:
    return {
        "event": "picture",
        "candidate": picture.candidate,
        "score": picture.clip_score,
        "seed": str(picture.seed),  # of 63 bits, more than JavaScript's numbers have
        "file": file_name(request, picture.candidate),
        "png": b64encode(png).decode(),
    }


async def _body(http: Request) -> bytes:
    """Read a request's JSON, of limited size and in limited time."""
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"wanted JSON, found '{kind[:100]}'; send application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in http.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise HTTPException(
                        413, f"wanted at most {BODY_BYTES:,} bytes, found more; shorten the prompt"
                    )
    except TimeoutError:
        raise HTTPException(
            408, f"wanted a whole request in {BODY_SECONDS:g} s, found a part of one; send it again"
        ) from None
    except ClientDisconnect:
        raise HTTPException(400, "wanted a whole request, found a part of one") from None
    return bytes(body)


def _file(name: str) -> Any:
    """Return an endpoint that answers with a file of this folder."""
    data = files(__package__).joinpath(name).read_bytes()
    kind = MEDIA_TYPES[name.rpartition(".")[2]]

    async def answer(http: Request) -> Response:
        return Response(data, media_type=kind)

    return answer


async def _refused(http: Request, error: Exception) -> Response:
    """Answer with a sentence about what is wrong with the request."""
    assert isinstance(error, HTTPException)
    sentence = error.detail
    if error.status_code == 404:
        sentence = f"wanted a path that exists, found '{http.url.path[:100]}'; the page is at /"
    elif error.status_code == 405:
        sentence = f"wanted another method than {http.method} for this path"
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def _broken(http: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its log says why"}, 500)
