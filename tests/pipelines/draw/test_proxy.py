"""The page behind a proxy: below a path, under another name, and its lines as they come."""

import http.client
import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from pipelines.draw import __main__ as draw
from pipelines.draw.proxy import Proxy, proxy_of
from pipelines.draw.web_app import WebApp
from schemas.errors import ConfigError
from tests.browser import opened
from tests.pipelines.draw.conftest import served

PUBLIC = "draw.example.org"
ORIGIN = f"https://{PUBLIC}"
CLIENT = httpx.Client(verify=False, timeout=60)  # each httpx.get would read all certificates first
ASKED = {"prompt": "a small green star", "candidates": 3}


class _Passer(BaseHTTPRequestHandler):
    """Passes requests on, as nginx does where it is told nothing, or else with the name kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        to = self.server
        assert self.path.startswith(to.prefix)  # nothing else is the page's to ask for
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        headers["Host"] = PUBLIC if to.keeps_name else to.upstream
        path = self.path if to.keeps_prefix else "/" + self.path.removeprefix(to.prefix).lstrip("/")
        upstream = http.client.HTTPConnection(to.upstream, timeout=60)
        upstream.request(self.command, path, body or None, headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if answer.headers.get("X-Accel-Buffering") != "no":  # kept until it is whole
            self.wfile.write(answer.read())
        while part := answer.read1(2**16):
            self.wfile.write(part)
            self.wfile.flush()
        upstream.close()

    do_POST = do_GET

    def log_message(self, *args): ...


@contextmanager
def proxied(app, prefix="/tools/draw", *, keeps_name=False, keeps_prefix=False, named=True):
    """Show the page below a path through a proxy; yield the page's address there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Passer)
    server.daemon_threads, server.block_on_close = True, False
    here = f"http://127.0.0.1:{server.server_port}"
    told = Proxy(prefix if keeps_prefix else "", (ORIGIN, here) if named else ())
    with served(app, told) as upstream:
        server.prefix, server.upstream = prefix, upstream.removeprefix("http://")
        server.keeps_name, server.keeps_prefix = keeps_name, keeps_prefix
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"{here}{prefix}/"
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def app(pipeline):
    return WebApp(pipeline)


WAYS = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize(("keeps_name", "keeps_prefix"), WAYS)
def test_all_that_the_page_names_is_there_below_a_path(app, keeps_name, keeps_prefix):
    with proxied(app, keeps_name=keeps_name, keeps_prefix=keeps_prefix) as page:
        text = CLIENT.get(page).text
        named = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', text)
        script = CLIENT.get(urljoin(page, "page.js")).text
        fetched = re.findall(r'fetch\("([^"]+)"', script)
        assert sorted(named) == ["page.css", "page.js"]
        assert sorted(fetched) == ["about", "draw"]
        for name in ("page.css", "page.js", "about"):
            assert CLIENT.get(urljoin(page, name)).status_code == 200
        answer = CLIENT.post(urljoin(page, "draw"), json=ASKED, headers={"Origin": ORIGIN})
        events = [json.loads(line)["event"] for line in answer.text.splitlines()]
        assert events == ["started", "picture", "picture", "picture", "done"]


def test_lines_come_through_as_they_are_told(app):
    with proxied(app) as page:
        asked = ASKED | {"candidates": 512}
        with CLIENT.stream("POST", urljoin(page, "draw"), json=asked) as answer:
            assert json.loads(next(answer.iter_lines()))["event"] == "started"
            assert len(app.queue.tickets) == 1  # it is still being drawn
        until(lambda: not app.queue.tickets)


