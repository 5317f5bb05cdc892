"""Two crawls of one source are equal byte for byte, wherever and by whom they are made."""

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import LocalFolder
from schemas.settings import CrawlSettings, SourceSettings
from tests.stages import formats
from tests.stages.folders import tar, written

ROOT = Path(__file__).resolve().parents[2]
JPEG = formats.saved(formats.upright(), "JPEG")
PNG = formats.saved(formats.upright(), "PNG")
FILES = {
    "fine.jpg": JPEG,
    "fine.txt": b"a fine one",
    "cut.jpg": JPEG[:900],
    "cut.png": PNG[:200],
    "drawing.jpg": b"<svg/>",
    "empty.png": b"",
    "broken.png": PNG[:60] + bytes(90) + PNG[150:],
    "broken.bmp": b"BM" + bytes(60),
    "broken.gif": b"GIF89a" + bytes(60),
    "broken.webp": b"RIFF\x24\0\0\0WEBPVP8 " + bytes(24),
    "broken.tif": b"II*\0\x08\0\0\0\1\0" + bytes(40),
    "broken.avif": b"\0\0\0\x14ftypavif\0\0\0\0avif" + bytes(90),
    "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90),
    "odd \xe9 name.jpg": JPEG,
    "odd \xe9 name.txt": b"\xff\xfe\xfd no text \xff",
    "kept.json.jpg": JPEG,
    "sub/deep.webp": formats.saved(formats.upright(), "WEBP"),
    "sub/metadata.jsonl": b'{"file_name": "gone.jpg", "text": "gone"}\nno json\n{"file_name": 3}\n'
    b'{"file_name": "deep.webp", "text": "deep"}\n',
}


def folder(top: Path) -> Path:
    written(top, FILES)
    (top / "named as a picture.jpg").mkdir()
    (top / "nowhere.jpg").symlink_to(top / "never.jpg")
    (top / "around.jpg").symlink_to(top / "around.jpg")
    return top


def tars(top: Path) -> Path:
    top.mkdir(parents=True)
    whole = tar(FILES.items())
    (top / "0.tar").write_bytes(whole)
    (top / "1.tar").write_bytes(whole[: len(whole) // 2])
    (top / "2.tar").write_bytes(b"no tar at all" * 90)
    (top / "3.tar").write_bytes(whole[:3_000] + bytes(range(256)) * 2 + whole[3_512:])
    return top


def lists(top: Path) -> Path:
    """Addresses that nobody need be asked for, and damage."""
    top.mkdir(parents=True)
    bad = ["http://127.0.0.1/a.jpg", "ftp://a/b", "http://[::1", "a b", "", "http://10.0.0.1/x"]
    lines = "".join(f"{url}\tcaption {n}\n" for n, url in enumerate(bad))
    (top / "a.tsv").write_text("url\tcaption\n" + lines + '"open\tend\n')
    (top / "b.csv.gz").write_bytes(gzip.compress(b"url,caption\n" + b"ftp://a,b\n" * 50)[:40])
    (top / "c.jsonl").write_bytes(b'{"url": "ftp://x", "caption": "y"}\n{broken\n\xff\xfe\n')
    table = pa.table({"url": bad * 200, "caption": [f"{n}" * 9 for n in range(1200)]})
    pq.write_table(table, top / "d.parquet", row_group_size=300, compression="none")
    data = bytearray((top / "d.parquet").read_bytes())
    data[4_000:4_100] = b"\xee" * 100
    (top / "d.parquet").write_bytes(data)
    return top


SOURCES = {"folder": folder, "tars": tars, "urls": lists}


def crawl(kind: str, source: Path, out: Path, threads: int) -> None:
    from stages.crawl.fetch import FetchPiece
    from stages.crawl.sources import pieces

    job = CrawlSettings(
        side=64,
        run={"threads": threads},
        retries=0,
        rows_per_shard=40,
        source=SourceSettings(kind=kind, path=str(source)),
    )
    into = LocalFolder(out)
    work = FetchPiece(job, into)
    for piece in pieces(job, into):
        for name, data in work(piece).files.items():
            into.commit(name, data)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """Crawl all of them in a process whose surroundings are all other than ours."""
    top = tmp_path_factory.mktemp("elsewhere")
    home = top / "an other home"
    home.mkdir()
    for kind, make in SOURCES.items():
        make(top / "a longer way" / kind)
    around = {
        "HOME": str(home), "TMPDIR": str(home), "USER": "somebody", "LOGNAME": "somebody",
        "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "COLUMNS": "40",
        "OMP_NUM_THREADS": "3", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.stages.test_crawl_equal", str(top)],
        cwd=home,
        env={"PATH": os.environ["PATH"]} | around,
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return top


def test_a_crawl_leaves_the_process_its_own_way_to_the_web(tmp_path):
    crawl("folder", folder(tmp_path / "here"), tmp_path / "out", threads=1)
    with urlopen("data:,hello") as answer:
        assert answer.read() == b"hello"


def shards(out: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(out.glob("shard-*"))
    }


@pytest.mark.parametrize("kind", SOURCES)
def test_two_crawls_are_equal_byte_for_byte(tmp_path, elsewhere, kind):
    crawl(kind, SOURCES[kind](tmp_path / "here"), tmp_path / "out", threads=16)
    one, other = shards(tmp_path / "out"), shards(elsewhere / "out" / kind)
    rows, others = (
        [row for name in found for row in pq.read_table(io.BytesIO(found[name][0])).to_pylist()]
        for found in (one, other)
    )
    assert rows == others  # says more than the bytes if they are not
    assert one == other
    told = [row["detail"] for row in rows if row["detail"]]
    assert len(told) > 8
    for detail in told:
        assert "0x" not in detail
        assert "/tmp" not in detail
        assert str(tmp_path) not in detail


if __name__ == "__main__":
    for kind in SOURCES:
        crawl(kind, Path(sys.argv[1], "a longer way", kind), Path(sys.argv[1], "out", kind), 3)
