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
from collections.abc import Callable
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
from stages.crawl.beside import Reader, with_captions
from stages.crawl.folder import FolderReader, as_url, from_url
from stages.crawl.opener import Refused, WebOpener, safe_url
from stages.crawl.reasons import reason_of
from stages.crawl.sources import Piece, read_piece
from stages.crawl.tars import TarReader
from stages.shards import Made
from stages.tables import PICTURE_FILE, parquet_bytes

LARGEST_SHARE = 1.5  # of the training side, for the short side of what we keep (listing 1)
OPT_OUT = ["noai", "noimageai", "noindex", "noimageindex"]  # X-Robots-Tag directives we honour
EXIF_ORIENTATION = 0x0112

Fetched = dict[str, Any]  # what img2dataset says about one row
SIZES = ("width", "height", "original_width", "original_height")
NOTHING: Fetched = dict.fromkeys((*SIZES, "sha256", "image")) | {"status": "not_fetched"}


class _Opener(Protocol):
    def open(
        self, request: urllib.request.Request, data: None = None, timeout: float = 10
    ) -> urllib.response.addinfourl: ...


class FolderOpener:
    """Gives img2dataset the files of a folder or a tar as if they came from the web."""

    def __init__(self, reader: Reader) -> None:
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

    def __init__(self, cfg: CrawlJob, out: Folder) -> None:
        self.cfg, self.out = cfg, out
        self.shrink = Shrink(cfg)
        self.reader = file_reader(cfg)
        opener: _Opener
        if self.reader is not None:
            opener = FolderOpener(self.reader)
        else:
            opener = WebOpener(
                max_bytes=cfg.max_bytes, retries=cfg.retries, allow_hosts=cfg.allow_hosts
            )
        urllib.request.install_opener(opener)  # type: ignore[arg-type]

    def __call__(self, piece: Piece) -> Made:
        """Fetch the piece and return its shard."""
        listed = read_piece(piece, self.cfg.source, self.out).to_pylist()
        listed = with_captions(listed, piece.index, self.reader, self.cfg.source, self.cfg.threads)
        results = self.results(listed)
        table = pairs(listed, results)
        reasons = Counter(row for row in table["reason"].to_pylist() if row is not None)
        return Made(
            files={shard_file(piece.index): parquet_bytes(table, PICTURE_FILE)},
            rows_in=len(table),
            rows_out=len(table) - reasons.total(),
            rejects=dict(sorted(reasons.items())),
        )

    def results(self, listed: list[dict[str, Any]]) -> list[Fetched]:
        """Fetch every address once, however many rows share it; return what came of each row."""
        to_url = safe_url if self.reader is None else as_url
        urls = [
            None
            if row["problem"] is not None
            else to_url(row["url"] if row["picture"] is None else row["picture"])
            for row in listed
        ]
        distinct = list(dict.fromkeys(url for url in urls if url is not None))
        found = dict(zip(distinct, fetch(distinct, self.shrink, self.cfg), strict=True))
        return [
            NOTHING | {"error_message": row["problem"]} if url is None else found[url]
            for row, url in zip(listed, urls, strict=True)
        ]


def file_reader(cfg: CrawlJob) -> Reader | None:
    """Return what reads the source's files, or None if its pictures are on the web."""
    if cfg.source.kind == "folder":
        return FolderReader(cfg.source, cfg.max_bytes)
    return TarReader(cfg.max_bytes) if cfg.source.kind == "tars" else None


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


def fetch(urls: list[str], shrink: Callable[..., Any], cfg: CrawlJob) -> list[Fetched]:
    """Download and shrink the pictures at `urls`; return what came of each, in order."""
    results: dict[int, Fetched] = {}
    with tempfile.TemporaryDirectory() as scratch:
        listing = os.path.join(scratch, "in.arrow")
        table = pa.table({"url": urls, "row": list(range(len(urls)))})
        with pa.ipc.new_file(listing, table.schema) as file:
            file.write_table(table)
        Downloader(
            sample_writer_class=partial(_Collect, results),
            resizer=shrink,
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
            retries=0,  # the opener knows which failures may pass
            user_agent_token=cfg.user_agent,
            disallowed_header_directives=OPT_OUT,
        ).download_shard((0, listing))
    if len(results) != len(urls):  # img2dataset prints and forgets a row that raises
        raise RuntimeError(f"{len(urls) - len(results)} of {len(urls)} rows got lost")
    return [results[row] for row in range(len(urls))]


def pairs(listed: list[dict[str, Any]], results: list[Fetched]) -> pa.Table:
    """Join the list's rows with what came of each of them."""
    made = []
    for row, result in zip(listed, results, strict=True):
        failed = result["status"] != "success"
        made.append(
            {
                "key": row["key"],
                "url": row["url"],
                "caption": row["caption"],
                "image": result["image"],
                **{name: result[name] for name in (*SIZES, "sha256")},
                "status": "failed" if failed else "ok",
                "reason": reason_of(result["error_message"]) if failed else None,
                "detail": result["error_message"],
                "source": row["source"],
            }
        )
    return pa.Table.from_pylist(made, rows.PAIR)
