"""Fetch and shrink one piece of a list in a worker, with img2dataset's downloader and resizer.

Imported in workers only: img2dataset needs seconds and 400 MB to import.
"""

import email.message
import io
import math
import os
import tempfile
import urllib.request
import urllib.response
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import pyarrow as pa
from img2dataset.downloader import Downloader
from img2dataset.resizer import Resizer
from PIL import Image

from schemas import rows
from schemas.configs import CrawlJob
from schemas.folder import Folder
from stages import pictures
from stages.crawl.addresses import safe_url
from stages.crawl.budget import Budget
from stages.crawl.earlier import Earlier
from stages.crawl.folder import FolderReader, as_url, from_url
from stages.crawl.hosts import Hosts, taking_turns
from stages.crawl.opener import WebOpener
from stages.crawl.reasons import Refused, reason_of
from stages.crawl.sources import Piece, read_piece
from stages.shards import Made
from stages.tables import PICTURE_FILE, parquet_bytes

LARGEST_SHARE = 1.5  # of the training side, for the short side of what we keep (listing 1)
EXIF_ORIENTATION = 0x0112

Fetched = dict[str, Any]  # what came of one row: see `outcome`
Resize = Callable[..., tuple[Any, ...]]  # as img2dataset calls it


class _Opener(Protocol):
    def open(
        self, request: urllib.request.Request, data: None = None, timeout: float = 10
    ) -> urllib.response.addinfourl: ...


class FolderOpener:
    """Gives img2dataset the files of a picture folder as if they came from the web."""

    def __init__(self, reader: FolderReader) -> None:
        self.reader = reader

    def open(
        self, request: urllib.request.Request, data: None = None, timeout: float = 10
    ) -> urllib.response.addinfourl:
        """Return the file that the address stands for."""
        body = self.reader.read(from_url(request.full_url))
        return urllib.response.addinfourl(
            io.BytesIO(body), email.message.Message(), request.full_url
        )


class Shrink:
    """img2dataset's resizer, with a look at the picture's header first.

    Not for several threads: the resizer plays with this process's standard output.
    """

    def __init__(self, cfg: CrawlJob) -> None:
        self.max_pixels = cfg.max_pixels
        self.resizer = Resizer(
            image_size=math.ceil(LARGEST_SHARE * cfg.side),
            resize_mode="keep_ratio",
            resize_only_if_bigger=True,
            encode_quality=cfg.encode_quality,
            encode_format="jpg",
        )

    def __call__(self, stream: io.BytesIO, boxes: None = None) -> tuple[Any, ...]:
        """Return (JPEG, width, height, original width, original height, error)."""
        data = stream.getvalue()
        try:
            upright = self._upright(data)
        except Refused as error:
            return None, None, None, None, None, str(error)
        return self.resizer(io.BytesIO(upright), boxes)

    def _upright(self, data: bytes) -> bytes:
        """Return the file, made anew only where OpenCV would misread it."""
        try:
            with Image.open(io.BytesIO(data), formats=pictures.FORMATS) as image:
                width, height = image.size
                turned = image.getexif().get(EXIF_ORIENTATION, 1) != 1
                plain = not turned and not image.mode.startswith("I")
                if width * height > self.max_pixels:
                    raise Refused("too_large", f"{width} x {height} pixels")
                if image.format != "JPEG":
                    image.load()  # of these, OpenCV is content with half a picture
            return data if plain else pictures.encode_png(pictures.decode(data))
        except pictures.PictureError as error:
            raise Refused("not_an_image", str(error)) from error
        except pictures.BROKEN as error:
            raise Refused("not_an_image", f"{type(error).__name__}: {error}") from error


class FetchPiece:
    """One per actor: turns a piece of the list into a shard of PAIR rows, in the list's order."""

    def __init__(self, cfg: CrawlJob, out: Folder, earlier: Earlier | None = None) -> None:
        self.cfg, self.out, self.earlier = cfg, out, earlier
        self.shrink: Resize = Shrink(cfg)
        self.reader: FolderReader | None = None
        opener: _Opener
        if cfg.source.kind == "folder":
            self.reader = FolderReader(cfg.source, cfg.max_bytes)
            opener = FolderOpener(self.reader)
        else:
            budget = Budget()
            self.shrink = _Freeing(self.shrink, budget)
            opener = web_opener(cfg, budget)
        urllib.request.install_opener(opener)  # type: ignore[arg-type]

    def __call__(self, piece: Piece) -> Made:
        """Fetch the piece and return its shard."""
        listed = read_piece(piece, self.cfg.source, self.out).to_pylist()
        if self.reader is None:
            urls = [safe_url(row["url"]) for row in listed]
        else:
            urls = [as_url(row["url"]) for row in listed]
            for row in listed:
                self._read_caption(row)
        known = self._known(piece.index, listed)
        todo = [number for number in range(len(urls)) if number not in known]
        fetched = fetch([urls[number] for number in todo], self.shrink, self.cfg)
        table = pairs(piece.index, listed, known | dict(zip(todo, fetched, strict=True)))
        reasons = Counter(row for row in table["reason"].to_pylist() if row is not None)
        return Made(
            files={shard_file(piece.index): parquet_bytes(table, PICTURE_FILE)},
            rows_in=len(table),
            rows_out=len(table) - reasons.total(),
            rejects=dict(sorted(reasons.items())),
        )

    def _known(self, index: int, listed: list[dict[str, Any]]) -> dict[int, Fetched]:
        """Return what the earlier crawl already knows of the rows, by their number."""
        if self.earlier is None:
            return {}
        keys = [row_key(index, number) for number in range(len(listed))]
        return self.earlier.known(shard_file(index), keys, [row["url"] for row in listed])

    def _read_caption(self, row: dict[str, Any]) -> None:
        if self.reader is not None and row["caption_file"] is not None:
            try:
                row["caption"] = self.reader.caption(row["caption_file"])
            except Refused:
                row["caption"] = None  # filter drops it as caption_missing


