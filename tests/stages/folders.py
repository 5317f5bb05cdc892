"""Folders and tars written for a test, and what a crawl lists of them."""

import io
import json
import tarfile

from infra.store import open_folder
from schemas.settings import CrawlSettings, SourceSettings
from stages.crawl.sources import INPUT_SURVEY, pieces, read_piece, source_of
from stages.crawl.sources.beside import with_captions
from stages.crawl.sources.picture_folder import FolderReader
from stages.data.digests import digest_of_files


def written(top, files):
    """Write files, given by name, with bytes or text."""
    for name, data in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


def folder(tmp_path, files, **settings):
    """Write files; return the settings of the source."""
    written(tmp_path / "pics", files)
    return SourceSettings(kind="folder", path=str(tmp_path / "pics"), **settings)


def tar(files, tar_format=tarfile.PAX_FORMAT):
    """Make a tar of (name, bytes) or of ready TarInfos."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tar_format) as archive:
        for name, data in files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return whole.getvalue()


def lines(*records):
    """JSON Lines."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def listed(source, out, rows_per_shard=2_000, threads=2):
    """The rows of the source with the captions in its files, as a worker has them."""
    cfg = CrawlSettings(side=8, source=source, rows_per_shard=rows_per_shard)
    out = open_folder(out)
    reader = FolderReader(source, 1_000)
    return [
        row
        for piece in pieces(cfg, out)
        for row in with_captions(
            read_piece(piece, source, out).to_pylist(), piece.index, reader, source, threads
        )
    ]


def captions(source, out):
    """The caption of each url, or its problem."""
    return {row["url"]: row["problem"] or row["caption"] for row in listed(source, out)}


def passed_over(out):
    """How many files of each kind the listing has passed over."""
    with open_folder(out).open(INPUT_SURVEY) as file:
        return json.load(file)["passed_over"]


def digest(source):
    """The digest of what is read."""
    return digest_of_files(source_of(source).files())
