"""From a prompt to ranked pictures: the prior writes codes, the dVAE paints them, CLIP chooses.

Paper: section 2.6. A picture and its score depend on (seed, prompt, candidate) alone: each of the
three models computes in lanes of one fixed size, with candidate i always in the same row of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from schemas.artifacts import BPE, CLIP, DVAE, PRIOR
from schemas.errors import ConfigError
from schemas.folder import Inputs
from schemas.settings import SampleSettings
from stages.models.bpe import Bpe
from stages.models.clip import Reranker
from stages.models.dvae import Dvae
from stages.models.odds import Odds, candidate_seed
from stages.models.sampler import Sampler, rows_of_lane
from stages.pictures import Pixels, from_tensor, to_tensor
from stages.sample.tile_size import tile_for_device
from stages.weights import load_bpe, load_clip, load_dvae, load_prior


@dataclass(frozen=True)
class Drawn:
    """One picture, and where it came in its prompt's ranking."""

    candidate: int
    seed: int
    clip_score: float  # cosine similarity with the prompt
    rank: int  # 0 = CLIP's favourite
    pixels: Pixels


@dataclass(frozen=True)
class Artist:
    """The four models, loaded once."""

    bpe: Bpe
    dvae: Dvae
    sampler: Sampler
    clip: Reranker
    odds: Odds
    device: str
    made_by: Mapping[str, str]  # fingerprints of the models, by artifact

    def draw(
        self,
        prompts: Sequence[str],
        candidates: range,
        seed: int,
        *,
        odds: Odds | None = None,
        given: Int[Tensor, "p g"] | None = None,
    ) -> list[list[Drawn]]:
        """Draw these candidates of every prompt; rank each prompt's, CLIP's favourite first.

        Candidates of a prompt may be drawn in several calls, if each begins with a whole lane:
        where `candidates.start` is a multiple of the tile. `odds` other than the artist's own take
        a moment before the first picture.
        """
        seeds = torch.tensor([[candidate_seed(seed, p, i) for i in candidates] for p in prompts])
        codes = self.sampler.draw(self.ids(prompts), seeds, odds or self.odds, given)
        return [
            self._ranked(prompt, candidates, own_seeds.tolist(), own_codes)
            for prompt, own_seeds, own_codes in zip(prompts, seeds, codes, strict=True)
        ]

    def about(
        self, prompt: str, drawn: Drawn, *, run_seed: int, odds: Odds | None = None
    ) -> dict[str, str]:
        """Return what a PNG says of its picture: all that is needed to draw it again.

        Nothing of it depends on the picture's rivals, and each number reads back as what it was.
        """
        found = {
            "prompt": prompt,
            "seed": drawn.seed,
            "candidate": drawn.candidate,
            "clip_score": drawn.clip_score,
            "run_seed": run_seed,
            **(odds or self.odds)._asdict(),
            "precision": self.sampler.precision,
            "tile": self.sampler.tile,
            **self.made_by,
        }
        return {name: str(value) for name, value in found.items()}

    @property
    def side(self) -> int:
        """Pixels per side of a picture."""
        return self.sampler.prior.tokens.side

    def ids(self, prompts: Sequence[str]) -> Int[Tensor, "p T"]:
        """Cut prompts into the tokens that the prior reads."""
        length = self.sampler.prior.tokens.text_len
        text = np.stack([self.bpe.ids(prompt, length)[0] for prompt in prompts])
        return torch.from_numpy(text.astype(np.int64)).to(self.device)

    def truncates(self, prompt: str) -> bool:
        """Say whether the prompt has more tokens than the prior reads."""
        return self.bpe.ids(prompt, self.sampler.prior.tokens.text_len)[2]

    @torch.inference_mode()
    def _ranked(
        self, prompt: str, candidates: range, seeds: list[int], codes: Int[Tensor, "n I"]
    ) -> list[Drawn]:
        text = self.clip.text_features([prompt])
        found = [
            scored
            for lane in _lanes(codes, rows_of_lane(self.sampler.tile))
            for scored in self._paint(lane, text)
        ]
        order = sorted(range(len(seeds)), key=lambda place: (-found[place][0], place))
        return [
            Drawn(candidates[place], seeds[place], found[place][0], rank, found[place][1])
            for rank, place in enumerate(order)
        ]

    def _paint(
        self, codes: Int[Tensor, "lane I"], text: Float[Tensor, "1 d"]
    ) -> list[tuple[float, Pixels]]:
        """Return score and picture of one lane's candidates; scored as stored, in 8 bits."""
        grids = rearrange(codes, "c (h w) -> c h w", h=self.sampler.prior.tokens.grid)
        pictures = from_tensor(self.dvae.decode(grids))
        image = self.clip.image_features(to_tensor(pictures).to(self.device))
        scores = (image @ text.T).squeeze(1)
        return list(zip(scores.tolist(), pictures, strict=True))


def _lanes(codes: Int[Tensor, "n I"], rows: int) -> Iterator[Int[Tensor, "rows I"]]:
    """Cut a prompt's candidates into lanes of equal size; the last repeats its first row."""
    for first in range(0, len(codes), rows):
        lane = codes[first : first + rows]
        yield torch.cat([lane, lane[:1].expand(rows - len(lane), -1)])


def load_artist(inputs: Inputs, cfg: SampleSettings) -> Artist:
    """Load the four models of a run; only what `cfg` says of how pictures are drawn is used.

    Raises ConfigError for guidance by a prior that never saw a picture without its caption.
    """
    if cfg.guidance != 1 and not inputs.manifest(PRIOR).settings.get("caption_dropout"):
        raise ConfigError(
            f"sample.guidance={cfg.guidance} wants a prior that was trained with some captions "
            "left out, found prior.caption_dropout=0; leave guidance at 1, or train the prior "
            "again with --set prior.caption_dropout=0.1"
        )
    device = "cuda" if cfg.run.gpu else "cpu"
    # in 32 bits the same codes on every device, nearly always
    torch.backends.cuda.matmul.allow_tf32 = cfg.precision == "bfloat16"
    tile = cfg.tile or tile_for_device(inputs, cfg)
    sampler = Sampler(load_prior(inputs.folder(PRIOR)), tile=tile, precision=cfg.precision)
    sampler.prior.to(device)
    return Artist(
        bpe=load_bpe(inputs.folder(BPE)),
        dvae=load_dvae(inputs.folder(DVAE)).to(device),
        sampler=sampler,
        clip=load_clip(inputs.folder(CLIP)).to(device),
        odds=Odds(cfg.temperature, cfg.top_k, cfg.top_p, cfg.guidance),
        device=device,
        made_by={a.name: inputs.manifest(a).fingerprint for a in (BPE, PRIOR, DVAE, CLIP)},
    )
