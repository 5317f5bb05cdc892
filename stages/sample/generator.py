"""From a prompt to ranked pictures: the prior draws codes, the dVAE decodes, CLIP scores them.

Paper: section 2.6. A picture and its score depend on (seed, prompt, candidate) alone: each of the
three models computes lanes of one fixed size, with candidate i always in the same row of its lane.

Dimensions: p prompts, n candidates, T text length, I image length, g given codes, d features.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from schemas.artifacts import BPE, CLIP, DVAE, PRIOR
from schemas.errors import ConfigError
from schemas.folder import Inputs
from schemas.settings import RankBy, SampleSettings, TokenSpec, rows_of_lane
from stages.models.bpe import Bpe
from stages.models.clip import Reranker
from stages.models.dvae import Dvae
from stages.models.ranking import best_first, is_flat
from stages.models.sampler import DrawnCodes, Sampler
from stages.models.sampling import SamplingParams, candidate_seed
from stages.pictures import Pixels, encode_png
from stages.pictures.tensors import from_tensor, to_tensor
from stages.sample.tile_size import tile_for_device
from stages.weights import load_bpe, load_clip, load_dvae, load_prior


@dataclass(frozen=True)
class Picture:
    """One candidate of a prompt, and its rank among those it was drawn with."""

    prompt: str
    candidate: int
    seed: int
    clip_score: float  # cosine similarity with the prompt
    log_likelihood: float  # of its codes by the prior, in nats
    rank: int  # 0 is the best
    pixels: Pixels

    @property
    def image(self) -> Image.Image:
        """The picture as a PIL image, in the size the model draws."""
        return Image.fromarray(self.pixels)


def ranked(pictures: Iterable[Picture], rank_by: RankBy) -> list[Picture]:
    """Sort a prompt's pictures, the best first, and number their ranks."""
    drawn = sorted(pictures, key=lambda one: one.candidate)
    scores, nats = [one.clip_score for one in drawn], [one.log_likelihood for one in drawn]
    order = best_first(scores, nats, [is_flat(one.pixels) for one in drawn], rank_by)
    return [replace(drawn[place], rank=rank) for rank, place in enumerate(order)]


