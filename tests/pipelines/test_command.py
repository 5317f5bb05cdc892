"""How commands end at pipes and terminals: quietly, with an exit code that means what it says."""

import importlib
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from pipelines.command import EscapingFormatter, printable, shown

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "pipelines").rglob("*.py")
    if "def parser(" in path.read_text()
)
SENTENCE = "error: wanted to write to standard output, found [Errno 28] No space left on device"
# Says much, or what is asked of it, and comes to the code that it is given.
SPEAKER = """
import sys
from rich.console import Console
from pipelines.command import complain, log_to_errors, program
from schemas.errors import UserError

def main():
    how, code, *words = sys.argv[1:]
    if how == "rich":
        for number in range(20_000):
            Console(width=80).print(f"line {number} of a table")
    elif how == "plain":
        print("\\n".join(f"line {number}" for number in range(20_000)))
    elif how == "little":
        print("one line")
    elif how == "errors":
        for number in range(20_000):
            complain(f"problem {number}")
    elif how == "help":
        import argparse
        argparse.ArgumentParser().parse_args(["--help"])
    elif how == "usage":
        import argparse
        argparse.ArgumentParser().parse_args(["--nothing"])
    elif how == "ask":
        print(repr(sys.stdin.read()))
    elif how == "open":  # a file that is opened first does not become standard output
        with open(words[0], "w") as file:
            print("not into the file")
            file.write("content")
    else:
        print(*words)
    return int(code)

sys.exit(program(main))
"""


def ended(line, *, env=None, code=0):
    """Run a shell line in which $SPEAK is the speaker; return what came out, and errors."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"SPEAK": SPEAKER, "PY": sys.executable, "PATH": "/usr/bin:/bin"} | (env or {}),
    )
    assert done.returncode == code, done
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("how", "end", "code", "found"),
    [
        ("plain 0", "| head -1", 141, ("line 0\n", "")),
        ("rich 0", "| head -1", 141, ("line 0 of a table\n", "")),
        ("rich 1", "| true", 141, ("", "")),  # it stops before it could know
        ("little 0", "| head -1", 0, ("one line\n", "")),
        ("errors 3", "2>&1 >/dev/null | head -1", 3, ("error: problem 0\n", "")),
        ("little 3", ">&-", 3, ("", "")),
        ("errors 3", "2>&-", 3, ("", "")),
        ("little 3", ">&- 2>&- <&-", 3, ("", "")),
        ("ask 0", "<&-", 0, ("''\n", "")),
    ],
)
def test_a_reader_that_leaves_and_streams_that_are_closed_are_no_news(how, end, code, found):
    assert ended(f'$PY -c "$SPEAK" {how} {end}', code=code) == found


@pytest.mark.parametrize(("how", "code"), [("little 0", 141), ("little 1", 1), ("help 0", 141)])
def test_what_is_known_before_anybody_fails_to_read_it_is_said_by_the_code(how, code):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", SPEAKER, *how.split()]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=ROOT)
    os.close(write)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize(("how", "code"), [("plain 0", 2), ("rich 0", 2), ("little 3", 3)])
def test_a_full_disk_is_one_sentence(how, code):
    _, errors = ended(f'$PY -c "$SPEAK" {how} >/dev/full', code=code)
    assert errors.startswith(SENTENCE)
    assert errors.count("\n") == 1


def test_a_file_does_not_take_the_place_of_closed_output(tmp_path):
    ended(f'$PY -c "$SPEAK" open 0 {tmp_path}/file >&-')
    assert (tmp_path / "file").read_text() == "content"


def test_wrong_usage_ends_with_2():
    _, errors = ended('$PY -c "$SPEAK" usage 0', code=2)
    assert "unrecognized arguments: --nothing" in errors


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", rb"caf\xe9 \u732b \U0001f600"),
        ("ascii:strict", rb"caf\xe9 \u732b \U0001f600"),
        ("latin-1", b"caf\xe9 \\u732b \\U0001f600"),
        ("cp1252", b"caf\xe9 \\u732b \\U0001f600"),
        ("koi8-r", rb"caf\xe9 \u732b \U0001f600"),
        ("utf-8", "café 猫 😀".encode()),
    ],
)
def test_letters_that_a_terminal_lacks_are_escapes(encoding, written):
    command = [sys.executable, "-c", SPEAKER, "say", "0", "café 猫 😀"]
    done = subprocess.run(
        command, capture_output=True, cwd=ROOT, env={"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, written, b"")


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "pipelines").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT / "pipelines")),
)
def test_every_command_ends_this_way(path):
    text = path.read_text()
    ends = re.findall(r'^if __name__ == "__main__":\n    (.*)\n\Z', text, re.MULTILINE)
    assert ends in ([], ["sys.exit(program(main))"])
    assert ends or "\ndef main(" not in text
    assert 'print(f"error: ' not in text or path.parent.name == "command"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = importlib.import_module(name).parser().format_help()
    assert max(map(len, text.splitlines())) <= 80


COMMANDING = {
    "\x1b[2J": r"\x1b[2J", "\x9b31m": r"\x9b31m", "a\rb": r"a\rb", "\x07": r"\x07", "\0": r"\x00",
    "\u202ereversed": r"\u202ereversed", "\u2066": r"\u2066", "\u200b": r"\u200b",
    "\ufeff": r"\ufeff", "\u2028": r"\u2028", "\ud800": r"\ud800", "a\nb": r"a\nb",
}  # fmt: skip
HARMLESS = (
    "café",
    "क\u094d\u200dष",
    "שלום",
    "👨\u200d👩\u200d👧",
    "猫 と 犬",
    "e\u0301",
    "[red]",
    "",
)


@pytest.mark.parametrize(("text", "escaped"), COMMANDING.items())
def test_no_text_commands_the_terminal(text, escaped):
    assert printable(text) == escaped
    record = logging.LogRecord("x", logging.INFO, "", 1, "%s", (text,), None)
    assert EscapingFormatter("%(message)s").format(record) == escaped.replace(r"\n", "\n")


@pytest.mark.parametrize("text", HARMLESS)
def test_letters_of_any_script_stay(text):
    assert printable(text) == text
    assert Text.from_markup(shown(text)).plain == text
