import socket
import urllib.request

from pipelines.demo import joined
from pipelines.options import resolve

SMALL = ["crawl.source.world.pictures=10", "crawl.source.world.prompts=1"]


def test_the_world_is_served_while_the_crawl_may_ask_and_fingerprints_do_not_change(tmp_path):
    settings = resolve("tiny", None, SMALL)
    with joined(settings, str(tmp_path), crawls=True) as told:
        (address,) = told.crawl.allow_hosts
        page = next((tmp_path / "world").glob("*/site/pictures/*")).name
        with urllib.request.urlopen(f"http://{address}/pictures/{page}") as answer:
            assert answer.status == 200
    assert told.digest == settings.digest
    with joined(settings, str(tmp_path), crawls=True) as again:
        assert again.crawl.allow_hosts == (address,)  # so that a resumed crawl finds its urls
    with (
        socket.create_server(tuple_of(address)),
        joined(settings, str(tmp_path), crawls=True) as moved,
    ):
        assert moved.crawl.allow_hosts != (address,)
    assert moved.digest == settings.digest


def tuple_of(address):
    host, _, port = address.partition(":")
    return host, int(port)


def test_settings_that_do_not_ask_for_the_world_come_back_as_they_are(tmp_path):
    settings = resolve("paper", None, [])
    with joined(settings, str(tmp_path), crawls=True) as told:
        assert told is settings
    assert not list(tmp_path.iterdir())
