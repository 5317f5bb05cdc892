"""Teach the prior to continue a caption with the codes of its picture.

Reads   token_pairs  (rows.token_pair), bpe (for BPE dropout), dvae (to look at samples)
Writes  prior        (safetensors + config)
Where   Ray Train, one worker per GPU
Paper   section 2.2, appendix B.2
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from schemas import rows
from schemas.artifacts import BPE, DVAE, TOKEN_PAIRS, TRAIN, VAL
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import PriorSettings, PriorShape
from stages import pictures
from stages.models.bpe import Bpe
from stages.models.flops import prior_flops
from stages.models.odds import candidate_seed
from stages.models.prior import Prior, prior_terms
from stages.models.sampler import Sampler
from stages.training import augment, on_ray, weights
from stages.training.intact import require_intact
from stages.training.order import generator
from stages.training.record import Scalars
from stages.training.rows import prepared_batches
from stages.training.spread import with_a_row
from stages.training.table import Columns, Table, first, open_table, require_rows
from stages.training.task import Batch, Place, Validation, Work

REVISION = 4

COLUMNS = ("key", "caption", "text", "image")
AHEAD = 8  # batches prepared before they are needed
VALIDATION_PAIRS = 1_024
MEASURED_AT_ONCE = 16  # of them: in float32, beside all that training holds
PROMPTS, CANDIDATES = 4, 4  # of a contact sheet: one row for each validation caption


@dataclass(frozen=True)
class PriorTask:
    """Next-token prediction: the text counts 1/8, the image 7/8."""

    cfg: PriorSettings
    train: Table
    held_out: Table
    bpe: Bpe
    dvae: Folder
    name: str = "train_prior"

    def build(self) -> nn.Module:
        """Return a fresh transformer."""
        return Prior(self.cfg.tokens, shape_of(self.cfg))

    def blocks(self, model: nn.Module) -> list[nn.Module]:
        """Return the layers."""
        assert isinstance(model, Prior)
        return list(model.blocks)

    def work(self) -> Work:
        """Count tokens, and three forward passes."""
        tokens = self.cfg.tokens
        return Work(
            "tokens",
            tokens.text_len + tokens.image_len,
            3 * prior_flops(tokens, shape_of(self.cfg)),
            self.cfg,
        )

    def batches(self, step: int, place: Place) -> Iterator[Batch]:
        """Yield token pairs, captions cut into tokens anew each time they are seen."""
        return prepared_batches(
            self.train,
            COLUMNS,
            self.prepare,
            fit=self.cfg.fit,
            step=step,
            place=place,
            threads=1,
            depth=AHEAD,
        )

    def prepare(self, columns: Columns) -> Batch:
        """Cut captions with BPE dropout (section 2.2, footnote 5), or take the stored tokens.

        A share of the captions is left out, where sampling wants guidance.
        """
        if self.cfg.bpe_dropout > 0:
            text = np.stack([self.retokenize(*row) for row in captions_of(columns)])
            columns = columns | {"text": text}
        if self.cfg.caption_dropout > 0:
            unsaid = np.array([self.leaves_out(*row) for row in captions_of(columns)])
            text = np.where(unsaid[:, None], self.cfg.tokens.text_vocab, columns["text"])
            columns = columns | {"text": text}
        return tokens_of(columns)

    def leaves_out(self, key: str, caption: str, epoch: int) -> bool:
        """Say whether the picture is seen without its caption in this epoch."""
        seed = augment.row_seed(self.cfg.fit.seed, epoch, key)
        return generator(seed, 1).random() < self.cfg.caption_dropout  # 1: not BPE dropout's draws

    def retokenize(self, key: str, caption: str, epoch: int) -> np.ndarray:
        """Cut one caption as its own random numbers of this epoch say."""
        seed = augment.row_seed(self.cfg.fit.seed, epoch, key)
        length = self.cfg.tokens.text_len
        return self.bpe.ids(caption, length, dropout=self.cfg.bpe_dropout, seed=seed)[0]

    def counts(self, batch: Batch) -> dict[str, int]:
        """Count tokens of each kind, pads included."""
        return {"text": batch["text"].numel(), "image": batch["image"].numel()}

    def weights(self, step: int) -> dict[str, float]:
        """Weigh the two kinds as section 2.2 does."""
        return {"text": self.cfg.text_weight, "image": 1 - self.cfg.text_weight}

    def schedule(self, step: int) -> Scalars:
        """Return nothing: only the step size changes."""
        return {}

    def sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Sum the nats of each kind of token."""
        terms = prior_terms(with_a_row(model), batch["text"].long(), batch["image"].long())
        return {"text": terms.text, "image": terms.image}

    def bound(self, model: nn.Module) -> None:
        """Leave the weights as they are."""

    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure nats per token on held-out pairs, and draw some of their captions."""
        assert isinstance(model, Prior)
        columns = first(self.held_out, COLUMNS, VALIDATION_PAIRS)
        scalars = measure(model, tokens_of(columns))
        scalars["validation_loss"] = sum(
            weight * scalars[f"validation_{name}"] for name, weight in self.weights(step).items()
        )
        if not math.isfinite(scalars["validation_loss"]):
            return Validation(scalars)  # codes cannot be drawn by odds that are no numbers
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
        codes = Sampler(model, tile=CANDIDATES, record=False).draw(text, seeds).cpu()
        grids = rearrange(codes, "p n (h w) -> (p n) h w", h=self.cfg.tokens.grid)
        dvae = weights.load_dvae(self.dvae)  # on the CPU: a few pictures do not need more
        tiles = list(pictures.from_tensor(dvae.decode(grids)))
        text_chunks = {f"row {n}": caption for n, caption in enumerate(captions)}
        return pictures.encode_png(pictures.contact_sheet(tiles, CANDIDATES), text_chunks)

    def export(self, model: nn.Module, out: Folder) -> None:
        """Write the artifact."""
        sizes = weights.PriorConfig(shape=shape_of(self.cfg), tokens=self.cfg.tokens)
        weights.save_model(out, model, sizes)


def shape_of(cfg: PriorSettings) -> PriorShape:
    """Return only the sizes of the transformer."""
    return PriorShape(**{name: getattr(cfg, name) for name in PriorShape.model_fields})


def captions_of(columns: Columns) -> Iterator[tuple[str, str, int]]:
    """Yield key, caption and epoch of each row."""
    return zip(columns["key"], columns["caption"], columns["epoch"].tolist(), strict=True)


def tokens_of(columns: Columns) -> Batch:
    """Turn the token columns into tensors of 16 bits, which only the model's input widens."""
    return {name: torch.from_numpy(columns[name]) for name in ("text", "image")}


