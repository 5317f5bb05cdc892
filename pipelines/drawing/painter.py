"""The models of a finished run, loaded once, and the pictures they draw; no Ray needed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from einops import rearrange
from PIL import Image

from infra.store import Store
from pipelines.drawing.given import Given, given
from pipelines.drawing.wish import HOW, Wish
from schemas.artifacts import BPE, CLIP, DVAE, PRIOR, SAMPLES
from schemas.errors import ArtifactMissing, ConfigError
from schemas.folder import Inputs
from schemas.manifest import MANIFEST, Manifest
from schemas.settings import ComputeRun, SampleSettings
from stages.models.odds import Odds
from stages.pictures import encode_png
from stages.sample.artist import Drawn, load_artist
from stages.sample.stage import slug

MODELS = (BPE, DVAE, PRIOR, CLIP)
DRAWN_BY = (*HOW, "tile", "precision")


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

    How codes are drawn is as in the run's own samples, where it has any, unless a wish says
    otherwise; so a candidate is the picture that the run drew of it.
    """

    def __init__(self, root: str | Path, *, gpu: bool = False) -> None:
        inputs = models(root)
        if gpu:
            require_gpu()
        self.how = _settings_of_run(Store(str(root))).model_copy(
            update={"run": ComputeRun(gpu=gpu)}
        )
        self.artist = load_artist(inputs, self.how)
        self.takes_guidance = bool(inputs.manifest(PRIOR).settings.get("caption_dropout"))

    @property
    def side(self) -> int:
        """Height and width of a picture, in pixels."""
        return self.artist.side

    @property
    def codes(self) -> int:
        """Different codes that a picture is written in."""
        return self.artist.sampler.prior.tokens.image_vocab

    @property
    def tile(self) -> int:
        """Pictures that are drawn at a time."""
        return self.artist.sampler.tile

    def draw(
        self, prompt: str, n: int = 16, seed: int = 0, given: Given | None = None
    ) -> list[Picture]:
        """Draw `n` candidates and return all, CLIP's favourite first; all complete what is given.

        Candidate i is the same picture whatever `n` is. Raises ConfigError for an empty prompt.
        """
        tiles = self.tiles(self.settled(Wish.of(prompt=prompt, candidates=n, seed=seed)), given)
        return ranked(chain.from_iterable(tiles))

    def given(self, picture: str | Path, rows: int | None = None) -> Given:
        """Take the top of a picture; see `drawing.given`."""
        return given(self.artist, str(picture), rows)

    def settled(self, wish: Wish) -> Wish:
        """Return the wish with the run's own settings where it has none.

        Raises ConfigError for guidance by a prior that never saw a picture without its caption.
        """
        own = {name: getattr(self.how, name) for name in wish.how() if wish.how()[name] is None}
        wish = wish.model_copy(update=own)
        if wish.guidance != 1 and not self.takes_guidance:
            found = str(wish.guidance).removesuffix(".0")  # of any other number every digit
            raise ConfigError(
                f"guidance: wanted 1, found {found}, for this prior was trained with "
                "every caption; leave it at 1"
            )
        return wish

    def tiles(self, wish: Wish, given: Given | None = None) -> Iterator[list[Picture]]:
        """Draw a settled wish's candidates 0, 1, ..., a tile at a time; none has its rank yet."""
        odds = Odds(**wish.how())
        codes = None if given is None else rearrange(given.codes, "g -> 1 g")
        for first in range(0, wish.candidates, self.tile):
            numbers = range(first, min(first + self.tile, wish.candidates))
            (drawn,) = self.artist.draw([wish.prompt], numbers, wish.seed, odds=odds, given=codes)
            in_order = sorted(drawn, key=lambda one: one.candidate)
            yield [Picture(wish.prompt, one) for one in in_order]

    def cut(self, wish: Wish) -> list[str]:
        """Say, a sentence for each model, what was too long of the prompt to be read."""
        found = []
        if self.artist.truncates(wish.prompt):
            read = self.artist.sampler.prior.tokens.text_len
            found.append(f"The prompt is too long: only its first {read} tokens are drawn.")
        if self.artist.clip.truncates(wish.prompt):
            found.append("The prompt is too long for CLIP, which ranks by its beginning.")
        return found

    def png(self, picture: Picture, wish: Wish) -> bytes:
        """Return a PNG that says how to draw it again, as the sample stage does."""
        odds = Odds(**wish.how())
        about = self.artist.about(picture.prompt, picture.drawn, run_seed=wish.seed, odds=odds)
        return encode_png(picture.drawn.pixels, about)


def models(root: str | Path) -> Inputs:
    """Return the models that the newest run used; raise ArtifactMissing where one is unfinished."""
    store = Store(str(root))
    return Inputs({artifact.name: store.newest(artifact) for artifact in MODELS})


def require_gpu() -> None:
    """Raise ConfigError where this machine has no GPU."""
    if not torch.cuda.is_available():
        raise ConfigError("--gpu: wanted a CUDA device, found none; leave it out")


def ranked(pictures: Iterable[Picture]) -> list[Picture]:
    """Sort a prompt's pictures, CLIP's favourite first, and say which place each has."""
    order = sorted(pictures, key=lambda one: (-one.drawn.clip_score, one.drawn.candidate))
    return [
        replace(picture, drawn=replace(picture.drawn, rank=rank))
        for rank, picture in enumerate(order)
    ]


def file_name(wish: Wish, candidate: int | None = None) -> str:
    """Name a wish's sheet, or one picture of it: letters and digits of the prompt, and numbers."""
    number = "" if candidate is None else f"-{candidate:03d}"
    return f"{slug(wish.prompt)}-{wish.seed}{number}.png"


def _settings_of_run(store: Store) -> SampleSettings:
    """Return how the run's own samples were drawn, and in which tiles; the defaults if it has none.

    A tile that nobody had set was chosen by the stage, and is in what it measured.
    """
    try:
        folder = store.newest(SAMPLES)
    except ArtifactMissing:
        return SampleSettings()
    with folder.open(MANIFEST) as file:
        manifest = Manifest.model_validate_json(file.read())
    known = {
        **manifest.settings,
        "tile": manifest.health.get("tile", manifest.settings.get("tile")),
    }
    return SampleSettings(**{name: known[name] for name in DRAWN_BY if name in known})
