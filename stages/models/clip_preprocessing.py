"""What a picture goes through before a CLIP's tower, as its preprocessor_config.json says.

In torch alone and on any device; the transformers library does it with Pillow or torchvision.
Pillow resizes along one direction after the other and rounds to 8 bits each time, and so do we:
bicubic filters overshoot, and both directions at once in floats are off by up to 20 of 255 levels.

Dimensions: b batch, H W pixels as they come, s side of the tower's pictures; all are square.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from schemas.errors import ConfigError

# of the pictures that the published CLIPs were trained on; ours uses the same
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LEVEL = 1 / 255
BICUBIC = 3
FILTERS = {2: "bilinear", BICUBIC: "bicubic"}  # by their numbers in Pillow
KIND = "CLIPImageProcessor"
STEPS = ("do_resize", "do_rescale", "do_normalize")


@dataclass(frozen=True)
class Preparation:
    """Resize to `resized` pixels a side, cut out the middle `side`, then (x - mean) / std."""

    side: int
    resized: int
    resample: int = BICUBIC
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    @classmethod
    def plain(cls, side: int) -> "Preparation":
        """Return what a CLIP of this side gets that says nothing of its own."""
        return cls(side, resized=side)

    @classmethod
    def read(cls, said: Mapping[str, Any], side: int, *, where: str) -> "Preparation":
        """Read what a CLIPImageProcessor says, in its old spelling or its new one.

        `side` is what the tower takes. Raises ConfigError for what we could not do exactly.
        """
        kind = said.get("image_processor_type", said.get("feature_extractor_type", KIND))
        resample = said.get("resample", BICUBIC)
        resized = side_of(said.get("size", 224))
        cut = side_of(said.get("crop_size", 224)) if said.get("do_center_crop", True) else resized
        unit = said.get("rescale_factor", LEVEL) / LEVEL
        mean, std = said.get("image_mean", MEAN), said.get("image_std", STD)
        for wanted, found, good in (
            (f"the steps of a {KIND}", f"a {kind}", str(kind).startswith("CLIP")),
            (" and ".join(STEPS), said, all(said.get(step, True) for step in STEPS)),
            ("resample 2 or 3 (bilinear, bicubic)", resample, resample in FILTERS),
            ("three numbers for mean and std", f"{mean} and {std}", len(mean) == len(std) == 3),
            (
                f"pictures of {side} x {side} pixels, which its tower takes",
                f"size {said.get('size')} and crop_size {said.get('crop_size')}",
                cut == side and resized is not None and resized >= side,
            ),
        ):
            if not good:
                raise ConfigError(
                    f"{where}: wanted a preprocessing with {wanted}, found {found}; use the "
                    "preprocessor_config.json that this CLIP was published with"
                )
        assert resized is not None
        # Theirs are of levels times rescale_factor, ours of levels / 255.
        return cls(
            side, resized, resample, tuple(m / unit for m in mean), tuple(s / unit for s in std)
        )

    def said(self) -> dict[str, Any]:
        """Return what the transformers library reads from a preprocessor_config.json."""
        return {
            "image_processor_type": KIND,
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": self.resized},
            "resample": self.resample,
            "do_center_crop": True,
            "crop_size": {"height": self.side, "width": self.side},
            "do_rescale": True,
            "rescale_factor": LEVEL,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }

    def fit(self, pixels: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 s s"]:
        """Bring pictures in [0, 1] to the tower's size; those that have it stay as they are."""
        for size in ((pixels.shape[-2], self.resized), (self.resized, self.resized)):
            if pixels.shape[-2:] != size:
                mode = FILTERS[self.resample]
                levels = F.interpolate(pixels / LEVEL, size, mode=mode, antialias=True)
                pixels = (levels.clamp(0, 255) + 0.5).floor() * LEVEL
        first = (self.resized - self.side) // 2
        cut = slice(first, first + self.side)
        return pixels[..., cut, cut]


def side_of(size: int | Mapping[str, int]) -> int | None:
    """Return the side that a square picture then has; None if it would not be square."""
    sides = {size} if isinstance(size, int) else set(size.values())
    return sides.pop() if len(sides) == 1 else None
