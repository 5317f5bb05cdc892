"""The models of a finished run, loaded once, and the pictures they draw; no Ray needed."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import torch
from einops import rearrange

from infra.store import Store
from pipelines.draw.draw_request import DrawRequest
from pipelines.draw.image_prompt import ImagePrompt, image_prompt
from schemas.artifacts import BPE, CLIP, DVAE, PRIOR, SAMPLES
from schemas.errors import ArtifactMissing, ConfigError
from schemas.folder import Inputs
from schemas.settings import ComputeRun, SampleSettings
from stages.models.sampling import SamplingParams
from stages.sample.generator import Picture, load_generator, ranked
from stages.sample.stage import slug

MODELS = (BPE, DVAE, PRIOR, CLIP)


class TextToImage:
    """The models that the newest run under `root` used, loaded once.

    Pictures are drawn as in the run's own samples, if it has any, unless a request says otherwise;
    so a candidate is the very picture that the run drew.
    """

    def __init__(self, root: str | Path, *, gpu: bool = False) -> None:
        inputs = models(root)
        if gpu:
            require_gpu()
        self.defaults = _settings_of_run(Store(str(root))).model_copy(
            update={"run": ComputeRun(gpu=gpu)}
        )
        self.generator = load_generator(inputs, self.defaults)
        self.takes_guidance = bool(inputs.manifest(PRIOR).settings.get("caption_dropout"))

    @property
    def tile(self) -> int:
        """Candidates that are drawn at once."""
        return self.generator.sampler.tile

    def draw(
        self, prompt: str, n: int = 16, seed: int = 0, image_prompt: ImagePrompt | None = None
    ) -> list[Picture]:
        """Draw `n` candidates and return all, the best first.

        Candidate i is the same picture whatever `n` is; with an image prompt each one completes it.
        Raises ConfigError for an empty prompt.
        """
        request = self.resolve(DrawRequest.of(prompt=prompt, candidates=n, seed=seed))
        return self.ranked(chain.from_iterable(self.tiles(request, image_prompt)))

    def ranked(self, pictures: Iterable[Picture]) -> list[Picture]:
        """Rank the pictures of one prompt as the run does."""
        return ranked(pictures, self.generator.rank_by)

    def image_prompt(self, picture: str | Path, rows: int | None = None) -> ImagePrompt:
        """Read a picture to complete, of which the top `rows` rows of codes are given."""
        return image_prompt(self.generator, str(picture), rows)

    def resolve(self, request: DrawRequest) -> DrawRequest:
        """Fill in the run's own sampling parameters where the request has none.

        Raises ConfigError for guidance with a prior that was trained with every caption.
        """
        missing = [name for name in SamplingParams._fields if getattr(request, name) is None]
        own = {name: getattr(self.defaults, name) for name in missing}
        request = request.model_copy(update=own)
        if request.guidance != 1 and not self.takes_guidance:
            found = str(request.guidance).removesuffix(".0")  # other numbers with all their digits
            raise ConfigError(
                f"guidance: wanted 1, found {found}, for this prior was trained with "
                "every caption; leave it at 1"
            )
        return request

    def tiles(
        self, request: DrawRequest, image_prompt: ImagePrompt | None = None
    ) -> Iterator[list[Picture]]:
        """Draw a resolved request's candidates 0, 1, ..., a tile at a time, not yet ranked."""
        given = None if image_prompt is None else rearrange(image_prompt.codes, "g -> 1 g")
        for first in range(0, request.candidates, self.tile):
            (drawn,) = self.generator.draw(
                [request.prompt],
                range(first, min(first + self.tile, request.candidates)),
                request.seed,
                sampling=request.sampling,
                given=given,
            )
            yield sorted(drawn, key=lambda picture: picture.candidate)

    def truncations(self, request: DrawRequest) -> list[str]:
        """Return a sentence for each model that cannot read the whole prompt."""
        sentences = []
        if self.generator.truncates(request.prompt):
            read = self.generator.tokens.text_len
            sentences.append(f"The prompt is too long: only its first {read} tokens are drawn.")
        if self.generator.clip.truncates(request.prompt):
            sentences.append("The prompt is too long for CLIP, which ranks by its beginning.")
        return sentences


def models(root: str | Path) -> Inputs:
    """Return the newest run's models; raise ArtifactMissing where one is not finished."""
    store = Store(str(root))
    return Inputs({artifact.name: store.newest(artifact) for artifact in MODELS})


def require_gpu() -> None:
    """Raise ConfigError where this machine has no GPU."""
    if not torch.cuda.is_available():
        raise ConfigError("--gpu: wanted a CUDA device, found none; leave it out")


def file_name(request: DrawRequest, candidate: int | None = None) -> str:
    """Name a request's sheet PROMPT-SEED.png, or one of its pictures PROMPT-SEED-CANDIDATE.png."""
    number = "" if candidate is None else f"-{candidate:03d}"
    return f"{slug(request.prompt)}-{request.seed}{number}.png"


def _settings_of_run(store: Store) -> SampleSettings:
    """Return how the run's own samples were drawn; the defaults if it has none.

    A tile that no setting gave was chosen by the stage, and is in the manifest's health.
    """
    try:
        folder = store.newest(SAMPLES)
    except ArtifactMissing:
        return SampleSettings()
    manifest = Inputs({SAMPLES.name: folder}).manifest(SAMPLES)
    known = manifest.settings | {"tile": manifest.health.get("tile", manifest.settings.get("tile"))}
    names = (*SamplingParams._fields, "tile", "precision", "rank_by")
    return SampleSettings(**{name: known[name] for name in names if name in known})
