"""Prompts typed one after another: each is drawn, a bad line is a sentence, leaving is clean."""

import fcntl
import io
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from PIL import Image

from pipelines.draw import __main__ as draw

ROOT = Path(__file__).resolve().parents[3]
CTRL_C, CTRL_D = b"\x03", b"\x04"


@pytest.fixture
def answers(root, tmp_path, monkeypatch, capsys):
    """Type lines to a pipeline of four candidates; return what it says, line by line."""
    monkeypatch.chdir(tmp_path)

    def answers(*lines, code=0):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
        assert draw.main(["--interactive", "--root", root, "-n", "4", "--top", "2"]) == code
        said = capsys.readouterr().out.splitlines()
        assert all(len(line) <= 80 for line in said)
        return said[1:]

    return answers


def test_each_line_is_drawn_as_the_command_draws_it(answers, root, tmp_path):
    *_, first, _, second = answers("a red ring", "", "a green star")
    assert (first, second) == ("a-red-ring-0.png", "a-green-star-0.png")
    other = tmp_path / "other.png"
    draw.main(["a red ring", "--root", root, "-n", "4", "--top", "2", "--out", str(other)])
    assert other.read_bytes() == (tmp_path / first).read_bytes()


def test_a_sheet_is_never_overwritten_by_another(answers, tmp_path):
    *_, again = answers("a red ring", ":top 1", "a red ring", "A red: ring?", "a red ring")
    assert again == "a-red-ring-0-2.png"  # the very same as before
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["a-red-ring-0-2.png", "a-red-ring-0-3.png", "a-red-ring-0.png"]
    texts = [Image.open(tmp_path / name).text["prompt"] for name in names]
    assert texts == ["a red ring", "A red: ring?", "a red ring"]


def test_settings_change_what_follows(answers, tmp_path):
    said = answers(":seed 7", ":n 6", ":top-k 1", ":settings", "a red ring")
    assert said[-1] == "a-red-ring-7.png"
    shown = dict(line.split() for line in said[:-2])
    assert (shown["seed"], shown["candidates"], shown["top_k"]) == ("7", "6", "1")
    assert Image.open(tmp_path / said[-1]).text["seed"] == "7"


def test_settings_are_said_and_kept_to_the_last_digit(answers, tmp_path):
    value = 0.1 + 0.2
    said = answers(f":temperature {value!r}", f":top-p {1 / 3!r}", ":settings", "a red ring")
    shown = dict(line.split() for line in said[:-2])
    text = Image.open(tmp_path / said[-1]).text
    for found in (shown, text):
        assert (float(found["temperature"]), float(found["top_p"])) == (value, 1 / 3)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (":sed 7", "there is no ':sed'; there are :n,"),
        (":n", "candidates: wanted a valid integer"),
        (":n 0", "candidates: wanted at least 1, found '0'"),
        (":temperature cold", "temperature: wanted a valid number"),
        (":guidance 3", "guidance: wanted 1, found 3"),
        (":guidance 1.0000001", "guidance: wanted 1, found 1.0000001"),
        ("a\0b", "prompt: wanted words, found the control character U+0000"),
        ("\N{ZERO WIDTH SPACE}", "say what to draw"),
    ],
)
def test_a_bad_line_is_a_sentence_and_changes_nothing(answers, line, sentence):
    said = " ".join(" ".join(answers(line, "a red ring", code=2)).split())
    assert said.startswith("error: ")
    assert sentence in said
    assert said.endswith("a-red-ring-0.png")


def test_what_is_no_text_is_a_bad_line_too(root, tmp_path):
    """Also where Python would refuse to read such a line."""
    found = subprocess.run(
        [sys.executable, "-m", "pipelines.draw", "--interactive", "--root", root, "-n", "1"],
        input=b"a \xff ring\na red ring\n",
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"},
    )
    said = found.stdout.decode()
    assert "U+DCFF at place 2" in said, found.stderr.decode()
    assert said.endswith("a-red-ring-0.png\n")


def test_files_of_prompts_from_other_systems_are_read(answers, tmp_path):
    said = answers("\ufeffa red ring\r", "\r", "a green star\r", "")
    assert [line for line in said if line.endswith(".png")] == [
        "a-red-ring-0.png", "a-green-star-0.png"
    ]  # fmt: skip
    assert Image.open(tmp_path / "a-red-ring-0.png").text["prompt"] == "a red ring"


@pytest.mark.parametrize("prompt", ["../../x", "a/b", "con", "кот", "😀", "a" * 300, "a\tb"])
def test_prompts_of_any_letters_name_files_of_this_folder(answers, tmp_path, prompt):
    name = answers(prompt)[-1]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_long_prompt_is_drawn_and_said(answers):
    said = answers("red " * 60)
    assert sum("too long" in line for line in said) == 2
    assert said[-1].endswith(".png")


def test_help_says_every_setting(answers):
    said = "\n".join(answers(":help", ":quit", "a red ring"))
    assert all(f":{name} " in said for name in ("n", "top", "seed", "temperature", "top-k"))
    assert ".png" not in said


class Terminal:
    """A real one, of 80 columns."""

    def __init__(self, *arguments, cwd):
        self.own, its = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.draw", "--interactive", *arguments],
            stdin=its, stdout=its, stderr=its, start_new_session=True, cwd=cwd,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm",
                              "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        os.close(its)

    def wait_for(self, text):
        end = time.monotonic() + 60
        while not re.search(text, self.said):
            assert time.monotonic() < end, self.said
            self.said += os.read(self.own, 4096).decode()
        self.said = ""

    def type(self, keys):
        os.write(self.own, keys)

    def ended(self, again=b""):
        """Return the exit code; type the keys again if they fell between prompt and reading."""
        try:
            code = self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.type(again)
            code = self.process.wait(timeout=30)
        os.close(self.own)
        return code


def test_ctrl_c_stops_a_drawing_and_then_leaves(root, tmp_path):
    terminal = Terminal("--root", root, "-n", "100000", cwd=tmp_path)
    terminal.wait_for("draw> ")
    terminal.type(b"a red ring\n")
    terminal.wait_for(r"\d+/100000")
    terminal.type(CTRL_C)
    terminal.wait_for(r"(?s)stopped.*draw> ")
    assert list(tmp_path.glob("*.png")) == []
    terminal.type(b":n 4\na red ring\n")
    terminal.wait_for(r"(?s)a-red-ring-0.png.*draw> ")
    terminal.type(CTRL_C)
    assert terminal.ended(again=CTRL_C) == 0


def test_ctrl_d_leaves(root, tmp_path):
    terminal = Terminal("--root", root, cwd=tmp_path)
    terminal.wait_for("draw> ")
    terminal.type(CTRL_D)
    assert terminal.ended() == 0
