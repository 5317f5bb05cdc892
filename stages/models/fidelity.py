"""How close pictures are to others: PSNR and SSIM, for pixels in [0, 1].

Dimensions: b batch, H W pixels.
"""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass
class Psnr:
    """The PSNR of pictures that come batch by batch; all have one size.

    Its MSE is over all pictures, pixels and channels: no mean of single pictures' decibels.
    """

    squared_error: float = 0.0  # summed over pictures, a mean over each one's values
    pictures: int = 0

    def add(self, pictures: Float[Tensor, "b 3 H W"], others: Float[Tensor, "b 3 H W"]) -> None:
        """Compare a batch with another, picture by picture."""
        mse = (pictures.double() - others.double()).square().mean().item()
        self.squared_error += mse * len(pictures)
        self.pictures += len(pictures)

    @property
    def db(self) -> float:
        """Decibels: 10 log10(1 / MSE), at most 100, which is no loss."""
        return psnr_db(self.squared_error / max(1, self.pictures))


def psnr_db(mse: float) -> float:
    return -10 * math.log10(max(mse, 1e-10))


def mean_colour(pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
    """Paint each picture in its own mean colour: what a decoder can draw without any code."""
    return pictures.mean(dim=(2, 3), keepdim=True).expand_as(pictures)


def ssim(
    pictures: Float[Tensor, "b 3 H W"], others: Float[Tensor, "b 3 H W"]
) -> Float[Tensor, " b"]:
    """Return the structural similarity of each pair (Wang et al. 2004); 1 is the same picture."""
    # imported here, because it takes a second and most who load a model do not need it
    from torchmetrics.functional.image import structural_similarity_index_measure

    return structural_similarity_index_measure(pictures, others, data_range=1.0, reduction="none")
