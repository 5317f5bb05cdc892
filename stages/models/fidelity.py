"""How near a picture is to another: numbers of the field, for pixels in [0, 1]."""

import math

from jaxtyping import Float
from torch import Tensor


def psnr_db(mse: float) -> float:
    """Return 10 log10(1 / MSE), in decibels; at most 100, which is no loss.

    The MSE is over all pictures, pixels and channels: no mean of single pictures' decibels.
    """
    return -10 * math.log10(max(mse, 1e-10))


def squared_error(pictures: Float[Tensor, "b 3 H W"], others: Float[Tensor, "b 3 H W"]) -> float:
    """Return the mean squared difference over every pixel and channel."""
    return (pictures.double() - others.double()).square().mean().item()


def mean_colour(pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
    """Paint each picture in its own mean colour: what no code at all could still draw."""
    return pictures.mean(dim=(2, 3), keepdim=True).expand_as(pictures)


def ssim(
    pictures: Float[Tensor, "b 3 H W"], others: Float[Tensor, "b 3 H W"]
) -> Float[Tensor, " b"]:
    """Return the structural similarity of each pair (Wang et al. 2004): 1 is the same picture."""
    # here, because it takes a second and most who load a model measure nothing
    from torchmetrics.functional.image import structural_similarity_index_measure

    return structural_similarity_index_measure(pictures, others, data_range=1.0, reduction="none")
