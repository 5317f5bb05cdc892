"""Train CLIP to tell which picture belongs to which caption, so that it can pick the best of many.

Reads   clean_pairs  (rows.CLEAN_PAIR), bpe
Writes  clip         (safetensors + config, as the transformers library does; tokenizer)
Where   Ray Train, one worker per GPU; a pretrained CLIP is only copied
Paper   section 2.6; Radford et al. 2021
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from schemas import rows
from schemas.artifacts import BPE, CLEAN_PAIRS
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import ClipSettings
from stages import pictures, weights
from stages.data import augment
from stages.data.digests import digest_of
from stages.data.order import generator
from stages.data.table import Columns, Table, first, open_splits
from stages.models.bpe import Bpe
from stages.models.clip import OwnTokens, Reranker, Tokenize, contrastive_nats, fresh_reranker
from stages.models.r_precision import r_precision
from stages.pictures.tensors import to_tensor
from stages.storage import reaching
from stages.training import on_ray
from stages.training.distributed import with_a_row
from stages.training.task import Batch, Scalars, Task, Validation

REVISION = 2

VALIDATION_PAIRS = 512

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipTask(Task):
    """Each picture against all captions of the global batch, and the other way round."""

    columns = ("key", "caption", "image")

    cfg: ClipSettings
    train: Table
    held_out: Table
    bpe: Bpe
    name: str = "train_clip"

    def build(self) -> nn.Module:
        return fresh_reranker(self.cfg, side=self.cfg.side, bpe=self.bpe)

    def layers(self, model: nn.Module) -> list[nn.Module]:
        assert isinstance(model, Reranker)
        towers = model.clip.text_model, model.clip.vision_model
        return [layer for tower in towers for layer in tower.encoder.layers]

    def prepare(self, columns: Columns) -> Batch:
        """Crop as the prior's pictures are, near the centre and never mirrored; tokenize."""

        def crop(index: int, pixels: pictures.Pixels) -> pictures.Pixels:
            key, epoch = columns["key"][index], int(columns["epoch"][index])
            draw = generator(augment.row_seed(self.cfg.fit.seed, epoch, key))
            return pictures.crop_for_prior(pixels, self.cfg.side, draw)[0]

        pixels, indices = augment.decode_crops(columns["image"], crop, self.cfg.side)
        return {"pixels": pixels, "ids": self.tokenize(columns["caption"][indices].tolist())}

    @property
    def tokenize(self) -> OwnTokens:
        return OwnTokens(self.bpe, self.cfg.text_len)

    def loss_sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Sum the contrastive loss of this worker's pairs among the pairs of all workers."""
        pixels, ids = to_tensor(batch["pixels"]), batch["ids"].long()
        image, text, scale = with_a_row(model)(pixels, ids)
        own = slice(0, len(image))
        if dist.is_initialized() and dist.get_world_size() > 1:
            image, own = gather(image)
            text, _ = gather(text)
        with torch.autocast(image.device.type, enabled=False):
            return {"contrast": contrastive_nats(image, text, scale)[own].sum()}

    def loss_counts(self, batch: Batch) -> dict[str, int]:
        return {"contrast": len(batch["pixels"])}

    def loss_weights(self, step: int) -> dict[str, float]:
        return {"contrast": 1.0}

    def clamp_parameters(self, model: nn.Module) -> None:
        """Keep the inverse temperature from growing for ever."""
        assert isinstance(model, Reranker)
        model.clamp_scale()

    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure how often a held-out picture finds its own caption."""
        assert isinstance(model, Reranker)
        return Validation(measure(model, self.held_out, self.cfg))

    def export(self, model: nn.Module, out: Folder) -> None:
        assert isinstance(model, Reranker)
        weights.save_clip(out, model)


class AllReduceWithGradient(torch.autograd.Function):
    """Sum a tensor over all workers, and its gradient too."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def gather(own: Float[Tensor, "b d"]) -> tuple[Float[Tensor, "all d"], slice]:
    """Return the features of all workers, with gradients, and where this worker's are."""
    sizes = torch.zeros(dist.get_world_size(), dtype=torch.long, device=own.device)
    sizes[dist.get_rank()] = len(own)
    dist.all_reduce(sizes)
    stop = int(sizes[: dist.get_rank() + 1].sum())
    here = slice(stop - len(own), stop)
    every = own.new_zeros(int(sizes.sum()), own.shape[1])
    every[here] = own
    return AllReduceWithGradient.apply(every), here  # type: ignore[no-untyped-call]


def measure(model: Reranker, held_out: Table, cfg: ClipSettings) -> Scalars:
    """Return R-precision: how often a picture's own caption beats 99 other ones."""
    columns = first(held_out, ClipTask.columns, VALIDATION_PAIRS)
    pixels, indices = augment.held_out(columns["image"].tolist(), cfg.side)
    captions = columns["caption"][indices].tolist()
    device = next(model.parameters()).device
    parts = [slice(i, i + cfg.fit.batch_size) for i in range(0, len(pixels), cfg.fit.batch_size)]
    scores = model.scores((to_tensor(pixels[part].to(device)), captions[part]) for part in parts)
    found, chance = r_precision(scores.cpu().numpy(), captions)
    return {"r_precision": float(found.mean()), "r_precision_chance": chance}


def truncated(tokenize: Tokenize, held_out: Table) -> dict[str, int]:
    """Count validation captions longer than the text tower, and log it if there are any."""
    captions: Sequence[str] = first(held_out, ("caption",), VALIDATION_PAIRS)["caption"].tolist()
    cut = sum(map(tokenize.truncates, captions))
    if cut:
        LOG.info(
            "train_clip: %d of %d validation captions are cut off at CLIP's %d tokens",
            *(cut, len(captions), tokenize.text_len),
        )
    return {"validation_captions": len(captions), "truncated_captions": cut}


def outside(cfg: ClipSettings) -> dict[str, str]:
    """Return a digest of the pretrained CLIP: of a folder's files, or of a hub name itself."""
    if not cfg.pretrained:
        return {}
    with reaching(cfg.pretrained, "clip.pretrained"):
        return {"pretrained": digest_of(cfg.pretrained)}


def run(inputs: Inputs, out: Folder, cfg: ClipSettings) -> Result:
    """Train on all clean pairs, or copy a pretrained CLIP and measure it on them."""
    train, held_out = open_splits(inputs.folder(CLEAN_PAIRS), rows.CLEAN_PAIR)
    if cfg.pretrained:
        from stages.models.published_clip import pretrained_reranker  # imports transformers

        reranker = pretrained_reranker(cfg.pretrained)
        health = truncated(reranker.tokenize, held_out)
        with torch.no_grad():
            found = measure(reranker, held_out, cfg)
        weights.save_clip(out, reranker)
        return Result(rows_in=train.rows, rows_out=0, health=found | health)
    task = ClipTask(cfg, train, held_out, weights.load_bpe(inputs.folder(BPE)))
    health = truncated(task.tokenize, held_out)
    result = on_ray.train(task, cfg, out, rows=train.rows)
    return result.model_copy(update={"health": result.health | health})
