"""What img2dataset has downloaded for a user comes in, as tars and as files."""

import json

import pyarrow as pa
import pytest

from infra.store import open_folder
from schemas.settings import CrawlSettings, SourceSettings
from stages.crawl.sources import pieces, read_piece
from stages.crawl.sources.beside import with_captions
from stages.crawl.sources.picture_folder import FolderReader
from stages.crawl.sources.tars import TarReader
from tests.stages.test_crawl import picture

READERS = {
    "tars": lambda source: TarReader(10**6),
    "folder": lambda source: FolderReader(source, 10**6),
}
SCHEMA = pa.schema([(name, pa.string()) for name in ("key", "caption", "url", "status")])
PICTURE = picture(40, 30, "JPEG")
CAPTIONS = [["a red kite", None, "ein Bär"], ["two\nlines", "gone", ""]]  # of two shards


def downloaded(kind, folder):
    """A folder as img2dataset's own writers leave it: the picture of 'gone' was not found."""
    from img2dataset import writer as of  # here, for it takes seconds

    writer = {"tars": of.WebDatasetSampleWriter, "folder": of.FilesSampleWriter}[kind]
    folder.mkdir()
    for shard, captions in enumerate(CAPTIONS):
        out = writer(shard, str(folder), True, 5, SCHEMA, "jpg")
        for number, caption in enumerate(captions):
            key, found = f"{shard:05d}{number:04d}", caption != "gone"
            status = "success" if found else "failed_to_download"
            about = {"key": key, "caption": caption, "url": f"http://a.org/{key}", "status": status}
            out.write(PICTURE if found else None, key, caption, about)
        out.close()
        (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": len(captions)}))


@pytest.mark.parametrize("kind", READERS)
def test_pictures_captions_and_urls_come_in(tmp_path, kind):
    downloaded(kind, tmp_path / "laion")
    source = SourceSettings(kind=kind, path=str(tmp_path / "laion"))
    cfg, out, reader = (
        CrawlSettings(side=8, source=source),
        open_folder(tmp_path / "out"),
        READERS[kind](source),
    )
    rows = [
        row
        for piece in pieces(cfg, out)
        for row in with_captions(
            read_piece(piece, source, out).to_pylist(), piece.index, reader, source, threads=2
        )
    ]
    found = [(row["caption"], json.loads(row["source"])["url"]) for row in rows]
    assert found == [
        ("a red kite", "http://a.org/000000000"),
        ("", "http://a.org/000000001"),
        ("ein Bär", "http://a.org/000000002"),
        ("two\nlines", "http://a.org/000010000"),
        ("", "http://a.org/000010002"),
    ]
    assert all(reader.read(row["picture"]) == PICTURE for row in rows)
    assert not any(row["problem"] for row in rows)
