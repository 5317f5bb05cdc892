"""What the page's server answers: pictures as they come, and a sentence for all that cannot be."""

import base64
import io
import json
import re
import socket
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.draw import __main__ as draw
from pipelines.draw import web_app
from pipelines.draw.web_app import BODY_BYTES, MAX_CHARACTERS
from tests import tiny_run
from tests.pipelines.draw.requests_to_page import events, post, refused

ROOT = Path(__file__).resolve().parents[3]
PROMPT = "a small green star"


def opened(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_a_request_is_answered_as_it_is_drawn(address, pipeline):
    first, *pictures, last = events(post(address, {"prompt": PROMPT, "candidates": 9, "seed": 3}))
    assert first["event"] == "started"
    assert [p["candidate"] for p in pictures] == list(range(9))
    known = pipeline.draw(PROMPT, n=9, seed=3)
    assert last["ranking"] == [p.candidate for p in known]
    for picture in known:
        told = pictures[picture.candidate]
        image = opened(told["png"])
        assert np.array_equal(np.asarray(image), picture.pixels)
        assert told["score"] == picture.clip_score


def test_the_request_says_how_codes_are_drawn(address):
    """Of one likeliest code, or of almost no temperature, all candidates are one picture."""
    asked = {"prompt": PROMPT, "candidates": 6}

    def different(**how):
        told = events(post(address, asked | how))[1:-1]
        return len({opened(picture["png"]).tobytes() for picture in told})

    assert different() > 1
    assert different(top_k=1) == different(top_p=1e-9) == different(temperature=0.01) == 1


def test_the_ranking_begins_with_the_highest_score(address):
    _, *pictures, last = events(post(address, {"prompt": PROMPT, "candidates": 9}))
    scores = [pictures[candidate]["score"] for candidate in last["ranking"]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1


def test_the_readmes_request_is_answered(address):
    (body,) = re.findall(r"/draw --json '(.*?)'", (ROOT / "pipelines/README.md").read_text())
    assert events(post(address, body.encode()))[-1]["event"] == "done"


def test_a_download_says_how_to_draw_it_again(address):
    asked = {"prompt": PROMPT, "candidates": 2, "seed": 3, "top_k": 5, "temperature": 0.5}
    _, _, picture, last = events(post(address, asked))
    text = opened(picture["png"]).text
    assert text["prompt"] == PROMPT
    assert (text["candidate"], text["run_seed"], text["seed"]) == ("1", "3", picture["seed"])
    assert (text["top_k"], text["temperature"], text["guidance"]) == ("5", "0.5", "1.0")
    assert text["prior"] == tiny_run.fingerprint(tiny_run.PRIOR)
    assert float(text["clip_score"]) == picture["score"]
    assert picture["file"] == "a-small-green-star-3-001.png"
    assert last["file"] == "a-small-green-star-3.png"


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 1.0000001, 0.012345678901234567, 1e-7])
def test_settings_come_back_from_a_download_as_they_were_asked(address, value):
    how = {"temperature": max(0.01, value), "top_p": min(1.0, value)}
    started, picture, last = events(post(address, {"prompt": PROMPT, "candidates": 1, **how}))
    for name, asked in how.items():
        assert started["settings"][name] == asked
        assert float(opened(picture["png"]).text[name]) == asked
        assert float(opened(last["sheet"]).text[name]) == asked


def test_a_download_is_the_sample_stages_file(address, root):
    row = pq.read_table(next(Path(root).glob("samples/*/table"))).to_pylist()[0]
    asked = {"prompt": row["prompt"], "seed": tiny_run.SAMPLE.seed, "candidates": 4}
    _, *pictures, _ = events(post(address, asked))
    assert base64.b64decode(pictures[row["candidate"]]["png"]) == row["png"]


def test_the_sheet_is_the_commands(address, root, tmp_path):
    out = tmp_path / "sheet.png"
    assert draw.main([PROMPT, "--root", root, "-n", "7", "--top", "2", "--out", str(out)]) == 0
    last = events(post(address, {"prompt": PROMPT, "candidates": 7, "top": 2}))[-1]
    assert base64.b64decode(last["sheet"]) == out.read_bytes()


def test_what_is_not_said_is_as_in_the_runs_samples(address):
    own = httpx.get(f"{address}/about").json()["settings"]
    asked = {"prompt": PROMPT, "candidates": 1}
    said = events(post(address, asked))[1]["png"]
    assert events(post(address, asked | {"temperature": own["temperature"]}))[1]["png"] == said
    assert opened(events(post(address, asked | {"top_k": 1}))[1]["png"]).text["top_k"] == "1"


def test_a_prompt_too_long_for_the_models_is_drawn_and_said(address):
    prior, clip = events(post(address, {"prompt": "red " * 50, "candidates": 1}))[0]["notes"]
    assert f"first {tiny_run.TOKENS.text_len} tokens" in prior
    assert "CLIP" in clip
    assert events(post(address, {"prompt": "red", "candidates": 1}))[0]["notes"] == []


