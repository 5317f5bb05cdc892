"""Prompts typed one after another, each drawn at once: the models stay loaded between them."""

import contextlib
import sys
from io import TextIOWrapper
from itertools import chain, count
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelines.drawing.given import Given
from pipelines.drawing.painter import Painter, Picture, file_name, ranked
from pipelines.drawing.sheet import sheet_png
from pipelines.drawing.wish import Wish
from schemas.errors import ConfigError, UserError
from stages.progress import Progress

with contextlib.suppress(ImportError):  # a Python built without it: then lines have no history
    import readline  # noqa: F401  makes input() a line that can be edited and recalled

WIDTH = 80
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


def draw(painter: Painter, wish: Wish, out: Path, given: Given | None = None) -> list[Picture]:
    """Draw a settled wish with a bar of how far it is, write its sheet, and return all, ranked."""
    found: list[Picture] = []
    with Progress("draw", wish.candidates, unit="pictures") as progress:
        for tile in painter.tiles(wish, given):
            found += tile
            progress.advance(len(tile))
    found = ranked(found)
    try:
        out.write_bytes(sheet_png(found, wish, given))
    except OSError as error:
        raise ConfigError(f"wanted to write {out}, found {error}; give another place") from error
    return found


def ask(painter: Painter, settings: dict[str, object]) -> None:
    """Draw each line that is typed, until there are no more; what is wrong with one is said."""
    console = Console(width=WIDTH, highlight=False)
    if isinstance(sys.stdin, TextIOWrapper):  # what is no text is one bad line, not the last one
        sys.stdin.reconfigure(errors="surrogateescape")
    side = painter.side
    console.print(f"Pictures of {side} x {side} pixels. Say what to draw; :help says what else.")
    while True:
        try:
            line = input("draw> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            if sys.stdin.isatty():
                print()
            return
        if line in (":quit", ":q"):
            return
        try:
            settings = _answer(console, painter, line, settings)
        except UserError as error:
            console.print(f"[red]error:[/] {escape(str(error))}")
        except KeyboardInterrupt:
            console.print("stopped")


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
        out = _free(Path(file_name(wish)))
        found = draw(painter, wish, out)
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


def _free(file: Path) -> Path:
    """Return the file's name, or the first one with a number that is not taken."""
    numbered = (file.with_stem(f"{file.stem}-{number}") for number in count(2))
    return next(path for path in chain([file], numbered) if not path.exists())
