"""What is learned from: crops of pictures, the bound of equation 1, and its three schedules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from schemas.folder import Folder
from schemas.settings import DvaeSettings, DvaeShape
from stages import pictures
from stages.models.dvae import Block, Dvae, elbo_terms
from stages.models.flops import dvae_flops
from stages.train_dvae.health import alarm
from stages.train_dvae.measures import measure
from stages.training import augment, schedules, weights
from stages.training.order import generator
from stages.training.record import Scalars
from stages.training.rows import prepared_batches
from stages.training.table import Columns, Table, first
from stages.training.task import Batch, Place, Validation, Work

COLUMNS = ("key", "image")
AHEAD = 4  # batches prepared before they are needed
VALIDATION_PICTURES = 256
MEASURED_AT_ONCE = 16  # of them: at full width more would not fit beside a batch
SHOWN = 8  # of them on a sheet, above what became of them


@dataclass(frozen=True)
class DvaeTask:
    """The bound of equation 1, relaxed, under three schedules."""

    cfg: DvaeSettings
    train: Table
    held_out: Table
    name: str = "train_dvae"

    def build(self) -> nn.Module:
        """Return a fresh model, laid out as convolutions like it."""
        model = Dvae(shape_of(self.cfg), self.cfg.image_vocab)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def blocks(self, model: nn.Module) -> list[nn.Module]:
        """Return the residual blocks of both networks."""
        return [module for module in model.modules() if isinstance(module, Block)]

    def work(self) -> Work:
        """Count three forward passes of a picture."""
        with torch.device("meta"):
            dvae = Dvae(shape_of(self.cfg), self.cfg.image_vocab)
        return Work(flops=3 * dvae_flops(dvae, self.cfg.side))

    def batches(self, step: int, place: Place) -> Iterator[Batch]:
        """Yield cropped pictures, one random crop per picture and epoch."""
        return prepared_batches(
            self.train,
            COLUMNS,
            self.prepare,
            fit=self.cfg.fit,
            step=step,
            place=place,
            threads=max(1, self.cfg.run.threads // 2),
            depth=AHEAD,
        )

    def prepare(self, columns: Columns) -> Batch:
        """Decode and crop as listing 1 of the paper does; a row has its own seed of noise."""
        seeds = [
            augment.row_seed(self.cfg.fit.seed, int(epoch), key)
            for key, epoch in zip(columns["key"], columns["epoch"], strict=True)
        ]

        def crop(place: int, pixels: pictures.Pixels) -> pictures.Pixels:
            return pictures.crop_for_dvae(pixels, self.cfg.side, generator(seeds[place]))

        pixels, places = augment.readable(columns["image"], crop, self.cfg.side)
        return {"pixels": pixels, "seed": torch.tensor(seeds)[places]}

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
        """Sum the nats of both sides of the bound, with noise that is each row's own."""
        pixels = augment.unit(batch["pixels"])
        noise = [
            torch.Generator(pixels.device).manual_seed(seed) for seed in batch["seed"].tolist()
        ]
        terms = elbo_terms(model, pixels, self.schedule(step)["temperature"], noise)
        return {"reconstruction": terms.reconstruction, "kl": terms.kl}

    def bound(self, model: nn.Module) -> None:
        """Leave the weights as they are."""

    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure what encode and the prior will see: codes without noise."""
        assert isinstance(model, Dvae)
        columns = first(self.held_out, COLUMNS, VALIDATION_PICTURES)
        pixels, _ = augment.held_out(columns["image"].tolist(), self.cfg.side)
        temperature = self.schedule(step)["temperature"]
        torch.manual_seed(self.cfg.fit.seed)  # the same noise at every validation
        together = min(self.cfg.fit.batch_size, MEASURED_AT_ONCE)
        scalars, drawn = measure(model, pixels, temperature, together)
        sheet = pictures.contact_sheet([*pixels[:SHOWN].numpy(), *drawn[:SHOWN]], SHOWN)
        png = pictures.encode_png(sheet)
        return Validation(scalars, {"reconstructions": png}, alarm(scalars, self.cfg, step))

    def export(self, model: nn.Module, out: Folder) -> None:
        """Write the artifact."""
        sizes = weights.DvaeConfig(
            shape=shape_of(self.cfg), image_vocab=self.cfg.image_vocab, side=self.cfg.side
        )
        weights.save_model(out, model, sizes)


def shape_of(cfg: DvaeSettings) -> DvaeShape:
    """Return only the sizes of the networks."""
    return DvaeShape(**{name: getattr(cfg, name) for name in DvaeShape.model_fields})
