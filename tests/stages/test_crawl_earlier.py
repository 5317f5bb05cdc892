"""A second pass asks again only for what may have healed, and ends as a whole crawl would."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.errors import ConfigError
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl
from tests.stages import hostile
from tests.stages.finished import NOTHING, manifest
from tests.stages.test_crawl import read_all

pytestmark = pytest.mark.ray


def finish(folder, cfg, content="c" * 64):
    """Leave the manifest that the runner leaves."""
    settings = cfg.model_dump(mode="json")
    made = manifest(
        artifact="pairs", revision=crawl.REVISION, settings=settings, content_sha256=content
    )
    folder.commit("manifest.json", made.model_dump_json().encode())


@pytest.fixture
def web():
    with hostile.served() as up:
        yield up


def test_only_what_may_heal_is_asked_for_again(ray_cluster, web, tmp_path):
    kinds = ("fine", "heals", "missing", "broken", "garbage", "form")
    urls = [web.url(kind, number) for number in range(6) for kind in kinds]
    pq.write_table(pa.table({"url": urls, "caption": urls}), tmp_path / "list.parquet")

    def job(**settings):
        own = {"side": 64, "rows_per_shard": 10, "retries": 0,
               "run": {"allow_hosts": web.allow_hosts}}  # fmt: skip
        source = SourceSettings(path=str(tmp_path / "list.parquet"))
        return CrawlSettings(source=source, **own | settings)

    first = open_folder(tmp_path / "first")
    crawl.run(NOTHING, first, job())
    finish(first, job())
    before = {row["url"]: row for row in read_all(first)}
    assert [before[web.url(kind, 3)]["reason"] for kind in kinds] == [
        None, "http_500", "http_404", "http_500", "not_an_image", None,
    ]  # fmt: skip

    # the list has grown, and one url was another's place
    urls[0] = web.url("fine", 99)
    grown = [*urls, web.url("fine", 100)]
    pq.write_table(pa.table({"url": grown, "caption": grown}), tmp_path / "list.parquet")
    asked = web.requests.copy()
    again = job(earlier=str(first.path), retries=0, timeout_seconds=3)
    result = crawl.run(NOTHING, open_folder(tmp_path / "second"), again)
    rows = read_all(open_folder(tmp_path / "second"))
    assert [row["url"] for row in rows] == [row["caption"] for row in rows] == grown
    new = {path.partition("/")[0] for path in web.requests - asked} - {"robots.txt"}
    assert new == {"fine", "heals", "broken"}
    assert {path for path in web.requests - asked if path.startswith("fine")} == {
        "fine/99.jpg", "fine/100.jpg",
    }  # fmt: skip
    after = {row["url"]: row for row in rows}
    for url, row in before.items():
        if url not in after:
            continue
        if "/heals/" in url:
            assert (row["reason"], after[url]["reason"]) == ("http_500", None)
        else:
            assert {**row, "caption": url} == after[url]
    assert result.rejects == {"http_404": 6, "http_500": 6, "not_an_image": 6}


def test_the_earlier_crawl_is_in_the_fingerprint_by_its_content(tmp_path):
    (tmp_path / "list.csv").write_text("url,caption\nhttp://a.org/,a\n")
    cfg = CrawlSettings(side=64, source=SourceSettings(path=str(tmp_path / "list.csv")))
    for name in ("one", "two"):
        finish(open_folder(tmp_path / name), cfg, content=name)

    def outside(name):
        return crawl.outside(cfg.model_copy(update={"earlier": str(tmp_path / name)}))

    assert len({str(found) for found in (crawl.outside(cfg), outside("one"), outside("two"))}) == 3
    assert outside("one")["crawl.earlier"] == "one"


def test_what_is_no_earlier_crawl_is_one_sentence(tmp_path):
    cfg = CrawlSettings(side=64, earlier=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"wanted a crawl at crawl.earlier, found neither a man"):
        crawl.outside(cfg)
    other = open_folder(tmp_path / "other")
    finish(other, cfg.model_copy(update={"side": 32, "encode_quality": 90}))
    (tmp_path / "list.csv").write_text("url,caption\nhttp://a.org/,a\n")
    source = SourceSettings(path=str(tmp_path / "list.csv"))
    cfg = CrawlSettings(side=64, earlier=str(other.path), source=source)
    with pytest.raises(ConfigError, match=r"encode_quality=90 \(now 95\), side=32 \(now 64\)"):
        crawl.run(NOTHING, open_folder(tmp_path / "out"), cfg)
