"""Draw prompts that are typed one after another; the models stay loaded between them."""

import contextlib
import os
import sys
from io import TextIOWrapper
from itertools import chain, count
from pathlib import Path

from rich.console import Console

from pipelines.command import shown, writing_to
from pipelines.command.stopping import stopped_that_alone
from pipelines.draw.draw_request import DrawRequest
from pipelines.draw.image_prompt import ImagePrompt
from pipelines.draw.sheet import sheet_png
from pipelines.draw.text_to_image import TextToImage, file_name
from schemas.errors import ConfigError, UserError
from stages.models.ranking import CALLED
from stages.progress import Progress
from stages.sample.generator import Picture

with contextlib.suppress(ImportError):  # Python may be built without it: lines have no history then
    import readline  # noqa: F401  input() becomes a line that can be edited and recalled

WIDTH = 80
BOM = "\ufeff"  # some editors begin a file with it
SETTINGS = {"n": "candidates"}
SETTINGS |= {n.replace("_", "-"): n for n in DrawRequest.model_fields if n != "prompt"}
HELP = """\
any text          draws it
:n 64             number of candidates
:top 8            number of best candidates on the sheet
:seed 7           random seed
:temperature 0.8, :top-k 50, :top-p 0.9, :guidance 3     sampling parameters
:settings         shows all settings
:quit             leaves, as do Ctrl-D and Ctrl-C
Ctrl-C            stops a drawing"""


def draw_sheet(
    pipeline: TextToImage,
    request: DrawRequest,
    image_prompt: ImagePrompt | None = None,
    out: Path | None = None,
) -> tuple[list[Picture], Path]:
    """Draw a resolved request with a progress bar; return its ranked pictures and its sheet's path.

    Without `out` the sheet is named by the prompt, and never overwrites another one.
    """
    pictures: list[Picture] = []
    with Progress("draw", request.candidates, unit="pictures") as progress:
        for tile in pipeline.tiles(request, image_prompt):
            pictures += tile
            progress.advance(len(tile))
    pictures = pipeline.ranked(pictures)
    sheet = sheet_png(pictures, request, image_prompt)
    name = file_name(request).replace(".png", "-completed.png" if image_prompt else ".png")
    out = out or _free(Path(name), sheet)
    with writing_to(out):
        out.write_bytes(sheet)
    return pictures, out


def run_interactive(pipeline: TextToImage, settings: dict[str, object]) -> bool:
    """Draw each line that is typed; print errors and go on. Return whether there were none."""
    console = Console(width=WIDTH, highlight=False)
    if isinstance(sys.stdin, TextIOWrapper):  # bytes that are no text spoil their own line only
        sys.stdin.reconfigure(errors="surrogateescape")
    side, well = pipeline.generator.tokens.side, True
    console.print(f"Pictures of {side} x {side} pixels. Type what to draw, or :help.")
    while True:
        try:
            line = input("draw> " if sys.stdin.isatty() else "").strip().removeprefix(BOM)
        except (EOFError, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):
                stopped_that_alone(error)
            if sys.stdin.isatty():
                print()  # ends the line of the prompt
            return well
        except OSError as error:
            raise ConfigError(f"wanted prompts from standard input, found {error}") from error
        if line in (":quit", ":q"):
            return well
        try:
            settings = _obey(console, pipeline, line, settings)
        except UserError as error:
            console.print(f"[red]error:[/] {shown(str(error))}")
            well = False
        except KeyboardInterrupt as error:
            stopped_that_alone(error)
            console.print("stopped")


def _obey(
    console: Console, pipeline: TextToImage, line: str, settings: dict[str, object]
) -> dict[str, object]:
    """Do what a line asks for; return the settings of the next ones."""
    if line == ":help":
        console.print(HELP, markup=False)
    elif line == ":settings":
        request = pipeline.resolve(DrawRequest.of(prompt="any", **settings))
        for name, value in request.model_dump(exclude={"prompt"}).items():
            console.print(f"  {name:<12} {value}")
    elif line.startswith(":"):
        return _changed(pipeline, line, settings)
    elif line:
        request = pipeline.resolve(DrawRequest.of(prompt=line, **settings))
        for sentence in pipeline.truncations(request):
            console.print(f"[yellow]{sentence}[/]")
        pictures, out = draw_sheet(pipeline, request)
        best = "   ".join(f"no. {p.candidate} {p.clip_score:.3f}" for p in pictures[:4])
        console.print(f"best by {CALLED[pipeline.generator.rank_by]}: {best}")
        console.print(str(out), soft_wrap=True, markup=False)
    return settings


def _changed(pipeline: TextToImage, line: str, settings: dict[str, object]) -> dict[str, object]:
    name, _, value = line[1:].partition(" ")
    if name not in SETTINGS:
        known = ", ".join(f":{known}" for known in SETTINGS)
        raise ConfigError(f"there is no ':{name}'; there are {known}, :settings, :help and :quit")
    settings = settings | {SETTINGS[name]: value.strip()}
    pipeline.resolve(DrawRequest.of(prompt="any", **settings))
    return settings


def _free(file: Path, data: bytes) -> Path:
    """Return the file's name, numbered if something else has it already."""
    numbered = (file.with_stem(f"{file.stem}-{number}") for number in count(2))
    return next(path for path in chain([file], numbered) if _writable(path, data))


def _writable(path: Path, data: bytes) -> bool:
    """Say whether nothing lies there, or the same bytes."""
    try:
        return not os.path.lexists(path) or path.read_bytes() == data
    except OSError:
        return False
