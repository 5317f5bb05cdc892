"""The dVAE's data (crops of pictures), loss (the bound of equation 1) and schedules."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from schemas.folder import Folder
from schemas.settings import DvaeSettings
from stages import pictures, weights
from stages.data import augment
from stages.data.order import generator
from stages.data.table import Columns, Table, first
from stages.models.dvae import Dvae, elbo_terms
from stages.models.dvae_networks import Block
from stages.models.flops import dvae_flops
from stages.models.on_meta import on_meta
from stages.pictures.tensors import to_tensor
from stages.train_dvae import patches
from stages.train_dvae.health import alarm
from stages.train_dvae.measures import measure
from stages.training import schedules
from stages.training.task import Batch, Scalars, Task, Validation

VALIDATION_PICTURES = 256
VALIDATION_BATCH_SIZE = 16  # at full width more would not fit beside a training batch
SHOWN = 8  # pictures on a contact sheet, above their reconstructions


@dataclass(frozen=True)
class DvaeTask(Task):
    """The bound of equation 1, relaxed, under three schedules."""

    columns = ("key", "image")

    cfg: DvaeSettings
    train: Table
    held_out: Table
    name: str = "train_dvae"

    def build(self) -> nn.Module:
        """Return a fresh model in channels_last layout, which suits convolutions."""
        model = Dvae(self.cfg, self.cfg.image_vocab)
        if self.cfg.init == "patches":
            patches.start(model, self.train, self.cfg)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def layers(self, model: nn.Module) -> list[nn.Module]:
        return [module for module in model.modules() if isinstance(module, Block)]

    def flops_per_row(self) -> float:
        with on_meta():
            dvae = Dvae(self.cfg, self.cfg.image_vocab)
        return 3 * dvae_flops(dvae, self.cfg.side)

    def prepare(self, columns: Columns) -> Batch:
        """Decode, and crop at random as the paper's listing 1; `seed` is for the row's noise."""
        seeds = [
            augment.row_seed(self.cfg.fit.seed, int(epoch), key)
            for key, epoch in zip(columns["key"], columns["epoch"], strict=True)
        ]

        def crop(index: int, pixels: pictures.Pixels) -> pictures.Pixels:
            return pictures.crop_for_dvae(pixels, self.cfg.side, generator(seeds[index]))

        pixels, indices = augment.decode_crops(columns["image"], crop, self.cfg.side)
        return {"pixels": pixels, "seed": torch.tensor(seeds)[indices]}

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

    def loss_sums(self, model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Sum both terms of the bound in nats, with noise from each row's own seed.

        Of a start as k-means the first one, and squared errors.
        """
        pixels = to_tensor(batch["pixels"])
        if self.cfg.init == "patches":
            return patches.loss_sums(model, pixels)
        noise = [
            torch.Generator(pixels.device).manual_seed(seed) for seed in batch["seed"].tolist()
        ]
        terms = elbo_terms(model, pixels, self.schedule(step)["temperature"], noise)
        return {"reconstruction": terms.reconstruction, "kl": terms.kl}

    def loss_counts(self, batch: Batch) -> dict[str, int]:
        number, cfg = len(batch["pixels"]), self.cfg
        values = number * 3 * cfg.side**2
        if cfg.init == "patches":
            return {"reconstruction": values, "squared_error": values}
        return {"reconstruction": values, "kl": number * (cfg.side // cfg.patch) ** 2}

    def loss_weights(self, step: int) -> dict[str, float]:
        """Divide the whole bound by the number of pixel values: the KL weighs beta/192 at 8."""
        if self.cfg.init == "patches":
            return {"reconstruction": 1.0, "squared_error": patches.WEIGHT}
        values = 3 * self.cfg.patch**2  # of a code
        return {"reconstruction": 1.0, "kl": self.schedule(step)["beta"] / values}

    def settle(self, model: nn.Module) -> None:
        """Keep of a start as k-means at least that."""
        assert isinstance(model, Dvae)
        if self.cfg.init == "patches":
            patches.keep_what_helps(model, self.validation_pictures())

    def validation_pictures(self) -> UInt8[Tensor, "n h w 3"]:
        columns = first(self.held_out, self.columns, VALIDATION_PICTURES)
        return augment.held_out(columns["image"].tolist(), self.cfg.side)[0]

    def validate(self, model: nn.Module, step: int) -> Validation:
        """Measure codes without noise, as encode and the prior will see them."""
        assert isinstance(model, Dvae)
        pixels = self.validation_pictures()
        temperature = self.schedule(step)["temperature"]
        torch.manual_seed(self.cfg.fit.seed)  # the same noise at every validation
        batch_size = min(self.cfg.fit.batch_size, VALIDATION_BATCH_SIZE)
        scalars, drawn = measure(model, pixels, temperature, batch_size)
        sheet = pictures.contact_sheet([*pixels[:SHOWN].numpy(), *drawn[:SHOWN]], SHOWN)
        png = pictures.encode_png(sheet)
        return Validation(scalars, {"reconstructions": png}, alarm(scalars, self.cfg, step))

    def export(self, model: nn.Module, out: Folder) -> None:
        cfg = self.cfg
        sizes = weights.DvaeConfig(shape=cfg, image_vocab=cfg.image_vocab, side=cfg.side)
        weights.save_model(out, model, sizes)
