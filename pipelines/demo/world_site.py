"""The demo's world as a web site: pictures in mixed formats, a url list, and the expected outcomes.

A known share of the list is bad, once for each reason of the crawl and the filter. Everything is a
pure function of WorldSettings.
"""

import calendar
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

from infra.web_server import Fault, WebServer
from infra.web_server import serve as serve_folder
from schemas.errors import ConfigError
from schemas.settings import WorldSettings
from stages import shapes
from stages.shapes.world import PromptSet

HOST = "world.test"  # a reserved name; the crawl is given the server's address
SITE, URLS, TRUTH, PROMPTS, DONE = "site", "urls.parquet", "truth.parquet", "prompts.jsonl", "done"
FORMATS = {"jpg": 0.5, "png": 0.25, "webp": 0.15, "bmp": 0.05, "gif": 0.05}  # and their shares
SIDE = 96  # pixels; the scene is a square of this side
OBLONG, LONGEST = 0.1, 1.3  # share of pictures that are not square, and their largest ratio
ELONGATED = 3.0  # aspect ratio of pictures to be rejected
TINY = (8, 20)  # pixels
MOST_TIMEOUTS = 6  # each takes the crawl its whole timeout

FAULTS = {
    "forbidden": Fault.FORBIDDEN,
    "slow": Fault.STALL,
    "garbage": Fault.GARBAGE,
    "moved": Fault.WEB_PAGE,
    "oversized": Fault.OVERSIZED,
}
PRIVATE = "http://169.254.169.254"  # clouds' credential service, which must not be reached
FOREIGN = (
    "ein roter kreis auf einem grauen hintergrund",
    "un cercle rouge au milieu de l'image",
    "un círculo rojo en el centro de la imagen",
    "een rode cirkel in het midden van de afbeelding",
    "czerwony okrąg na środku obrazka",
    "un cerchio rosso al centro dell'immagine",
    "punainen ympyrä kuvan keskellä",
    "красный круг в середине картинки",
)
TOO_SHORT = ("red", "dot", "a", "img", "?")


@dataclass(frozen=True)
class WorldFiles:
    """The files that `build` writes."""

    site: Path  # the folder to serve
    urls: Path  # url, caption
    truth: Path  # url, expected: "ok" or the reason to drop it
    prompts: Path  # one JSON object a line: prompt, set


@dataclass(frozen=True)
class Entry:
    """One line of the url list and its expected outcome."""

    path: str  # on the site, or a full url
    scene: shapes.Scene
    caption: str
    order: float  # position in the list, 0 to 1
    data: bytes | None  # file to serve
    expected: str = "ok"


Spoil = Callable[[Entry, np.random.Generator], Entry]


def build(folder: Path, world: WorldSettings) -> WorldFiles:
    """Write the site, its url list and the prompts, unless they are complete already."""
    files = WorldFiles(*(folder / name for name in (SITE, URLS, TRUTH, PROMPTS)))
    stamp = f"{world.digest} {HOST}"
    done = folder / DONE
    if done.exists() and done.read_text() == stamp:
        return files
    done.unlink(missing_ok=True)
    shutil.rmtree(files.site, ignore_errors=True)
    rows = []
    for entry in entries(world):
        if entry.data is not None:
            target = files.site / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(entry.data)
        url = entry.path if "://" in entry.path else f"http://{HOST}/{entry.path}"
        rows.append((entry.order, url, entry.caption, entry.expected))
    rows.sort()
    _, urls, captions, expected = zip(*rows, strict=True)
    pq.write_table(pa.table({"url": urls, "caption": pa.array(captions, pa.string())}), files.urls)
    pq.write_table(pa.table({"url": urls, "expected": expected}), files.truth)
    files.prompts.write_text("".join(json.dumps(line) + "\n" for line in prompt_lines(world)))
    done.write_text(stamp)
    return files


def serve(files: WorldFiles) -> AbstractContextManager[WebServer]:
    return serve_folder(files.site, faults=FAULTS)


def prompt_lines(world: WorldSettings) -> list[dict[str, str]]:
    """List the prompts that evaluate judges: `world.prompts` held-out ones, half as many others."""
    half = math.ceil(world.prompts / 2)
    return [
        {"prompt": prompt, "set": name}
        for name in get_args(PromptSet)
        for prompt in shapes.prompts(
            name, world.prompts if name == "held_out" else half, world.seed
        )
    ]


def entries(world: WorldSettings) -> Iterator[Entry]:
    """Yield the url list, good entries first; `order` shuffles them."""
    bad = round(world.pictures * world.bad_share)
    good = world.pictures - bad
    if good == 0:
        raise ConfigError(
            f"crawl.source.world.bad_share is {world.bad_share}, which leaves none of "
            f"{world.pictures} pictures to train on; lower it"
        )
    for index in range(good):
        yield _good(world.seed, index)
    kinds = _kinds_of(bad)
    for index, kind in enumerate(kinds, start=good):
        rng = np.random.default_rng([world.seed, index, 1])
        if kind == "duplicate":
            entry = _copy(_good(world.seed, index % good), index, rng)
        else:
            entry = _SPOIL[kind](_good(world.seed, index), rng)
        yield entry if entry.expected != "ok" else replace(entry, expected=kind)


