"""Teach the discrete VAE to draw any picture again from a grid of codes.

Reads   clean_pairs  (rows.CLEAN_PAIR)
Writes  dvae         (safetensors + config)
Where   Ray Train, one worker per GPU
Paper   section 2.1, appendices A.2 and A.3
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from schemas import rows
from schemas.artifacts import CLEAN_PAIRS, TRAIN, VAL
from schemas.configs import DvaeJob, DvaeShape
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from stages import pictures
from stages.models.dvae import Dvae, code_counts, codebook_health, elbo_terms, psnr
from stages.training import augment, on_ray, schedules, weights
from stages.training.record import Scalars
from stages.training.rows import (
    Columns,
    Table,
    batches,
    first,
    open_table,
    prepare_ahead,
    require_rows,
)
from stages.training.task import Batch, Place

REVISION = 1

COLUMNS = ("key", "image")
AHEAD = 4  # batches prepared before they are needed
VALIDATION_PICTURES = 256
SHOWN = 8  # of them on a sheet, above what became of them
ENOUGH_DECIBELS = 1.0  # above the best picture of a single colour: less is a collapse


@dataclass(frozen=True)
class DvaeTask:
    """The bound of equation 1, relaxed, under three schedules."""

    cfg: DvaeJob
    train: Table
    held_out: Table
    name: str = "train_dvae"

    def build(self) -> nn.Module:
        """Return a fresh model, laid out as convolutions like it."""
        model = Dvae(shape_of(self.cfg), self.cfg.image_vocab)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(self, step: int, place: Place) -> Iterator[Batch]:
        """Yield cropped pictures, one random crop per picture and epoch."""
        fit = self.cfg.fit
        raw = batches(
            self.train,
            COLUMNS,
            seed=fit.seed,
            batch_size=fit.batch_size,
            step=step,
            rank=place.rank,
            world=place.world,
        )
        return prepare_ahead(raw, self.prepare, threads=max(1, fit.threads // 2), depth=AHEAD)

    def prepare(self, columns: Columns) -> Batch:
        """Decode and crop as listing 1 of the paper does."""

        def crop(place: int, pixels: pictures.Pixels) -> pictures.Pixels:
            key, epoch = columns["key"][place], int(columns["epoch"][place])
            draw = augment.row_generator(self.cfg.fit.seed, epoch, key)
            return pictures.crop_for_dvae(pixels, self.cfg.side, draw)

        return {"pixels": augment.readable(columns["image"], crop)[0]}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Count pixel values and codes."""
        number = len(batch["pixels"])
        side = self.cfg.side
        return {"reconstruction": number * 3 * side**2, "kl": number * (side // 8) ** 2}

    def weights(self, step: int) -> dict[str, float]:
        """Divide the whole bound by the number of pixel values, so that the KL weighs beta/192."""
        return {"reconstruction": 1.0, "kl": self.schedule(step)["beta"] / (3 * 8**2)}

    def schedule(self, step: int) -> Scalars:
        """Return the KL weight and the temperature of an update (appendix A.2)."""
        cfg = self.cfg
        along = partial(schedules.cosine, step)
        return {
            "beta": along(length=cfg.beta_ramp_share * cfg.fit.steps, start=0.0, end=cfg.beta),
            "temperature": along(
                length=cfg.temperature_share * cfg.fit.steps,
                start=cfg.temperature_start,
                end=cfg.temperature_end,
            ),
        }

    def sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Sum the nats of both sides of the bound."""
        pixels = augment.unit(batch["pixels"])
        terms = elbo_terms(model, pixels, self.schedule(step)["temperature"])
        return {"reconstruction": terms.reconstruction, "kl": terms.kl}

    def validate(self, model: nn.Module, step: int) -> tuple[Scalars, dict[str, bytes]]:
        """Measure what encode and the prior will see: codes without noise."""
        assert isinstance(model, Dvae)
        columns = first(self.held_out, COLUMNS, VALIDATION_PICTURES)
        centre = partial(pictures.crop_centre, side=self.cfg.side)
        pixels, _ = augment.readable(columns["image"], lambda _, picture: centre(picture))
        temperature = self.schedule(step)["temperature"]
        torch.manual_seed(self.cfg.fit.seed)  # the same noise at every validation
        scalars, drawn = measure(model, pixels, temperature, self.cfg.fit.batch_size)
        sheet = pictures.contact_sheet([*pixels[:SHOWN].numpy(), *drawn[:SHOWN]], SHOWN)
        return scalars, {"reconstructions": pictures.encode_png(sheet)}

    def export(self, model: nn.Module, out: Folder) -> None:
        """Write the artifact."""
        sizes = weights.DvaeConfig(
            shape=shape_of(self.cfg), image_vocab=self.cfg.image_vocab, side=self.cfg.side
        )
        weights.save_model(out, model, sizes)


def shape_of(cfg: DvaeJob) -> DvaeShape:
    """Return only the sizes of the networks."""
    return DvaeShape(**{name: getattr(cfg, name) for name in DvaeShape.model_fields})


def measure(
    model: Dvae, pixels: UInt8[Tensor, "n h w 3"], temperature: float, batch_size: int
) -> tuple[Scalars, UInt8[np.ndarray, "n h w 3"]]:
    """Return both bounds in nats per pixel value, and how faithful and how used the codes are."""
    device = next(model.parameters()).device
    nats = {"relaxed": 0.0, "true": 0.0, "kl": 0.0}
    positions, decibels, flat, drawn = 0, [], [], []
    counts = torch.zeros(model.decoder.codebook.in_channels, dtype=torch.long, device=device)
    for part in pixels.split(batch_size):
        real = augment.unit(part.to(device))
        for name, heat in (("relaxed", temperature), ("true", 0.0)):
            terms = elbo_terms(model, real, heat)
            nats[name] += (terms.reconstruction + terms.kl).item()
        nats["kl"] += terms.kl.item()
        positions += terms.positions
        codes = model.codes(real)
        picture = model.decode(codes)
        counts += code_counts(codes, len(counts))
        decibels.append(psnr(picture, real))
        flat.append(psnr(mean_colour(real), real))
        drawn.append(pictures.from_tensor(picture))
    used = codebook_health(counts)
    return {
        "elb_relaxed": -nats["relaxed"] / pixels.numel(),
        "elb_true": -nats["true"] / pixels.numel(),
        "hard_soft_gap": (nats["true"] - nats["relaxed"]) / pixels.numel(),
        "kl_per_code": nats["kl"] / positions,
        "psnr_db": mean_decibels(decibels),
        "mean_colour_psnr_db": mean_decibels(flat),
        "codes_used": used.used,
        "perplexity": used.perplexity,
    }, np.concatenate(drawn)


def mean_colour(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Return the best picture of a single colour: what no code at all could still draw."""
    return pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)


def mean_decibels(parts: list[Float[Tensor, " b"]]) -> float:
    """Average over pictures; a perfect one counts as 100 dB."""
    return torch.cat(parts).clamp(max=100).mean().item()


def warning(health: dict[str, Any]) -> str | None:
    """Say in words that the codes collapsed, if they did."""
    if health["psnr_db"] < health["mean_colour_psnr_db"] + ENOUGH_DECIBELS:
        return (
            f"the codes carry next to nothing: {health['psnr_db']:.1f} dB, and a picture's mean "
            f"colour alone gives {health['mean_colour_psnr_db']:.1f} dB; "
            f"{health['codes_used']} codes are used. Train longer, with a smaller step size, "
            "a smaller batch or a larger dvae.beta"
        )
    return None


def run(inputs: Inputs, out: Folder, cfg: DvaeJob) -> Result:
    """Train on all clean pairs, and warn if the codes collapsed."""
    folder = inputs.folder(CLEAN_PAIRS)
    train = require_rows(open_table(folder, TRAIN, rows.CLEAN_PAIR), TRAIN)
    held_out = open_table(folder, VAL, rows.CLEAN_PAIR)
    task = DvaeTask(cfg, train, held_out if held_out.rows else train)
    result = on_ray.train(task, cfg.fit, out, rows=train.rows)
    health = result.health | {"warning": warning(result.health)}
    return result.model_copy(update={"health": health})
