"""Fetch and shrink one piece of a list in a worker, with img2dataset's downloader."""

import email.message
import io
import os
import tempfile
import urllib.request
import urllib.response
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa

from schemas import rows
from schemas.errors import steady
from schemas.folder import Folder
from schemas.settings import CrawlSettings
from stages.crawl.downloader import Downloader
from stages.crawl.earlier import OF_PICTURE, Earlier
from stages.crawl.outcome import DAMAGED
from stages.crawl.reasons import reason_of
from stages.crawl.shrink import Shrink
from stages.crawl.sources import Piece, read_piece, source_of
from stages.crawl.sources.beside import with_captions
from stages.crawl.sources.listed import DAMAGED as DAMAGE_BEGINS
from stages.crawl.sources.listed import is_damage
from stages.crawl.sources.picture_folder import as_url, from_url
from stages.crawl.sources.source import Reader
from stages.crawl.web.addresses import meant_address, safe_url
from stages.crawl.web.hosts import taking_turns
from stages.crawl.web.opener import Resize, WebOpener
from stages.data.parquet import PICTURE_FILE, parquet_file
from stages.shards import Made

Fetched = dict[str, Any]  # what img2dataset says about one row


class FolderOpener:
    """Gives img2dataset the files of a folder or a tar as if they came from the web."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def open(
        self, request: urllib.request.Request, data: None = None, timeout: float = 10
    ) -> urllib.response.addinfourl:
        body = self.reader.read(from_url(request.full_url))
        return urllib.response.addinfourl(
            io.BytesIO(body), email.message.Message(), request.full_url
        )


@contextmanager
def installed(opener: FolderOpener | WebOpener) -> Iterator[None]:
    """Let every `urlopen` of this process, so img2dataset's too, ask `opener` in the block."""
    urllib.request.install_opener(opener)  # type: ignore[arg-type]
    try:
        yield
    finally:
        urllib.request.install_opener(None)  # Python's own again


class FetchPiece:
    """One per actor: turns a piece of the list into a shard of PAIR rows, in the list's order."""

    def __init__(self, cfg: CrawlSettings, out: Folder, earlier: Earlier | None = None) -> None:
        self.cfg, self.out, self.earlier = cfg, out, earlier
        self.shrink: Resize = Shrink(cfg)
        self.reader = source_of(cfg.source).reader(cfg.max_bytes)
        self.opener: FolderOpener | WebOpener
        if self.reader is not None:
            self.opener = FolderOpener(self.reader)
        else:
            self.opener = WebOpener(cfg)
            self.shrink = self.opener.freeing(self.shrink)

    def __call__(self, piece: Piece) -> Made:
        listed = self._listed(piece)
        return self._made(piece, listed, self.results(piece, listed))

    def give_up(self, piece: Piece, why: str) -> Made:
        """Return the piece's shard with nothing fetched, for one that no worker survives."""
        listed = self._listed(piece)
        return self._made(piece, listed, [not_fetched(f"quarantined: {why}")] * len(listed))

    def _listed(self, piece: Piece) -> list[dict[str, Any]]:
        listed = read_piece(piece, self.cfg.source, self.out).to_pylist()
        return with_captions(
            listed, piece.index, self.reader, self.cfg.source, self.cfg.run.threads
        )

    def _made(self, piece: Piece, listed: list[dict[str, Any]], results: list[Fetched]) -> Made:
        """Write the shard a row group at a time, letting go of what is written."""
        reasons: Counter[str] = Counter()

        def groups() -> Iterator[pa.Table]:
            for start in range(0, len(listed), PICTURE_FILE["row_group_size"]):
                some = slice(start, start + PICTURE_FILE["row_group_size"])
                table = pairs(listed[some], results[some], self.cfg.source.path)
                results[some] = [{}] * len(table)
                reasons.update(table["reason"].drop_null().to_pylist())
                yield table

        return Made(
            files={shard_file(piece.index): parquet_file(groups(), rows.PAIR, PICTURE_FILE)},
            rows_in=len(listed),
            rows_out=len(listed) - reasons.total(),
            rejects=dict(sorted(reasons.items())),
            health=_damage(listed, self.cfg.source.path),
        )

    def results(self, piece: Piece, listed: list[dict[str, Any]]) -> list[Fetched]:
        """Fetch every address once, however many rows share it; return what came of each row.

        Rows that the list or an earlier crawl has settled are not requested.
        """
        settled = {n: not_fetched(row["problem"]) for n, row in enumerate(listed) if row["problem"]}
        if self.earlier is not None:
            asked = [(row["key"], row["url"]) for row in listed]
            settled |= self.earlier.known(shard_file(piece.index), asked)
        urls = {n: self._url(row) for n, row in enumerate(listed) if n not in settled}
        distinct = list(dict.fromkeys(urls.values()))
        with installed(self.opener):
            found = dict(zip(distinct, fetch(distinct, self.shrink, self.cfg), strict=True))
        settled |= {n: found[url] for n, url in urls.items()}
        return [settled[n] for n in range(len(listed))]

    def _url(self, row: dict[str, Any]) -> str:
        if self.reader is None:
            return safe_url(meant_address(row["url"]))
        return as_url(row["url"] if row["picture"] is None else row["picture"])


def _damage(listed: list[dict[str, Any]], source: str) -> dict[str, Any]:
    """Return how many rows stand for damage of their file, and what is said of the first."""
    problems = [row["problem"] for row in listed if is_damage(row)]
    if not problems:
        return {}
    first = steady(problems[0].partition(DAMAGE_BEGINS)[2], source)
    return {DAMAGED: {"rows": len(problems), "first": first}}


def not_fetched(why: str) -> Fetched:
    return {"status": "not_fetched", "error_message": why} | dict.fromkeys(OF_PICTURE)


def shard_file(index: int) -> str:
    return f"shard-{index:05d}.parquet"


class _Collect:
    """Takes the place of img2dataset's writers: keeps each row in memory, under its number."""

    def __init__(self, into: dict[int, Fetched], *_: Any) -> None:
        self.into = into

    def write(self, image: bytes | None, key: str, caption: None, meta: Fetched) -> None:
        self.into[meta["row"]] = {**meta, "image": image}

    def close(self) -> None: ...


def fetch(urls: list[str], shrink: Resize, cfg: CrawlSettings) -> list[Fetched]:
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
            resizer=shrink,
            thread_count=cfg.run.threads,
            save_caption=False,
            extract_exif=False,  # a parser of hostile bytes that is not needed
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
            disallowed_header_directives=None,  # nor all the forms of opting out
        ).download_shard((0, listing))
    if len(results) != len(urls):  # img2dataset prints and forgets a row that raises
        raise RuntimeError(f"{len(urls) - len(results)} of {len(urls)} rows got lost")
    return [results[row] for row in range(len(urls))]


def pairs(listed: list[dict[str, Any]], results: list[Fetched], source: str) -> pa.Table:
    """Join the list's rows with what came of each of them, wherever the source is."""
    made = []
    for row, result in zip(listed, results, strict=True):
        failed = result["status"] != "success"
        made.append(
            {name: row[name] for name in ("key", "url", "caption", "source")}
            | {name: result[name] for name in OF_PICTURE}
            | {
                "status": "failed" if failed else "ok",
                "reason": reason_of(result["error_message"]) if failed else None,
                "detail": steady(result["error_message"], source) if failed else None,
            }
        )
    return pa.Table.from_pylist(made, rows.PAIR)
