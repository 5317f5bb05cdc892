"""Prompts typed one after another, each drawn at once: the models stay loaded between them."""

import contextlib
import os
import sys
from io import TextIOWrapper
from itertools import chain, count
from pathlib import Path

from rich.console import Console

from pipelines.command import shown
from pipelines.command.stopping import stopped_that_alone
from pipelines.drawing.given import Given
from pipelines.drawing.painter import Painter, Picture, file_name, ranked
from pipelines.drawing.sheet import sheet_png
from pipelines.drawing.wish import Wish
from schemas.errors import ConfigError, UserError
from stages.progress import Progress

with contextlib.suppress(ImportError):  # a Python built without it: then lines have no history
    import readline  # noqa: F401  makes input() a line that can be edited and recalled

WIDTH = 80
BOM = "\ufeff"  # with which some editors begin a file
NAMES = {
    "n": "candidates", "candidates": "candidates", "top": "top", "seed": "seed",
    "temperature": "temperature", "top-k": "top_k", "top-p": "top_p",
    "guidance": "guidance",
}  # fmt: skip
HELP = """\
a line of words   draws them
:n 64             so many candidates
:top 8            so many of the best on the sheet
:seed 7           another one, other pictures
:temperature 0.8, :top-k 50, :top-p 0.9, :guidance 3     how codes are drawn
:settings         what is set
:quit             leaves, as Ctrl-D and Ctrl-C do
Ctrl-C            while it draws, stops that drawing"""


def draw(
    painter: Painter, wish: Wish, given: Given | None = None, out: Path | None = None
) -> tuple[list[Picture], Path]:
    """Draw a settled wish with a bar of how far it is; return all, ranked, and where its sheet is.

    Without `out` that is a file named by the prompt, beside others of that name.
    """
    found: list[Picture] = []
    with Progress("draw", wish.candidates, unit="pictures") as progress:
        for tile in painter.tiles(wish, given):
            found += tile
            progress.advance(len(tile))
    found = ranked(found)
    sheet = sheet_png(found, wish, given)
    name = file_name(wish).replace(".png", "-completed.png" if given else ".png")
    out = out or _free(Path(name), sheet)
    try:
        out.write_bytes(sheet)
    except OSError as error:
        raise ConfigError(f"wanted to write {out}, found {error}; give another place") from error
    return found, out


def ask(painter: Painter, settings: dict[str, object]) -> bool:
    """Draw each line that is typed, until there are no more; what is wrong with one is said.

    Returns whether all were drawn.
    """
    console = Console(width=WIDTH, highlight=False)
    if isinstance(sys.stdin, TextIOWrapper):  # what is no text is one bad line, not the last one
        sys.stdin.reconfigure(errors="surrogateescape")
    side, well = painter.side, True
    console.print(f"Pictures of {side} x {side} pixels. Say what to draw; :help says what else.")
    while True:
        try:
            line = input("draw> " if sys.stdin.isatty() else "").strip().removeprefix(BOM)
        except EOFError:
            return _left(well)
        except KeyboardInterrupt as error:
            stopped_that_alone(error)
            return _left(well)
        except OSError as error:
            raise ConfigError(f"wanted prompts from standard input, found {error}") from error
        if line in (":quit", ":q"):
            return well
        try:
            settings = _answer(console, painter, line, settings)
        except UserError as error:
            console.print(f"[red]error:[/] {shown(str(error))}")
            well = False
        except KeyboardInterrupt as error:
            stopped_that_alone(error)
            console.print("stopped")


def _left(well: bool) -> bool:
    if sys.stdin.isatty():
        print()
    return well


def _answer(
    console: Console, painter: Painter, line: str, settings: dict[str, object]
) -> dict[str, object]:
    """Do what a line says; return the settings from then on."""
    if line == ":help":
        console.print(HELP, markup=False)
    elif line == ":settings":
        wish = painter.settled(Wish.of(prompt="any", **settings))
        for name, value in wish.model_dump(exclude={"prompt"}).items():
            console.print(f"  {name:<12} {value}")
    elif line.startswith(":"):
        return _changed(painter, line, settings)
    elif line:
        wish = painter.settled(Wish.of(prompt=line, **settings))
        for sentence in painter.cut(wish):
            console.print(f"[yellow]{sentence}[/]")
        found, out = draw(painter, wish)
        best = "   ".join(f"no. {p.drawn.candidate} {p.drawn.clip_score:.3f}" for p in found[:4])
        console.print(f"best by CLIP: {best}")
        console.print(str(out), soft_wrap=True, markup=False)
    return settings


def _changed(painter: Painter, line: str, settings: dict[str, object]) -> dict[str, object]:
    name, _, value = line[1:].partition(" ")
    if name not in NAMES:
        known = ", ".join(f":{known}" for known in NAMES)
        raise ConfigError(f"there is no ':{name}'; there are {known}, :settings, :help and :quit")
    settings = settings | {NAMES[name]: value.strip()}
    painter.settled(Wish.of(prompt="any", **settings))
    return settings


def _free(file: Path, data: bytes) -> Path:
    """Return the file's name, or the first one with a number where nothing else is."""
    numbered = (file.with_stem(f"{file.stem}-{number}") for number in count(2))
    return next(path for path in chain([file], numbered) if _has(path, data))


def _has(path: Path, data: bytes) -> bool:
    """Say whether nothing lies there, or the very same."""
    try:
        return not os.path.lexists(path) or path.read_bytes() == data
    except OSError:
        return False