def measure(model: Prior, tokens: Batch) -> Scalars:
    """Return nats per token of each kind."""
    device = next(model.parameters()).device
    nats, count = {"text": 0.0, "image": 0.0}, {"text": 0, "image": 0}
    for start in range(0, len(tokens["text"]), MEASURED_AT_ONCE):
        part = {k: v[start : start + MEASURED_AT_ONCE].to(device).long() for k, v in tokens.items()}
        terms = prior_terms(model, part["text"], part["image"])
        nats["text"] += terms.text.item()
        nats["image"] += terms.image.item()
        count["text"] += terms.text_tokens
        count["image"] += terms.image_tokens
    return {f"validation_{name}": nats[name] / count[name] for name in nats}


def promised(inputs: Inputs, cfg: PriorSettings) -> dict[str, str]:
    """Say what the token shards must have been made with, as they say it themselves."""
    made_with = {"format_version": rows.TOKEN_FORMAT}
    for artifact in (DVAE, BPE):
        manifest = inputs.manifest(artifact)
        made_with[f"{artifact.name}_fingerprint"] = manifest.fingerprint
        made_with[f"{artifact.name}_sha256"] = manifest.content_sha256
    sizes = {name: str(getattr(cfg.tokens, name)) for name in type(cfg.tokens).model_fields}
    return made_with | sizes


def run(inputs: Inputs, out: Folder, cfg: PriorSettings) -> Result:
    """Train on all token pairs, once their shards are known to be whole and to fit both models."""
    folder, made_with = inputs.folder(TOKEN_PAIRS), promised(inputs, cfg)
    schema = rows.token_pair(text_len=cfg.tokens.text_len, grid=cfg.tokens.grid)
    train = require_rows(open_table(folder, TRAIN, schema, made_with), TRAIN)
    held_out = open_table(folder, VAL, schema, made_with)
    require_intact(folder, inputs.manifest(TOKEN_PAIRS), (TRAIN, VAL), train.rows + held_out.rows)
    task = PriorTask(
        cfg,
        train,
        held_out if held_out.rows else train,
        weights.load_bpe(inputs.folder(BPE)),
        inputs.folder(DVAE),
    )
    return on_ray.train(task, cfg, out, rows=train.rows)
