"""Draw pictures from one prompt with the models of a finished run; no Ray needed.

`python -m pipelines.draw "a small green star" --root runs/demo -n 16 --top 4`

In Python: `Painter("runs/demo").draw("a small green star", n=16)[0].image.save("star.png")`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from infra.store import Store
from schemas.artifacts import BPE, CLIP, DVAE, PRIOR, SAMPLES
from schemas.configs import SampleSettings
from schemas.errors import ArtifactMissing, ConfigError, UserError
from schemas.folder import Inputs
from schemas.manifest import MANIFEST, Manifest
from stages.pictures import encode_png
from stages.sample.artist import Drawn, load_artist
from stages.sample.stage import slug

SHOWN_SIDE = 256  # pixels of a picture on the sheet, unless it is larger by itself
CRISP_SIDE = 96  # up to here a picture is enlarged as squares, beyond it smoothly
GAP, CAPTION_SIZE, SCORE_SIZE = 16, 22, 15
PAPER, INK, SOFT = "#ffffff", "#22211e", "#6b6860"


@dataclass(frozen=True)
class Picture:
    """One drawn picture and what is known about it."""

    prompt: str
    drawn: Drawn

    @property
    def image(self) -> Image.Image:
        """The picture itself, in the size the model draws."""
        return Image.fromarray(self.drawn.pixels)


class Painter:
    """The models that the newest run under `root` used, loaded once.

    Temperature, top-k and guidance are those of the run's own samples, where it has any.
    """

    def __init__(self, root: str | Path, *, gpu: bool = False) -> None:
        store = Store(str(root))
        inputs = Inputs({a.name: store.newest(a) for a in (BPE, DVAE, PRIOR, CLIP)})
        how = _settings_of_run(store).model_copy(update={"gpu": gpu})
        self.artist = load_artist(inputs, how)

    def draw(self, prompt: str, n: int = 16, seed: int = 0) -> list[Picture]:
        """Draw `n` candidates and return all, CLIP's favourite first.

        Candidate i is the same picture whatever `n` is. Raises ConfigError for an empty prompt.
        """
        prompt = prompt.strip()
        if not prompt or n < 1:
            raise ConfigError(
                f"wanted a prompt and at least one candidate, found '{prompt}' and {n}"
            )
        (ranked,) = self.artist.draw([prompt], range(n), seed)
        return [Picture(prompt, drawn) for drawn in ranked]


def _settings_of_run(store: Store) -> SampleSettings:
    try:
        folder = store.newest(SAMPLES)
    except ArtifactMissing:
        return SampleSettings()
    with folder.open(MANIFEST) as file:
        settings = Manifest.model_validate_json(file.read()).settings
    drawn_by = ("temperature", "top_k", "top_p", "guidance", "tile", "precision")
    return SampleSettings(**{name: settings[name] for name in drawn_by if name in settings})


def sheet(pictures: Sequence[Picture], columns: int = 4) -> Image.Image:
    """Lay ranked pictures of one prompt out in rows, each above its score, the prompt below.

    Nothing on it tells how many candidates there were, so equal choices give equal sheets.
    """
    shown = [_enlarged(picture.image) for picture in pictures]
    side, columns = shown[0].width, min(columns, len(shown))
    rows = -(-len(shown) // columns)
    width, below = columns * (side + GAP) + GAP, SCORE_SIZE + 14
    caption, score = ImageFont.load_default(CAPTION_SIZE), ImageFont.load_default(SCORE_SIZE)
    lines = _wrapped(pictures[0].prompt, caption, width - 2 * GAP)
    line_height = round(1.4 * CAPTION_SIZE)
    height = GAP + rows * (side + below + GAP) + line_height * len(lines) + GAP
    paper = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(paper)
    for index, (picture, image) in enumerate(zip(pictures, shown, strict=True)):
        left = GAP + index % columns * (side + GAP)
        top = GAP + index // columns * (side + below + GAP)
        paper.paste(image, (left, top))
        words = f"{picture.drawn.clip_score:.3f}  ·  no. {picture.drawn.candidate}"
        pen.text((left + side / 2, top + side + 8), words, SOFT, score, anchor="ma")
    for number, line in enumerate(lines):
        top = GAP + rows * (side + below + GAP) + number * line_height
        pen.text((width / 2, top), line, INK, caption, anchor="ma")
    return paper


def _enlarged(image: Image.Image) -> Image.Image:
    """Bring small pictures to SHOWN_SIDE, very small ones as crisp squares of whole pixels."""
    if image.width >= SHOWN_SIDE:
        return image
    whole = SHOWN_SIDE % image.width == 0 and image.width <= CRISP_SIDE
    resampling = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return image.resize((SHOWN_SIDE, SHOWN_SIDE), resampling)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    line = argparse.ArgumentParser(prog="python -m pipelines.draw", description=__doc__)
    line.add_argument("prompt")
    line.add_argument("--root", default="runs/demo", help="of a finished run (runs/demo)")
    line.add_argument("-n", type=int, default=16, metavar="N", help="candidates to draw (16)")
    line.add_argument("--top", type=int, default=4, metavar="K", help="best ones to show (4)")
    line.add_argument("--seed", type=int, default=0, help="another one, other pictures (0)")
    line.add_argument("--out", type=Path, metavar="FILE", help="sheet (PROMPT-SEED.png)")
    line.add_argument("--gpu", action="store_true", help="compute on the GPU")
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, write the sheet and print its path; return the exit code."""
    args = parser().parse_args(argv)
    try:
        if args.top < 1:
            raise ConfigError(f"--top wants at least one picture, found {args.top}")
        pictures = Painter(args.root, gpu=args.gpu).draw(args.prompt, n=args.n, seed=args.seed)
        out = args.out or Path(f"{slug(args.prompt)}-{args.seed}.png")
        text = {"prompt": pictures[0].prompt, "seed": str(args.seed)}
        out.write_bytes(encode_png(np.asarray(sheet(pictures[: args.top])), text))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
