"""The page as people get it: the command, Ray Serve, a browser, a crowd, and those who leave."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch

from pipelines.draw import __main__ as draw
from pipelines.draw.web_app import QUEUE
from tests.browser import opened
from tests.pipelines.draw.conftest import until

ROOT = Path(__file__).resolve().parents[3]
CROWD, MANY = 200, 24
CELL = "document.querySelectorAll('.cell:not(:disabled)')"
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
pytestmark = pytest.mark.ray


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.draw", "--server", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def address(root):
    """Start it as a user does, on a free port; it must end cleanly when it is interrupted."""
    process = command("--root", root, "--port", "0")
    said = ""
    while not (found := re.search(r"http://\S+", said)):
        said += (line := process.stdout.readline())
        assert line, said
    yield found[0]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


def visit(page, url):
    page.open(url)
    until(lambda: page.ask("!document.getElementById('draw').disabled"))


def drawn(page):
    """Wait until a drawing has ended."""
    until(lambda: page.ask("!document.body.classList.contains('drawing')"))


def ask(page, prompt):
    page.ask(
        "document.getElementById('prompt').value = ''; document.getElementById('prompt').focus()"
    )
    page.type(prompt)
    page.ask("document.getElementById('form').requestSubmit()")


def text(page, name):
    return page.ask(f"document.getElementById('{name}').innerText")


def test_a_browser_draws_and_fetches_nothing_from_outside(address, page):
    visit(page, address)
    assert page.ask("document.activeElement.id") == "prompt"
    ask(page, "a small green star")
    drawn(page)
    assert page.ask(f"{CELL}.length") == 16
    until(lambda: page.ask("[...document.images].every(image => image.complete)"))
    assert set(
        page.ask("[...document.querySelectorAll('.cell img')].map(i => i.naturalWidth)")
    ) == {16}
    scores = [
        float(s)
        for s in page.ask("[...document.querySelectorAll('.score')].map(s => s.textContent)")
    ]
    assert scores == sorted(scores, reverse=True)
    assert text(page, "status").startswith("16 drawn in ")
    assert text(page, "error") == ""
    outside = [r for r in page.requests if not r.startswith((address, f"blob:{address}", "data:"))]
    assert outside == []


def test_the_address_is_the_wish(address, page):
    visit(page, f"{address}/?prompt=a+red+ring&candidates=3&seed=7")
    assert page.ask("document.querySelectorAll('.cell').length") == 0  # a link draws nothing
    page.ask("document.getElementById('form').requestSubmit()")
    drawn(page)
    assert page.ask(f"{CELL}.length") == 3
    assert "prompt=a+red+ring" in page.ask("location.search")
    assert "seed=7" in page.ask("location.search")


def test_a_picture_is_enlarged_and_downloaded(address, page):
    visit(page, f"{address}/?prompt=a+red+ring&candidates=5")
    page.ask("document.getElementById('form').requestSubmit()")
    drawn(page)
    page.ask(f"{CELL}[0].click()")
    assert page.ask("document.getElementById('large').open")
    assert "rank\n1 of 5" in text(page, "facts")
    page.ask("document.getElementById('after').click()")
    assert "rank\n2 of 5" in text(page, "facts")
    name = page.ask("document.getElementById('save').download")
    assert re.fullmatch(r"a-red-ring-0-00\d\.png", name)
    assert page.ask("document.getElementById('sheet').download") == "a-red-ring-0.png"


def test_what_is_wrong_is_a_sentence_in_the_page(address, page):
    visit(page, address)
    ask(page, "  ")
    assert text(page, "error") == "Say what to draw."
    ask(page, "a\N{START OF HEADING}b")
    drawn(page)
    assert "U+0001 at place 1" in text(page, "error")
    ask(page, "<img src=x onerror=document.title='run'>")
    drawn(page)
    page.ask(f"{CELL}[0].click()")
    assert text(page, "words").startswith("<img src=x")
    assert page.ask("document.title").startswith("<img")
    assert page.ask("document.querySelectorAll('#words img').length") == 0


def test_a_drawing_is_stopped(address, page):
    visit(page, f"{address}/?prompt=a&candidates=512")
    page.ask("document.getElementById('form').requestSubmit()")
    until(lambda: page.ask(f"{CELL}.length"))
    page.ask("document.getElementById('stop').click()")
    drawn(page)
    assert text(page, "status").startswith("Stopped; ")
    assert 0 < page.ask("document.querySelectorAll('.cell').length") < 512


@pytest.fixture(scope="module")
def client():
    """Connections for a crowd; each httpx.post would read the machine's certificates first."""
    everybody = httpx.Limits(max_connections=None)
    with httpx.Client(verify=False, limits=everybody, timeout=300) as client:
        yield client


def leave(address, asked):
    """Ask, hear the first line, and hang up: a connection of its own, which nobody else closes."""
    with (
        httpx.Client(verify=False, timeout=300) as client,
        client.stream("POST", f"{address}/draw", json=asked) as answer,
    ):
        if answer.status_code == 200:
            return json.loads(next(answer.iter_lines()))["event"]
        return answer.status_code


def free(address):
    """Wait until nobody is before a new drawing."""
    until(lambda: leave(address, {"prompt": "a", "candidates": 1}) == "started")


def test_a_crowd_gets_pictures_or_a_sentence(client, address):
    """And the page answers while it is there."""
    free(address)
    asked = {"prompt": "a", "candidates": MANY}

    def one(number):
        return client.post(f"{address}/draw", json=asked | {"seed": number})

    with ThreadPoolExecutor(CROWD) as crowd:
        waiting = [crowd.submit(one, number) for number in range(CROWD)]
        assert client.get(address).status_code == 200
        answers = [future.result() for future in waiting]
    refused = [answer for answer in answers if answer.status_code == 503]
    drawn = [answer for answer in answers if answer.status_code == 200]
    assert len(drawn) + len(refused) == CROWD
    assert len(drawn) >= QUEUE
    assert refused
    for answer in refused:
        assert f"found all {QUEUE} taken" in answer.json()["error"]
        assert int(answer.headers["retry-after"]) >= 1
    for answer in drawn:
        told = [json.loads(line) for line in answer.text.splitlines()]
        assert told[-1]["event"] == "done"
        assert sum(line["event"] == "picture" for line in told) == MANY
    assert leave(address, {"prompt": "a", "candidates": 1}) == "started"


def test_those_who_leave_give_their_places_up(address):
    """Each would take seconds: all would take minutes."""
    free(address)
    began = time.monotonic()
    with ThreadPoolExecutor(CROWD) as crowd:
        asked = {"prompt": "a", "candidates": 512}
        heard = list(crowd.map(lambda _: leave(address, asked), range(CROWD)))
    assert set(heard) <= {"started", "waiting", 503}
    free(address)
    assert time.monotonic() - began < 60


def test_models_that_cannot_be_loaded_are_one_sentence(root, tmp_path):
    shutil.copytree(root, tmp_path / "run")
    (weights,) = (tmp_path / "run").glob("prior/*/*.safetensors")
    weights.write_bytes(b"no weights")
    process = command("--root", str(tmp_path / "run"), "--port", "0")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert re.search(
        r"^error: \S+ does not fit its config.json .*train the model again$", said, re.M
    )
    assert "Traceback" not in said


def test_a_taken_port_is_one_sentence(root, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert draw.main(["--server", "--root", root, "--port", port]) == 2
    said = capsys.readouterr().err
    assert f"wanted to serve on 127.0.0.1:{port}" in said
    assert len(said.splitlines()) == 1
