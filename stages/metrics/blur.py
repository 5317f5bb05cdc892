"""The Gaussian blur of the paper's protocol, for both sides of a comparison (section 3.1).

FID and Inception Score as functions of the radius tell how much of a gap is in fine detail, which
the dVAE loses. The paper gives no definition of its radius. Here it is the standard deviation in
pixels of a true Gaussian, cut off at 4 of them, with the edge's pixels repeated beyond it. Pillow's
GaussianBlur means the same radius and edge but approximates the curve by three box blurs.
"""

import cv2
import numpy as np
from jaxtyping import Float

from schemas.errors import UserError
from stages.pictures import Pixels

RADII = (0, 1, 2, 4, 8)  # figure 9 a and b, for pictures of 256 x 256
CUT_OFF = 4.0  # standard deviations


def gaussian_blur(pixels: Pixels, radius: float) -> Pixels:
    """Blur a picture; radius 0 leaves it as it is. Computed in float64, then rounded."""
    if radius < 0:
        raise UserError(f"a blur needs a radius of 0 or more, found {radius}: give 0, 1, 2, 4 or 8")
    if radius == 0:
        return pixels
    weights = gaussian_weights(radius)
    blurred = cv2.sepFilter2D(
        pixels.astype(np.float64), -1, weights, weights, borderType=cv2.BORDER_REPLICATE
    )
    return np.rint(blurred).clip(0, 255).astype(np.uint8)


def gaussian_weights(radius: float) -> Float[np.ndarray, " taps"]:
    """Return exp(-x^2 / (2 radius^2)) at whole pixels up to 4 radii away, scaled to sum 1."""
    reach = int(CUT_OFF * radius + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    return weights / weights.sum()