@dataclass(frozen=True)
class Generator:
    """The four models of a run, loaded once, and how they draw unless told otherwise."""

    bpe: Bpe
    dvae: Dvae
    sampler: Sampler
    clip: Reranker
    sampling: SamplingParams
    rank_by: RankBy
    device: str
    fingerprints: Mapping[str, str]  # of the models, by artifact

    def draw(
        self,
        prompts: Sequence[str],
        candidates: range,
        seed: int,
        *,
        sampling: SamplingParams | None = None,
        given: Int[Tensor, "p g"] | None = None,
    ) -> list[list[Picture]]:
        """Draw these candidates of every prompt; rank each prompt's, the best first.

        Candidates of a prompt may be drawn in several calls, if `candidates.start` is a multiple of
        the tile. Other `sampling` than in the last call costs a moment before the first picture.
        """
        seeds = torch.tensor([[candidate_seed(seed, p, i) for i in candidates] for p in prompts])
        drawn = self.sampler.draw(self.tokenize(prompts), seeds, sampling or self.sampling, given)
        return [
            self._ranked(prompt, candidates, own_seeds.tolist(), DrawnCodes(*own))
            for prompt, own_seeds, *own in zip(prompts, seeds, *drawn, strict=True)
        ]

    def png(
        self,
        picture: Picture,
        run_seed: int,
        sampling: SamplingParams | None = None,
        given: Mapping[str, str] | None = None,
    ) -> bytes:
        """Encode a picture with all that is needed to draw it again, in the PNG's text.

        The bytes do not depend on other candidates, and each number reads back exactly.
        """
        text = {
            "prompt": picture.prompt,
            "seed": picture.seed,
            "candidate": picture.candidate,
            "clip_score": picture.clip_score,
            "run_seed": run_seed,
            **(sampling or self.sampling)._asdict(),
            "precision": self.sampler.precision,
            "tile": self.sampler.tile,
            **self.fingerprints,
            **(given or {}),
        }
        return encode_png(picture.pixels, {name: str(value) for name, value in text.items()})

    @property
    def tokens(self) -> TokenSpec:
        """Sizes of text and image: `tokens.side` is a picture's height and width in pixels."""
        return self.sampler.prior.tokens

    def tokenize(self, prompts: Sequence[str]) -> Int[Tensor, "p T"]:
        """Return the ids that the prior reads, on its device."""
        length = self.tokens.text_len
        text = np.stack([self.bpe.encode_padded(prompt, length).ids for prompt in prompts])
        return torch.from_numpy(text.astype(np.int64)).to(self.device)

    def truncates(self, prompt: str) -> bool:
        """Say whether the prompt has more tokens than the prior reads."""
        return self.bpe.encode_padded(prompt, self.tokens.text_len).truncated

    @torch.inference_mode()
    def _ranked(
        self, prompt: str, candidates: range, seeds: list[int], drawn: DrawnCodes
    ) -> list[Picture]:
        text = self.clip.text_features([prompt])
        lanes = _lanes(drawn.codes, rows_of_lane(self.sampler.tile))
        scored = [one for lane in lanes for one in self._decode(lane, text)]
        likely = drawn.log_likelihood.tolist()
        return ranked(
            (
                Picture(prompt, candidate, seed, score, nats, 0, pixels)
                for candidate, seed, nats, (score, pixels) in zip(
                    candidates, seeds, likely, scored, strict=False
                )
            ),
            self.rank_by,
        )

    def _decode(
        self, codes: Int[Tensor, "lane I"], text: Float[Tensor, "1 d"]
    ) -> list[tuple[float, Pixels]]:
        """Return score and pixels of one lane's candidates; scored as stored, in 8 bits."""
        grids = rearrange(codes, "c (h w) -> c h w", h=self.tokens.grid)
        pictures = from_tensor(self.dvae.decode(grids))
        image = self.clip.image_features(to_tensor(pictures).to(self.device))
        scores = (image @ text.T).squeeze(1)
        return list(zip(scores.tolist(), pictures, strict=True))


def _lanes(codes: Int[Tensor, "n I"], rows: int) -> Iterator[Int[Tensor, "rows I"]]:
    """Cut a prompt's candidates into lanes of equal size; the last one repeats its first row."""
    for first in range(0, len(codes), rows):
        lane = codes[first : first + rows]
        yield torch.cat([lane, lane[:1].expand(rows - len(lane), -1)])


def load_generator(inputs: Inputs, cfg: SampleSettings) -> Generator:
    """Load the four models of a run; of `cfg` only how pictures are drawn is used.

    Raises ConfigError for guidance with a prior that was trained with every caption.
    """
    if cfg.guidance != 1 and not inputs.manifest(PRIOR).settings.get("caption_dropout"):
        raise ConfigError(
            f"sample.guidance={cfg.guidance} wants a prior that was trained with some captions "
            "left out, found prior.caption_dropout=0; leave guidance at 1, or train the prior "
            "again with --set prior.caption_dropout=0.1"
        )
    device = "cuda" if cfg.run.gpu else "cpu"
    # with float32 the same codes on every device, nearly always
    torch.backends.cuda.matmul.allow_tf32 = cfg.precision == "bfloat16"
    tile = cfg.tile or tile_for_device(inputs, cfg)
    sampler = Sampler(load_prior(inputs.folder(PRIOR)), tile=tile, precision=cfg.precision)
    sampler.prior.to(device)
    return Generator(
        bpe=load_bpe(inputs.folder(BPE)),
        dvae=load_dvae(inputs.folder(DVAE)).to(device),
        sampler=sampler,
        clip=load_clip(inputs.folder(CLIP)).to(device),
        sampling=SamplingParams(cfg.temperature, cfg.top_k, cfg.top_p, cfg.guidance),
        rank_by=cfg.rank_by,
        device=device,
        fingerprints={a.name: inputs.manifest(a).fingerprint for a in (BPE, PRIOR, DVAE, CLIP)},
    )
