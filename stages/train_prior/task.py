"""The prior's data (captions and codes), loss (next-token prediction) and validation."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from schemas.folder import Folder
from schemas.settings import PriorSettings
from stages import pictures, weights
from stages.data import augment
from stages.data.order import generator
from stages.data.table import PRIOR_VALIDATION_ROWS, Columns, Table, first
from stages.models.bpe import Bpe
from stages.models.flops import prior_flops
from stages.models.prior import Prior, prior_terms
from stages.models.sampler import Sampler
from stages.models.sampling import candidate_seed
from stages.pictures.tensors import from_tensor
from stages.training.distributed import with_a_row
from stages.training.loss_band import LossBand, loss_band_of
from stages.training.task import VALIDATION_LOSS, Batch, Scalars, Task, Validation

VALIDATION_BATCH_SIZE = 16  # in float32, beside all that training holds
PROMPTS, CANDIDATES = 4, 4  # of a contact sheet: one row for each validation caption


@dataclass(frozen=True)
class PriorTask(Task):
    """Next-token prediction: the text counts 1/8, the image 7/8."""

    columns = ("key", "caption", "text", "image")
    prefetched = 8

    cfg: PriorSettings
    train: Table
    held_out: Table
    bpe: Bpe
    dvae: Folder
    name: str = "train_prior"

    def build(self) -> nn.Module:
        return Prior(self.cfg.tokens, self.cfg, self.cfg.dropout)

    def layers(self, model: nn.Module) -> list[nn.Module]:
        assert isinstance(model, Prior)
        return list(model.blocks)

    def tokens_per_row(self) -> int:
        return self.cfg.tokens.text_len + self.cfg.tokens.image_len

    def flops_per_row(self) -> float:
        return 3 * prior_flops(self.cfg.tokens, self.cfg)

    def loss_band(self) -> LossBand | None:
        return loss_band_of(self.cfg)

    def data_threads(self) -> int:
        return 1  # there is little to prepare, and it holds the interpreter's lock

    def prepare(self, columns: Columns) -> Batch:
        """Tokenize captions with BPE dropout (section 2.2, footnote 5), or take the stored tokens.

        A share of the captions is replaced by the empty one, for classifier-free guidance.
        """
        if self.cfg.bpe_dropout > 0:
            text = np.stack([self.retokenize(*row) for row in captions_of(columns)])
            columns = columns | {"text": text}
        if self.cfg.caption_dropout > 0:
            dropped = np.array([self.drops_caption(*row) for row in captions_of(columns)])
            text = np.where(dropped[:, None], self.cfg.tokens.text_vocab, columns["text"])
            columns = columns | {"text": text}
        return tokens_of(columns)

    def drops_caption(self, key: str, caption: str, epoch: int) -> bool:
        """Draw whether the picture is seen without its caption in this epoch."""
        seed = augment.row_seed(self.cfg.fit.seed, epoch, key)
        return generator(seed, 1).random() < self.cfg.caption_dropout  # 1: not BPE dropout's draws

    def retokenize(self, key: str, caption: str, epoch: int) -> np.ndarray:
        """Tokenize one caption with the random numbers of its row and epoch."""
        seed = augment.row_seed(self.cfg.fit.seed, epoch, key)
        length = self.cfg.tokens.text_len
        return self.bpe.encode_padded(caption, length, dropout=self.cfg.bpe_dropout, seed=seed)[0]

    def loss_sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Sum the cross-entropy of each kind of token, in nats."""
        terms = prior_terms(with_a_row(model), batch["text"].long(), batch["image"].long())
        return {"text": terms.text, "image": terms.image}

    def loss_counts(self, batch: Batch) -> dict[str, int]:
        """Count tokens of each kind, pads included."""
        return {"text": batch["text"].numel(), "image": batch["image"].numel()}

    def loss_weights(self, step: int) -> dict[str, float]:
        """Weigh the two kinds as section 2.2 does."""
        return {"text": self.cfg.text_weight, "image": 1 - self.cfg.text_weight}

    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure nats per token on held-out pairs, and draw some of their captions."""
        assert isinstance(model, Prior)
        columns = first(self.held_out, self.columns, PRIOR_VALIDATION_ROWS)
        scalars = measure(model, tokens_of(columns))
        scalars[VALIDATION_LOSS] = sum(
            weight * scalars[f"validation_{name}"]
            for name, weight in self.loss_weights(step).items()
        )
        if not math.isfinite(scalars[VALIDATION_LOSS]):
            return Validation(scalars)  # no code can be sampled if probabilities are not numbers
        return Validation(scalars, {"samples": self.contact_sheet(model, columns)})

    def contact_sheet(self, model: Prior, columns: Columns) -> bytes:
        """Draw the first few held-out captions, one a row; the captions are in the PNG's text."""
        device = next(model.parameters()).device
        captions = columns["caption"][:PROMPTS].tolist()
        text = torch.from_numpy(columns["text"][:PROMPTS].astype(np.int64)).to(device)
        seed = self.cfg.fit.seed
        seeds = torch.tensor(
            [[candidate_seed(seed, caption, i) for i in range(CANDIDATES)] for caption in captions]
        )
        codes = Sampler(model, tile=CANDIDATES, record=False).draw(text, seeds).codes.cpu()
        grids = rearrange(codes, "p n (h w) -> (p n) h w", h=self.cfg.tokens.grid)
        dvae = weights.load_dvae(self.dvae)  # on the CPU: a few pictures do not need more
        tiles = list(from_tensor(dvae.decode(grids)))
        text_chunks = {f"row {n}": caption for n, caption in enumerate(captions)}
        return pictures.encode_png(pictures.contact_sheet(tiles, CANDIDATES), text_chunks)

    def export(self, model: nn.Module, out: Folder) -> None:
        sizes = weights.PriorConfig(shape=self.cfg, tokens=self.cfg.tokens)
        weights.save_model(out, model, sizes)


def captions_of(columns: Columns) -> Iterator[tuple[str, str, int]]:
    return zip(columns["key"], columns["caption"], columns["epoch"].tolist(), strict=True)


def tokens_of(columns: Columns) -> Batch:
    """Turn the token columns into tensors of 16 bits, which only the model's input widens."""
    return {name: torch.from_numpy(columns[name]) for name in ("text", "image")}


def measure(model: Prior, tokens: Batch) -> Scalars:
    device = next(model.parameters()).device
    nats = {"text": 0.0, "image": 0.0}
    for start in range(0, len(tokens["text"]), VALIDATION_BATCH_SIZE):
        part = {
            k: v[start : start + VALIDATION_BATCH_SIZE].to(device).long() for k, v in tokens.items()
        }
        terms = prior_terms(model, part["text"], part["image"])
        nats["text"] += terms.text.item()
        nats["image"] += terms.image.item()
    return {f"validation_{name}": nats[name] / tokens[name].numel() for name in nats}
