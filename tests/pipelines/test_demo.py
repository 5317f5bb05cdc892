import urllib.request
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.demo import joined
from pipelines.options import resolve

SMALL = ["crawl.source.world.pictures=10", "crawl.source.world.prompts=1"]


def test_the_world_is_served_while_the_crawl_may_ask(tmp_path):
    settings = resolve("tiny", None, SMALL)
    with joined(settings, str(tmp_path), crawls=True) as told:
        (entry,) = told.crawl.run.allow_hosts
        name, _, address = entry.partition("=")
        page = next((tmp_path / "world").glob("*/site/pictures/*")).name
        with urllib.request.urlopen(f"http://{address}/pictures/{page}") as answer:
            assert answer.status == 200
        listed = pq.read_table(told.crawl.source.path)["url"].to_pylist()
        assert name == "world.test:80"
        assert f"http://world.test/pictures/{page}" in listed
    assert told.digest == settings.digest


def test_two_worlds_at_two_ports_are_one_list(tmp_path):
    settings = resolve("tiny", None, SMALL)
    with (
        joined(settings, str(tmp_path / "a"), crawls=True) as one,
        joined(settings, str(tmp_path / "b"), crawls=True) as other,
    ):
        assert one.crawl.run.allow_hosts != other.crawl.run.allow_hosts
        lists = [Path(told.crawl.source.path).read_bytes() for told in (one, other)]
        assert lists[0] == lists[1]
    assert one.digest == other.digest


def test_settings_that_do_not_ask_for_the_world_come_back_as_they_are(tmp_path):
    settings = resolve("paper", None, [])
    with joined(settings, str(tmp_path), crawls=True) as told:
        assert told is settings
    assert not list(tmp_path.iterdir())