def until(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("path", ["/tools/draw", "/tools/draw/", "/tools/draw/page.js", "/page.js"])
def test_with_a_prefix_the_page_is_found_with_and_without_it(app, path):
    with served(app, proxy_of("/tools/draw", [])) as address:
        answer = CLIENT.get(address + path, follow_redirects=True)
        assert answer.status_code == 200
        assert urlsplit(str(answer.url)).path == path.replace("draw", "draw/").replace("//", "/")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "{here}"}, 200),
        ({"Host": "{here}", "Origin": ORIGIN}, 200),
        ({"Host": PUBLIC, "Origin": ORIGIN}, 200),
        ({"Host": f"{PUBLIC}:443", "Origin": ORIGIN}, 200),
        ({"Host": PUBLIC}, 200),
        ({"Host": "{here}", "Origin": "http://{here}"}, 200),
        ({"Host": "{here}", "Origin": "http://draw.example.org"}, 403),  # read on its way
        ({"Host": "{here}", "Origin": "https://draw.example.org:8443"}, 403),
        ({"Host": "{here}", "Origin": "https://draw.example.org.evil.example"}, 403),
        ({"Host": "{here}", "Origin": "https://evil.example"}, 403),
        ({"Host": "{here}", "Origin": "null"}, 403),
        ({"Host": "{here}", "Origin": ""}, 403),
        ({"Host": "evil.example", "Origin": ORIGIN}, 403),
        ({"Host": "evil.example", "Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "evil.example", "X-Forwarded-Host": PUBLIC, "X-Forwarded-Proto": "https"}, 403),
        ({"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example", "Forwarded": "host=evil.example"}, 403),
    ],
)  # fmt: skip
def test_only_what_is_named_may_ask(served_there, headers, status):
    here = served_there.removeprefix("http://")
    headers = {name: value.format(here=here) for name, value in headers.items()}
    answer = CLIENT.get(f"{served_there}/about", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    if status == 403:
        assert "--allow-origin" in answer.json()["error"]


@pytest.fixture(scope="module")
def served_there(pipeline):
    with served(WebApp(pipeline), proxy_of(None, [ORIGIN])) as address:
        yield address


def test_behind_a_proxy_that_nobody_named_the_answer_says_what_to_do(app):
    with proxied(app, named=False) as page:
        answer = CLIENT.post(urljoin(page, "draw"), json=ASKED, headers={"Origin": ORIGIN})
        assert answer.status_code == 403
        assert f"found one from '{ORIGIN}'" in answer.json()["error"]
        assert "--allow-origin" in answer.json()["error"]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://draw.example.org", "https://draw.example.org"),
        ("HTTPS://Draw.Example.org/", "https://draw.example.org"),
        ("https://draw.example.org:443", "https://draw.example.org"),
        ("http://draw.example.org:8080", "http://draw.example.org:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://10.0.0.7", "http://10.0.0.7"),
    ],
)
def test_an_origin_is_written_as_browsers_do(given, used):
    assert proxy_of(None, [given]).origins == (used,)


@pytest.mark.parametrize(
    "origin",
    ["*", "", "null", "draw.example.org", "https://", "ftp://a.org", "https://a.org/draw",
     "https://*.example.org", "https://a.org:port", "https://a@b.org", "https://a.org https://b.org"],
)  # fmt: skip
def test_what_is_no_origin_is_one_sentence(origin, capsys):
    assert draw.main(["--server", "--allow-origin", origin]) == 2
    said = capsys.readouterr().err
    assert "wanted what a browser shows before the path" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "used"), [(None, ""), ("", ""), ("/", ""), ("/draw", "/draw"), ("/a/b-1/", "/a/b-1")]
)
def test_a_root_path_has_no_slash_at_its_end(given, used):
    assert proxy_of(given, []).root_path == used


@pytest.mark.parametrize("path", ["draw", "http://a.org/draw", "/a b", "/a?b", "//a"])
def test_what_is_no_path_is_one_sentence(path):
    with pytest.raises(ConfigError, match=r"^--root-path: wanted a path that begins with /"):
        proxy_of(path, [])


def test_options_of_the_page_are_of_the_page(capsys):
    assert draw.main(["a star", "--root-path", "/draw"]) == 2
    assert "wanted --server too" in capsys.readouterr().err


def test_a_browser_draws_below_a_path(app, tmp_path):
    with proxied(app) as address, opened(tmp_path) as page:
        page.open(f"{address}?prompt=a+red+ring&candidates=2")
        until(lambda: page.ask("!document.getElementById('draw').disabled"))
        page.ask("document.getElementById('form').requestSubmit()")
        until(lambda: not page.ask("document.body.classList.contains('drawing')"))
        assert page.ask("document.querySelectorAll('.cell img').length") == 2
        assert page.ask("location.pathname") == "/tools/draw/"