def web_opener(cfg: CrawlJob, budget: Budget) -> WebOpener:
    """Return what fetches from the web under these settings."""
    return WebOpener(
        max_bytes=cfg.max_bytes,
        retries=cfg.retries,
        allow_hosts=cfg.allow_hosts,
        agent=cfg.user_agent,
        contact=cfg.contact,
        robots_timeout=cfg.timeout_seconds if cfg.respect_robots else None,
        respect_opt_outs=cfg.respect_opt_outs,
        hosts=Hosts(cfg.host_connections, cfg.host_pause_seconds),
        budget=budget,
    )


class _Freeing:
    """A resizer that says so when it is done with the bytes of a picture."""

    def __init__(self, resize: Resize, budget: Budget) -> None:
        self.resize, self.budget = resize, budget

    def __call__(self, stream: io.BytesIO, boxes: None = None) -> tuple[Any, ...]:
        try:
            return self.resize(stream, boxes)
        finally:
            self.budget.give_back(stream.getbuffer().nbytes)


def shard_file(index: int) -> str:
    """Name the shard that holds piece `index` of the list."""
    return f"shard-{index:05d}.parquet"


class _Collect:
    """Takes the place of img2dataset's writers: keeps each row in memory, under its number."""

    def __init__(self, into: dict[int, Fetched], *_: Any) -> None:
        self.into = into

    def write(self, image: bytes | None, key: str, caption: None, meta: Fetched) -> None:
        self.into[meta["row"]] = {**meta, "image": image}

    def close(self) -> None: ...


def fetch(urls: list[str], resize: Resize, cfg: CrawlJob) -> list[Fetched]:
    """Download and shrink the pictures at `urls`; return what came of each, in order."""
    if not urls:
        return []
    results: dict[int, Fetched] = {}
    order = taking_turns(urls)
    with tempfile.TemporaryDirectory() as scratch:
        listing = os.path.join(scratch, "in.arrow")
        table = pa.table({"url": [urls[row] for row in order], "row": order})
        with pa.ipc.new_file(listing, table.schema) as file:
            file.write_table(table)
        Downloader(
            sample_writer_class=partial(_Collect, results),
            resizer=resize,
            thread_count=cfg.threads,
            save_caption=False,
            extract_exif=False,  # a parser of hostile bytes that nobody needs here
            output_folder=scratch,
            column_list=["url", "row"],
            timeout=cfg.timeout_seconds,
            number_sample_per_shard=max(len(urls), 2),
            oom_shard_count=5,
            compute_hash="sha256",
            verify_hash_type=None,
            encode_format="jpg",
            retries=0,  # the opener knows which failures may heal
            user_agent_token=cfg.user_agent,
            disallowed_header_directives=None,  # the opener knows more of them
        ).download_shard((0, listing))
    if len(results) != len(urls):  # img2dataset prints and forgets a row that raises
        raise RuntimeError(f"{len(urls) - len(results)} of {len(urls)} rows got lost")
    return [outcome(results[row]) for row in range(len(urls))]


def outcome(result: dict[str, Any]) -> Fetched:
    """Return the columns of PAIR that img2dataset's words about one row amount to."""
    failed = result["status"] != "success"
    return {
        **{name: result[name] for name in ("image", "width", "height", "sha256")},
        **{name: result[name] for name in ("original_width", "original_height")},
        "status": "failed" if failed else "ok",
        "reason": reason_of(result["error_message"]) if failed else None,
        "detail": result["error_message"],
    }


def pairs(index: int, listed: list[dict[str, Any]], results: Mapping[int, Fetched]) -> pa.Table:
    """Join the list's rows with what came of each of them."""
    made = [
        {
            "key": row_key(index, number),
            **{name: row[name] for name in ("url", "caption", "source")},
            **results[number],
        }
        for number, row in enumerate(listed)
    ]
    return pa.Table.from_pylist(made, rows.PAIR)


def row_key(index: int, number: int) -> str:
    """Name row `number` of piece `index`, the same in every crawl of the same list."""
    return f"{index:05d}-{number:06d}"
