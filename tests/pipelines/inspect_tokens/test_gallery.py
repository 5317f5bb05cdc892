"""The gallery is one page that a browser shows without a network, and searches."""

import http.server
import threading

import pytest

from tests import tiny_run
from tests.browser import opened
from tests.pipelines.inspect_tokens.damage import printed

SHOWN = "[...document.querySelectorAll('article')].filter(card => card.offsetParent)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def gallery(run, tmp_path, capsys, page):
    file = tmp_path / "gallery.html"
    assert printed(capsys, run.root, "--html", file)[0] == 0
    page.open(f"file://{file}")
    return page


def search(page, text):
    page.ask("document.querySelector('input').value = ''; document.querySelector('input').focus()")
    page.type(text)
    return page.ask(f"{SHOWN}.map(card => card.querySelector('h2').textContent)")


def test_every_picture_decodes_and_nothing_is_fetched(gallery):
    assert gallery.ask(f"{SHOWN}.length") == 32
    widths = gallery.ask("[...document.images].map(image => image.naturalWidth)")
    assert widths == [16] * 64  # originals and what their codes say
    assert [url for url in gallery.requests if not url.startswith(("file://", "data:"))] == []


def test_a_search_narrows_the_cards(gallery):
    row = tiny_run.clean_rows("train")[3]
    found = search(gallery, row["caption"].upper())
    assert row["caption"] in found
    assert len(found) < 32
    assert (
        gallery.ask("document.querySelector('#count').textContent") == f"{len(found)} of 32 shown"
    )
    assert search(gallery, "val-0003") == [tiny_run.clean_rows("val")[3]["caption"]]
    assert search(gallery, "no such words") == []
    assert gallery.ask("document.querySelector('#none').offsetParent !== null")
    assert len(search(gallery, " ")) == 32


def test_a_page_that_does_fetch_is_noticed(page, tmp_path):
    """The browser can reach a server, so the test above can fail."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/a.png"
    (tmp_path / "page.html").write_text(f'<img src="{address}">')
    page.open(f"file://{tmp_path}/page.html")
    server.shutdown()
    assert address in page.requests
