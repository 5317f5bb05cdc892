"""Encode squares of pixels into codes, in tiles of one fixed size.

So a picture's codes do not depend on its batch: kernels differ between batch sizes, hence the last
bits of logits, hence near ties.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from schemas.settings import EncodeSettings
from stages.encode.crops import row_seed
from stages.models.dvae import Dvae
from stages.pictures import Pixels
from stages.pictures.tensors import to_tensor


class TileEncoder:
    """A dVAE's encoder on its device."""

    def __init__(self, dvae: Dvae, cfg: EncodeSettings) -> None:
        torch.backends.cudnn.allow_tf32 = False  # the same codes on every device, nearly always
        self.cfg, self.device = cfg, torch.device("cuda" if cfg.run.gpu else "cpu")
        self.dvae = dvae.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, squares: Sequence[Pixels], keys: Sequence[str]) -> Int[Tensor, "n k"]:
        """Return codes in raster order, up to `tile` pictures' at once; they stay on the device."""
        return self._codes(squares, keys, self.cfg.precision)

    def differing(self, squares: Sequence[Pixels], keys: Sequence[str]) -> int:
        """Count the codes that would be others in float32."""
        mine, exact = self(squares, keys), self._codes(squares, keys, "float32")
        return int((mine != exact).sum())

    @torch.inference_mode()
    def _codes(
        self, squares: Sequence[Pixels], keys: Sequence[str], precision: str
    ) -> Int[Tensor, "n k"]:
        full = np.zeros((self.cfg.tile, *squares[0].shape), np.uint8)
        full[: len(squares)] = squares
        pixels = to_tensor(torch.from_numpy(full).to(self.device))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            if self.cfg.codes == "sampled":
                found = self.dvae.sampled_codes(pixels, self._noise(keys))
            else:
                found = self.dvae.codes(pixels)
        return found[: len(squares)].flatten(1).int()

    def _noise(self, keys: Sequence[str]) -> list[torch.Generator]:
        seeds = [row_seed(self.cfg.seed, "codes", key) for key in keys]
        seeds += [0] * (self.cfg.tile - len(seeds))
        return [torch.Generator(self.device).manual_seed(seed) for seed in seeds]
