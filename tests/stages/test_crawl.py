"""The crawl knows what became of every row of its source: none lost, none doubled, in order."""

import hashlib
import io
import json
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.store import open_folder
from schemas import rows
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl, pictures
from stages.crawl.reasons import reason_of
from tests.stages import worlds
from tests.stages.finished import NOTHING, table_of

pytestmark = pytest.mark.ray


def read_all(out):
    return table_of(out, "shard-", schema=rows.PAIR).to_pylist()


def picture(width, height, kind="PNG", **options):
    file = io.BytesIO()
    pixels = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3) % 251
    Image.fromarray(pixels.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with worlds.served(tmp_path_factory.mktemp("world"), pictures=150, bad_share=0.5) as found:
        yield found


def job(**settings):
    return CrawlSettings(**{"side": 64, "timeout_seconds": 1.5, "rows_per_shard": 40} | settings)


def test_the_outcome_is_the_servers_truth_for_every_url(ray_cluster, world, tmp_path):
    out = open_folder(tmp_path)
    result = crawl.run(NOTHING, out, world.job(retries=1))

    truth = pq.read_table(world.files.truth).to_pylist()
    crawled = read_all(out)
    assert [row["url"] for row in crawled] == [row["url"] for row in truth]
    assert len({row["key"] for row in crawled}) == len(truth)
    for row, true in zip(crawled, truth, strict=True):
        fails = true["expected"].startswith(worlds.FETCHING)
        assert row["reason"] == (true["expected"] if fails else None), (row["detail"], true)
        assert (row["status"] == "failed") == fails == (row["image"] is None)
        if not fails:
            served = (world.files.site / urlsplit(row["url"]).path.lstrip("/")).read_bytes()
            assert row["sha256"] == hashlib.sha256(served).hexdigest()
            stored, original = pictures.decode(row["image"]), pictures.decode(served)
            assert stored.shape == (row["height"], row["width"], 3)
            assert original.shape == (row["original_height"], row["original_width"], 3)
            assert min(stored.shape[:2]) == min(96, *original.shape[:2])
    assert result.rows_in == 150
    assert result.rows_out == 150 - sum(result.rejects.values())
    assert set(result.files) == set(out.list())
    assert out.list("input/") == []


def test_a_folder_of_pictures_with_captions_beside_them(ray_cluster, tmp_path):
    top = tmp_path / "pics"
    for sub in ("a", "b"):
        (top / sub).mkdir(parents=True)
        (top / sub / "one.png").write_bytes(picture(70, 300 if sub == "a" else 80))
        (top / sub / "one.txt").write_text(f"the {sub} one\nsecond line\n")
    (top / ".DS_Store").write_bytes(b"")
    (top / "alone.jpg").write_bytes(picture(80, 80, "JPEG"))
    (top / "broken.jpg").write_bytes(picture(80, 80, "JPEG")[:300])
    exif = Image.Exif()
    exif[0x0112] = 6
    (top / "b" / "turned.jpg").write_bytes(picture(90, 70, "JPEG", exif=exif))
    (top / "b" / "metadata.jsonl").write_text(
        json.dumps({"file_name": "turned.jpg", "text": "a phone photo", "licence": "free"})
        + "\nnot json\n"
        + json.dumps({"file_name": "../../etc/passwd", "text": "x"})
        + "\n"
    )
    out = open_folder(tmp_path / "out")
    source = SourceSettings(kind="folder", path=str(top), caption="first_line")
    result = crawl.run(NOTHING, out, job(source=source))
    found = {row["url"]: row for row in read_all(out)}
    assert result.rows_in == len(found) == 7
    assert result.health["source"] == {"found": 5, "passed_over": {"hidden files": 1}}
    assert found["a/one.png"]["caption"] == "the a one"
    assert found["b/one.png"]["caption"] == "the b one"
    assert (found["a/one.png"]["width"], found["a/one.png"]["height"]) == (70, 300)
    assert found["alone.jpg"]["caption"] is None
    assert found["alone.jpg"]["status"] == "ok"
    assert found["broken.jpg"]["reason"] == "truncated"
    turned = found["b/turned.jpg"]
    assert (turned["width"], turned["height"], turned["caption"]) == (70, 90, "a phone photo")
    assert json.loads(turned["source"]) == {"licence": "free"}
    assert found["../../etc/passwd"]["reason"] == "outside_folder"
    assert found[""]["reason"] == "unreadable_row"
    assert found[""]["detail"] == "unreadable_row: metadata.jsonl, line 2: no JSON: not json"

    whole = crawl.run(
        NOTHING,
        open_folder(tmp_path / "whole"),
        job(source=source.model_copy(update={"caption": "whole"})),
    )
    assert whole.rows_in == 7
    captions = {r["url"]: r["caption"] for r in read_all(open_folder(tmp_path / "whole"))}
    assert captions["a/one.png"] == "the a one\nsecond line"


def test_reasons_are_read_from_the_libraries_words():
    assert reason_of("http_404: Not Found") == "http_404"
    assert reason_of("forbidden_address: localhost is 127.0.0.1, not public") == "forbidden_address"
    assert reason_of("unknown url type: 'abc'") == "bad_url"
    assert reason_of("Invalid IPv6 URL") == "bad_url"
    assert reason_of("Image decoding error") == "not_an_image"
    assert reason_of("a message that nobody foresaw: 7") == "connection_failed"


def test_a_missing_source_is_one_sentence(tmp_path):
    out = open_folder(tmp_path / "out")
    for kind, word in (("urls", "url list"), ("folder", "folder of pictures")):
        source = SourceSettings(kind=kind, path=str(tmp_path / "nowhere"))
        with pytest.raises(ConfigError, match=word):
            crawl.run(NOTHING, out, job(source=source))
        with pytest.raises(ConfigError, match=word):
            crawl.outside(job(source=source))
