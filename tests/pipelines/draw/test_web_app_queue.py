"""Who asks the page's server while it draws for others waits, is told so, and may leave."""

import json
import time
from contextlib import contextmanager

import httpx
import pytest

from pipelines.draw.text_to_image import TextToImage
from pipelines.draw.web_app import WebApp
from tests import tiny_run
from tests.pipelines.draw.conftest import served, until
from tests.pipelines.draw.requests_to_page import events, post, refused


@contextmanager
def asking(address, asked):
    """Ask, and read nothing yet."""
    headers = {"content-type": "application/json"}
    with httpx.stream("POST", f"{address}/draw", json=asked, headers=headers, timeout=60) as answer:
        yield answer


@pytest.fixture
def app(pipeline):
    return WebApp(pipeline, queue=2)


LONG = {"prompt": "a", "candidates": 512}


def test_who_waits_is_told_how_many_are_before(app):
    with served(app) as address, asking(address, LONG | {"candidates": 256}) as one:
        lines = one.iter_lines()
        assert json.loads(next(lines))["event"] == "started"
        told = [event["event"] for event in events(post(address, {"prompt": "b", "candidates": 1}))]
        assert told == ["waiting", "started", "picture", "done"]
        assert json.loads(list(lines)[-1])["event"] == "done"


def test_past_the_line_is_503_with_when_to_come_again(app):
    with served(app) as address, asking(address, LONG), asking(address, LONG):
        answer = post(address, {"prompt": "b"})
        assert "found all 2 taken" in refused(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        assert httpx.get(address).status_code == 200  # the page itself needs no place


def test_who_leaves_frees_the_place_and_is_drawn_no_further(app):
    with served(app) as address:
        with asking(address, LONG) as one, asking(address, LONG):
            lines = one.iter_lines()  # which leaves when it is forgotten
            next(lines)
            assert len(app.queue.tickets) == 2
        until(lambda: not app.queue.tickets)
        began = time.monotonic()
        assert events(post(address, {"prompt": "b", "candidates": 1}))[-1]["event"] == "done"
        whole = LONG["candidates"] / tiny_run.SAMPLE.tile * app.queue.seconds_per_tile
        assert time.monotonic() - began < whole / 2


def test_a_drawing_that_fails_says_so_and_the_next_one_is_drawn(root):
    pipeline = TextToImage(root)
    dvae = pipeline.generator.dvae
    decoder, dvae.decoder = dvae.decoder, None
    with served(WebApp(pipeline)) as address:
        with asking(address, {"prompt": "a"}) as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines))["event"] == "started"
            told = json.loads(next(lines))
        assert told == {
            "event": "failed", "error": "The drawing failed; the server's log says why.",
        }  # fmt: skip
        dvae.decoder = decoder
        assert events(post(address, {"prompt": "a"}))[-1]["event"] == "done"