def _kinds_of(bad: int) -> list[str]:
    """Return the kind of each bad entry in turn, with at most MOST_TIMEOUTS timeouts."""
    kinds = [("duplicate", *_SPOIL)[number % (1 + len(_SPOIL))] for number in range(bad)]
    timeouts = [number for number, kind in enumerate(kinds) if kind == "timeout"]
    for number in timeouts[MOST_TIMEOUTS:]:
        kinds[number] = "http_404"
    return kinds


def _good(seed: int, index: int) -> Entry:
    scene = shapes.scene(seed, index)
    rng = np.random.default_rng([seed, index, 0])
    kind = str(rng.choice(list(FORMATS), p=list(FORMATS.values())))
    longest = rng.uniform(1, LONGEST) if rng.random() < OBLONG else 1.0
    data = _encode(_canvas(scene, SIDE, longest, rng), kind)
    name = f"pictures/{index:07d}.{kind}"
    return Entry(name, scene, scene.caption, order=rng.random(), data=data)


def _canvas(
    scene: shapes.Scene, side: int, aspect: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the scene in the middle of a canvas with this aspect ratio, either way."""
    long = round(side * aspect)
    wide = rng.random() < 0.5
    return shapes.draw(scene, side, **{"width" if wide else "height": long})


def _encode(pixels: UInt8[np.ndarray, "h w 3"], kind: str) -> bytes:
    if kind == "gif":  # OpenCV's writer is not everywhere
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "GIF")
        return file.getvalue()
    quality = {"jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], "webp": [cv2.IMWRITE_WEBP_QUALITY, 95]}
    written, data = cv2.imencode(f".{kind}", pixels[..., ::-1], quality.get(kind, []))
    assert written
    return data.tobytes()


def _moved(good: Entry, rng: np.random.Generator, *, to: str) -> Entry:
    """Point the url to a path that the server answers with a fault."""
    return replace(good, path=f"{to}/{Path(good.path).name}", data=None)


def _no_image(good: Entry, rng: np.random.Generator) -> Entry:
    """Serve random bytes, a web page, or half of a file."""
    kind = rng.integers(3)
    if kind < 2:
        return _moved(good, rng, to=("garbage", "moved")[kind])
    half = _encode(np.zeros((100, 100, 3), np.uint8), "png")[:60]
    name = f"pictures/{Path(good.path).stem}.png"
    return replace(good, path=name, data=half, expected="truncated")


def _private(good: Entry, rng: np.random.Generator) -> Entry:
    return replace(good, path=f"{PRIVATE}/{good.path}", data=None)


def _caption(
    good: Entry, rng: np.random.Generator, *, choose: Callable[[str, np.random.Generator], str]
) -> Entry:
    return replace(good, caption=choose(good.caption, rng))


def _photographed(caption: str, rng: np.random.Generator) -> str:
    day, month = rng.integers(1, 29), calendar.month_name[int(rng.integers(1, 13))]
    wordings = (f"photographed on {day} {month} 2019", f"photographed on {month} {day}, 2019")
    return wordings[rng.integers(2)]


def _picture(
    good: Entry, rng: np.random.Generator, *, sides: tuple[int, int], aspect: float
) -> Entry:
    pixels = _canvas(good.scene, int(rng.integers(sides[0], sides[1] + 1)), aspect, rng)
    name = f"pictures/{Path(good.path).stem}.png"
    return replace(good, path=name, data=_encode(pixels, "png"))


def _copy(original: Entry, index: int, rng: np.random.Generator) -> Entry:
    """Serve the same bytes at another url, later in the list."""
    name = f"pictures/{index:07d}{Path(original.path).suffix}"
    later = original.order + (1 - original.order) * rng.random()
    return replace(original, path=name, order=later)


# How to spoil a good entry, by the crawl's or the filter's reason.
_SPOIL: dict[str, Spoil] = {
    "http_404": partial(_moved, to="missing"),
    "not_an_image": _no_image,
    "not_english": partial(_caption, choose=lambda caption, rng: str(rng.choice(FOREIGN))),
    "too_small": partial(_picture, sides=TINY, aspect=1.0),
    "caption_missing": partial(_caption, choose=lambda caption, rng: ""),
    "timeout": partial(_moved, to="slow"),
    "http_403": partial(_moved, to="forbidden"),
    "too_elongated": partial(_picture, sides=(SIDE, SIDE), aspect=ELONGATED),
    "caption_too_short": partial(_caption, choose=lambda caption, rng: str(rng.choice(TOO_SHORT))),
    "boilerplate": partial(_caption, choose=_photographed),
    "caption_too_long": partial(
        _caption, choose=lambda caption, rng: ", and ".join([caption] * 50)
    ),
    "forbidden_address": _private,
    "too_large": partial(_moved, to="oversized"),
}
