"""What every metric asks of its features, and distances between them block by block.

Features are what a network makes of pictures or captions: a row for each of them. Sums and products
are computed in float64 whatever type the features have, because these metrics are small differences
of large numbers.

Dimensions: n and m pictures, d features.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from schemas.errors import UserError

Features = Float[np.ndarray, "_ d"]  # as many rows as there are pictures

BLOCK = 1_024  # rows at a time, so that memory does not grow with the square of the pictures
# Squared distances under this share of the squared lengths are rounding, for features in float32.
SAME = 1e-12


def check_features(features: Features, fewest: int = 1) -> None:
    """Raise UserError unless there are enough rows, not empty, and all numbers are finite."""
    if features.ndim != 2 or len(features) < fewest or (len(features) and not features.shape[1]):
        raise UserError(
            f"features must be a table of at least {fewest} rows, one for each picture; "
            f"found the shape {features.shape}: give more pictures"
        )
    for rows in blocks(len(features)):
        finite = np.isfinite(features[rows]).all(axis=1)
        if not finite.all():
            raise UserError(
                "features must be finite numbers; those of picture "
                f"{rows.start + int(finite.argmin())} are not: compute them again"
            )


def check_same_width(width: int, other: int) -> None:
    """Raise UserError unless both sets of features can be of one network."""
    if width != other:
        raise UserError(
            f"both sets must have the features of one network; one has {width} for each picture, "
            f"the other {other}: compute both with the same network"
        )


def check_pair(x: Features, y: Features, fewest: int = 2) -> None:
    """Check two sets of features that are compared with each other."""
    check_features(x, fewest)
    check_features(y, fewest)
    check_same_width(x.shape[1], y.shape[1])


def of_length_one(features: Features) -> Features:
    """Scale each row to length 1, in float64. Raises UserError if one is all 0."""
    values = features.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not lengths.all():
        raise UserError(
            f"features must point somewhere; those of picture {int(lengths.argmin())} are all 0: "
            "compute them again"
        )
    return values / lengths


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Cut 0 .. count into slices of `size`; the last one may be shorter."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def pair_blocks(x: Features, y: Features) -> Iterator[tuple[slice, slice, Features, Features]]:
    """Yield every block of x with every block of y, both in float64, and where they are."""
    for rows in blocks(len(x)):
        ours = x[rows].astype(np.float64)
        for columns in blocks(len(y)):
            yield rows, columns, ours, y[columns].astype(np.float64)


def squared_distances(x: Features, y: Features) -> Float[np.ndarray, "n m"]:
    """Return |x_i - y_j|^2 as an (n, m) table; 0 where the two differ by less than a rounding."""
    lengths = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("md,md->m", y, y)
    squared = lengths - 2 * (x @ y.T)
    squared[squared < SAME * lengths] = 0
    return squared
