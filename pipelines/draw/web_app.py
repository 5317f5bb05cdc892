"""The page and what it asks for, as an ASGI application: any server runs it, Ray Serve ours.

GET /        the page; its style and its script beside it, and nothing from elsewhere. All its
             addresses are relative, so it may be shown below any path
GET /about   what is drawn here, and the bounds of a wish
POST /draw   a wish in JSON; answered by lines of JSON, each as soon as it is known:
             {"event": "waiting", "ahead": 2, "seconds": 9.5}
             {"event": "started", "candidates": 16, "seconds": 4.7, "notes": [...], "settings": ...}
             {"event": "picture", "candidate": 0, "score": 0.31, "file": ..., "png": base64, ...}
             {"event": "done", "ranking": [7, 0, ...], "seconds": 4.5, "file": ..., "sheet": base64}
             {"event": "failed", "error": a sentence}

What cannot be done is {"error": a sentence} with its status. A client that leaves gives its place
in the line up, and the rest of its pictures is not drawn.
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
from pipelines.draw.proxy import NO_PROXY, Proxy, Unprefixed
from pipelines.draw.request_queue import QueueFull, RequestQueue, Ticket
from pipelines.draw.sheet import sheet_png
from pipelines.draw.text_to_image import Picture, TextToImage, file_name, ranked
from schemas.errors import ConfigError

PLACES = 16  # in the line, the one that is being drawn for counted
LETTERS = 4_000  # of a prompt; the paper's prior reads 256 tokens
MOST = 512  # candidates, as many as the paper draws
BODY_BYTES, BODY_SECONDS = 64 * 2**10, 10.0
PARTS = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


class BoundedRequest(DrawRequest):
    """A wish from the network, where everything has an end."""

    candidates: int = Field(16, ge=1, le=MOST)

    @field_validator("prompt")
    @classmethod
    def _not_endless(cls, prompt: str) -> str:
        if len(prompt) > LETTERS:
            raise ValueError(
                f"wanted at most {LETTERS:,} characters, found {len(prompt):,}; shorten it"
            )
        return prompt


class WebApp:
    """Answers requests, and draws one wish at a time."""

    def __init__(self, pipeline: TextToImage, *, places: int = PLACES) -> None:
        self.pipeline = pipeline
        self.line = RequestQueue(places)
        # One thread: who has the turn may wait for the last tile of one who has left.
        self.brush = ThreadPoolExecutor(1)

    def application(self, host: str, proxy: Proxy = NO_PROXY) -> Starlette:
        """Return what a server on `host` runs, perhaps behind a proxy."""
        return Starlette(
            routes=[
                *(Route(path, _file(name)) for path, name in PARTS.items()),
                Route("/about", self.about),
                Route("/draw", self.draw, methods=["POST"]),
            ],
            middleware=[
                Middleware(Guard, host=host, origins=proxy.origins),
                Middleware(Unprefixed, prefix=proxy.root_path),
            ],
            exception_handlers={HTTPException: _refused, Exception: _broken},
        )

    async def about(self, request: Request) -> Response:
        """Say what is drawn here, and within which bounds."""
        own = self.pipeline.settled(DrawRequest(prompt="any"))
        return JSONResponse(
            {
                "side": self.pipeline.side,
                "tile": self.pipeline.tile,
                "codes": self.pipeline.codes,
                "takes_guidance": self.pipeline.takes_guidance,
                "made_by": self.pipeline.generator.made_by,
                "settings": own.model_dump(exclude={"prompt"}),
                "most": {"candidates": MOST, "letters": LETTERS, "places": self.line.places},
            }
        )

    async def draw(self, request: Request) -> Response:
        """Take a place in the line for a wish; all else is said as it becomes known."""
        body = await _body(request)
        try:
            wish = self.pipeline.settled(BoundedRequest.of_json(body))
            place = self.line.join(math.ceil(wish.candidates / self.pipeline.tile))
        except ConfigError as error:
            raise HTTPException(400, str(error)) from None
        except QueueFull as error:
            raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from None
        return EventStream(self._events(wish, place), place)

    async def _events(self, wish: DrawRequest, place: Ticket) -> AsyncIterator[Mapping[str, Any]]:
        async for ahead in place.turns():
            yield {"event": "waiting", "ahead": ahead, "seconds": place.seconds_ahead}
        yield {
            "event": "started",
            "candidates": wish.candidates,
            "seconds": place.seconds_own,
            "notes": self.pipeline.cut(wish),
            "settings": wish.model_dump(),
        }
        try:
            found: list[Picture] = []
            began = before = time.monotonic()
            tiles = self.pipeline.tiles(wish)
            while tile := await self._in_thread(self._tile, tiles, wish):
                place.drew(time.monotonic() - before)
                before = time.monotonic()
                for picture, png in tile:
                    found.append(picture)
                    yield _told(picture, png, wish)
            found = ranked(found)
            sheet = await self._in_thread(sheet_png, found, wish)
        except Exception:
            yield {"event": "failed", "error": "The drawing failed; the server's log says why."}
            raise
        yield {
            "event": "done",
            "ranking": [picture.drawn.candidate for picture in found],
            "seconds": round(time.monotonic() - began, 2),
            "file": file_name(wish),
            "sheet": b64encode(sheet).decode(),
        }

    async def _in_thread(self, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.brush, work, *args)

    def _tile(
        self, tiles: Iterator[list[Picture]], wish: DrawRequest
    ) -> list[tuple[Picture, bytes]]:
        tile = next(tiles, [])
        return [(picture, self.pipeline.png(picture, wish)) for picture in tile]


class EventStream(StreamingResponse):
    """Events as lines of JSON; its place is left when all are told, or nobody listens any more."""

    media_type = "application/x-ndjson"

    def __init__(self, events: AsyncIterator[Mapping[str, Any]], place: Ticket) -> None:
        super().__init__(
            (json.dumps(event) + "\n" async for event in events),
            headers={"X-Accel-Buffering": "no"},  # a proxy must hand each line on as it comes
        )
        self.place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.place.leave()


def _told(picture: Picture, png: bytes, wish: DrawRequest) -> Mapping[str, Any]:
    drawn = picture.drawn
    return {
        "event": "picture",
        "candidate": drawn.candidate,
        "score": drawn.clip_score,
        "seed": str(drawn.seed),  # 63 bits, more than a page's numbers have
        "file": file_name(wish, drawn.candidate),
        "png": b64encode(png).decode(),
    }


async def _body(request: Request) -> bytes:
    """Read a request's JSON, within bounds of size and time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"wanted JSON, found '{kind[:100]}'; send application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
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
    """Return what answers with a file that lies beside this one."""
    data = files(__package__).joinpath(name).read_bytes()
    kind = KINDS[name.rpartition(".")[2]]

    async def answer(request: Request) -> Response:
        return Response(data, media_type=kind)

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    """Say in a sentence what was wrong with a request."""
    assert isinstance(error, HTTPException)
    sentence = error.detail
    if error.status_code == 404:
        sentence = f"wanted a path that there is, found '{request.url.path[:100]}'; the page is /"
    elif error.status_code == 405:
        sentence = f"wanted another method than {request.method} for this path"
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its log says why"}, 500)
