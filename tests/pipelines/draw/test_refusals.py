"""What cannot be drawn, completed or served is one sentence of the command, whatever is wrong."""

import re

import numpy as np
import pytest
import torch

from pipelines.draw import __main__ as draw
from stages.pictures import encode_png

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
ORIGINS = (
    "*", "", "null", "draw.example.org", "https://", "ftp://a.org", "https://a.org/draw",
    "https://*.example.org", "https://a.org:port", "https://a@b.org", "https://a.org https://b.org",
)  # fmt: skip
REFUSED = [
    ([], "wanted a prompt, found none"),
    (["  ", "-n", "1"], "wanted at least one"),
    (["x", "-n", "0"], "wanted at least 1"),
    (["x", "--top", "0"], "wanted at least 1"),
    (["a star", "--guidance", "2"], "guidance: wanted 1, found 2"),
    (["a star", "--out", "/no/such/folder/x.png"], "give another place"),
    pytest.param(
        ["a star", "--gpu"], "--gpu: wanted a CUDA device, found none; leave it out", marks=NO_GPU
    ),
    (["a star", "--root-path", "/draw"], "wanted --server too"),
    # to be completed
    (["x", "--rows", "1"], "wanted --complete PICTURE"),
    (["x", "--complete", "gone.png"], "picture_missing"),
    (["x", "--complete", "PICTURE", "--rows", "2"], "wanted 1 to 1 of the 2 rows"),
    (["--interactive", "--complete", "PICTURE"], "found --complete too"),
    (["--server", "--complete", "PICTURE"], "found --complete too"),
    (["--interactive", "--rows", "1"], "found --rows too"),
    # line by line
    (["a star", "--interactive"], "found a prompt too"),
    (["--interactive", "--out", "x.png"], "found --out too"),
    (["--interactive", "-n", "0"], "candidates: wanted at least 1"),
    # to be served
    (["--server", "a star"], "found a prompt too"),
    (["--server", "-n", "64"], "the page has a field for -n"),
    (["--server", "--top-k", "5"], "the page has a field for --top-k"),
    (["--server", "--root", "nowhere"], "wanted a run under"),
    (["--server", "--port", "70000"], "wanted to serve on 127.0.0.1:70000"),
    pytest.param(["--server", "--gpu"], "wanted a CUDA device", marks=NO_GPU),
    (["--server", "--host", "192.0.2.77"], "another --host of this machine"),
    (["--server", "--host", "no such host"], "another --host of this machine"),
    *(
        (["--server", "--allow-origin", one], "wanted what a browser shows before the path")
        for one in ORIGINS
    ),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_what_cannot_be_done_is_one_sentence(root, tmp_path, capsys, arguments, said):
    picture = tmp_path / "wide.png"
    picture.write_bytes(encode_png(np.zeros((16, 40, 3), np.uint8)))
    arguments = [str(picture) if part == "PICTURE" else part for part in arguments]
    assert draw.main(["--root", root, *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert re.match("error: ", error[-1])
    assert said in error[-1]