@pytest.mark.parametrize(
    "prompt",
    [
        "<script>alert(1)</script>", "\N{SNOWMAN}\N{VARIATION SELECTOR-16} \N{GRINNING FACE}",
        "\N{RIGHT-TO-LEFT OVERRIDE}derbmun", "../../etc/passwd", "a\tb\nc", "%00%0a%s{0}", "星",
        "'; DROP TABLE prompts; --", "a" * MAX_CHARACTERS, "\r\nSet-Cookie: a=b",
    ],
)  # fmt: skip
def test_a_strange_prompt_is_a_prompt(address, prompt):
    first, picture, last = events(post(address, {"prompt": prompt, "candidates": 1}))
    assert first["settings"]["prompt"] == prompt.strip()
    assert opened(picture["png"]).text["prompt"] == prompt.strip()
    for told in (picture, last):
        assert re.fullmatch(r"[a-z0-9-]{1,70}\.png", told["file"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "wanted a JSON object"),
        (b"{", "wanted a JSON object"),
        (b"[]", "wanted a JSON object"),
        (b"\xff\xfe", "wanted a JSON object"),
        (b"[" * 60_000, "wanted a JSON object"),
        (b'{"prompt": "\\ud800"}', "wanted a JSON object"),
        ({}, "wanted a prompt, found none"),
        ({"prompt": ""}, "say what to draw"),
        ({"prompt": " \n\t"}, "say what to draw"),
        ({"prompt": "\N{ZERO WIDTH SPACE}"}, "say what to draw"),
        ({"prompt": "a\0b"}, "U+0000 at place 1"),
        ({"prompt": "a\x1b[2Jb"}, "U+001B"),
        ({"prompt": ["a"]}, "prompt: wanted a valid string, found ['a']"),
        ({"prompt": "a" * (MAX_CHARACTERS + 1)}, "wanted at most 4,000 characters, found 4,001"),
        ({"prompt": "a", "candidates": 0}, "candidates: wanted at least 1, found 0"),
        ({"prompt": "a", "candidates": 513}, "candidates: wanted at most 512, found 513"),
        ({"prompt": "a", "candidates": 1e99}, "candidates: wanted"),
        ({"prompt": "a", "candidates": "many"}, "candidates: wanted a valid integer"),
        ({"prompt": "a", "top": 0}, "top: wanted at least 1"),
        ({"prompt": "a", "seed": 2**64}, "seed: wanted at most"),
        ({"prompt": "a", "temperature": 0}, "temperature: wanted at least 0.01"),
        (b'{"prompt": "a", "temperature": NaN}', "temperature: wanted a finite number"),
        ({"prompt": "a", "top_k": -1}, "top_k: wanted at least 0"),
        ({"prompt": "a", "top_p": 0}, "top_p: wanted more than 0"),
        ({"prompt": "a", "guidance": 3}, "guidance: wanted 1, found 3, for this prior"),
        ({"prompt": "a", "x" * 999: 1}, "there is no setting 'xxx"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(address, body, said):
    assert said in refused(post(address, body), 400)


def test_a_huge_body_is_refused_whether_it_says_its_length_or_not(address):
    million = b'{"prompt": "' + b"a" * 2**20 + b'"}'
    assert f"{BODY_BYTES:,} bytes" in refused(post(address, million), 413)

    def pieces():
        yield from (million[first : first + 1000] for first in range(0, 100_000, 1000))

    kind = {"content-type": "application/json"}
    answer = httpx.post(f"{address}/draw", content=pieces(), headers=kind)
    refused(answer, 413)


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_only_json_is_read(address, kind):
    """A form of another page can send no JSON without asking first."""
    body = json.dumps({"prompt": "a"}).encode()
    assert "wanted JSON" in refused(post(address, body, **{"content-type": kind}), 415)


def test_a_body_that_never_ends_is_given_up(address, monkeypatch):
    monkeypatch.setattr(web_app, "BODY_SECONDS", 0.2)
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(
            b"POST /draw HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert b"408" in client.recv(1000)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(address, method):
    answer = httpx.request(method, f"{address}/draw")
    assert method in refused(answer, 405)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/nothing", "/../pyproject.toml", "/page.py", "/%2e%2e/x"])
def test_there_is_nothing_else(address, path):
    refused(httpx.get(f"{address}{path}"), 404)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "[", "localhost@e"]
)
def test_a_name_that_was_made_to_lead_here_is_refused(address, host):
    assert "wanted a request to 127.0.0.1" in refused(
        httpx.get(address, headers={"host": host}), 403
    )


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://[", ""]
)
def test_another_page_is_refused(address, origin):
    refused(post(address, {"prompt": "a"}, origin=origin), 403)


def test_this_page_is_answered(address):
    answer = post(address, {"prompt": "a", "candidates": 1}, origin=address)
    assert events(answer)[-1]["event"] == "done"
    port = address.rpartition(":")[2]
    assert httpx.get(address, headers={"host": f"localhost:{port}"}).status_code == 200


def test_a_client_must_be_able_to_leave(address):
    header = {"x-request-disconnect-disabled": "?1"}
    assert "may disconnect" in refused(post(address, {"prompt": "a"}, **header), 403)


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/about", "/nothing"])
def test_browsers_are_told_to_load_nothing_from_elsewhere(address, path):
    answer = httpx.get(f"{address}{path}")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"unsafe|https?:|\*", policy)
    assert answer.headers["x-content-type-options"] == "nosniff"
    named = re.findall(r"(?:src|href|url|fetch)\W{1,3}((?:https?:)?//[^\s\"']+)", answer.text)
    assert named == []
