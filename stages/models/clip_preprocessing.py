"""How a CLIP resizes and normalises its input pictures, as its preprocessor_config.json says.

In torch alone and on any device; the transformers library does it with Pillow or torchvision.
Pillow resizes one direction after the other and rounds to 8 bits each time, and so do we: bicubic
filters overshoot, and resizing both at once in floats is off by up to 20 of 255 levels.

Dimensions: b batch, H W pixels of the pictures given, s side of the tower's input; all are square.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from schemas.errors import ConfigError

# per channel, of the pictures that the published CLIPs were trained on; ours uses the same
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LEVEL = 1 / 255
BICUBIC = 3
FILTERS = {2: "bilinear", BICUBIC: "bicubic"}  # by Pillow's numbers
KIND = "CLIPImageProcessor"
STEPS = ("do_resize", "do_rescale", "do_normalize")


@dataclass(frozen=True)
class Preprocessing:
    """Resize to `resized` pixels a side, crop to the centre `side`, then (x - mean) / std."""

    side: int
    resized: int
    resample: int = BICUBIC
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    @classmethod
    def plain(cls, side: int) -> "Preprocessing":
        """Return the preprocessing of a CLIP of this side that has no configuration of its own."""
        return cls(side, resized=side)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], side: int, *, where: str) -> "Preprocessing":
        """Read a CLIPImageProcessor's configuration, in its old spelling or its new one.

        `side` is the tower's input. Raises ConfigError for what we cannot compute exactly.
        """
        kind = config.get("image_processor_type", config.get("feature_extractor_type", KIND))
        resample = config.get("resample", BICUBIC)
        resized = side_of(config.get("size", 224))
        cropped = (
            side_of(config.get("crop_size", 224)) if config.get("do_center_crop", True) else resized
        )
        unit = config.get("rescale_factor", LEVEL) / LEVEL
        mean, std = config.get("image_mean", MEAN), config.get("image_std", STD)
        for wanted, found, good in (
            (f"the steps of a {KIND}", f"a {kind}", str(kind).startswith("CLIP")),
            (" and ".join(STEPS), config, all(config.get(step, True) for step in STEPS)),
            ("resample 2 or 3 (bilinear, bicubic)", resample, resample in FILTERS),
            ("three numbers for mean and std", f"{mean} and {std}", len(mean) == len(std) == 3),
            (
                f"pictures of {side} x {side} pixels, which its tower takes",
                f"size {config.get('size')} and crop_size {config.get('crop_size')}",
                cropped == side and resized is not None and resized >= side,
            ),
        ):
            if not good:
                raise ConfigError(
                    f"{where}: wanted a preprocessing with {wanted}, found {found}; use the "
                    "preprocessor_config.json that this CLIP was published with"
                )
        assert resized is not None
        # theirs are for levels times rescale_factor, ours for levels / 255
        return cls(
            side, resized, resample, tuple(m / unit for m in mean), tuple(s / unit for s in std)
        )

    def to_config(self) -> dict[str, Any]:
        """Return the preprocessor_config.json that the transformers library reads."""
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

    def resize(self, pixels: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 s s"]:
        """Resize and crop pictures in [0, 1] to the tower's input; not yet normalised.

        Pictures that have its size stay as they are.
        """
        for size in ((pixels.shape[-2], self.resized), (self.resized, self.resized)):
            if pixels.shape[-2:] != size:
                mode = FILTERS[self.resample]
                levels = F.interpolate(pixels / LEVEL, size, mode=mode, antialias=True)
                pixels = (levels.clamp(0, 255) + 0.5).floor() * LEVEL
        first = (self.resized - self.side) // 2
        centre = slice(first, first + self.side)
        return pixels[..., centre, centre]


def side_of(size: int | Mapping[str, int]) -> int | None:
    """Return the side of a square picture that is resized so; None if it would not be square."""
    sides = {size} if isinstance(size, int) else set(size.values())
    return sides.pop() if len(sides) == 1 else None
