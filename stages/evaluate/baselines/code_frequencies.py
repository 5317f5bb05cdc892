"""How well counts alone foretell codes: the simplest thing that does the prior's job.

Counts of ever narrower contexts are mixed as Witten and Bell (1991) do: a context that was seen n
times with t different codes is trusted n / (n + t), and the wider one for the rest. Nothing is
tuned, and what is measured was not counted.

Dimensions: n pictures, I codes of a picture in raster order, K size of the codebook.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

Codes = Int[np.ndarray, "n I"]


def nats_per_code(train: Codes, held_out: Codes, image_vocab: int) -> dict[str, float]:
    """Return the cross-entropy of held-out codes by counts over training pictures.

    `frequency`: of the codes; `position`: of the codes at each place of the grid; `neighbours`: of
    the codes after that on the left and that above.
    """
    seen, asked = contexts(train, image_vocab), contexts(held_out, image_vocab)
    likely = np.full(held_out.shape, 1 / image_vocab)
    found = {}
    for name, own in seen.items():
        likely = interpolated(train, own, held_out, asked[name], likely, image_vocab)
        found[name] = float(-np.log(likely).mean())
    return {"uniform": math.log(image_vocab), **found}


def contexts(codes: Codes, image_vocab: int) -> Mapping[str, Int[np.ndarray, "n I"]]:
    """Number the context of each code, from the widest to the narrowest; beyond the edge is K."""
    grid = math.isqrt(codes.shape[1])
    padded = np.full((len(codes), grid + 1, grid + 1), image_vocab, np.int64)
    padded[:, 1:, 1:] = codes.reshape(len(codes), grid, grid)
    left, above = (part.reshape(codes.shape) for part in (padded[:, 1:, :-1], padded[:, :-1, 1:]))
    return {
        "frequency": np.zeros(codes.shape, np.int64),
        "position": np.broadcast_to(np.arange(codes.shape[1]), codes.shape),
        "left": left,
        "neighbours": above * (image_vocab + 1) + left,
    }


def interpolated(
    train: Codes,
    seen: Int[np.ndarray, "n I"],
    held_out: Codes,
    asked: Int[np.ndarray, "m I"],
    wider: Float[np.ndarray, "m I"],
    image_vocab: int,
) -> Float[np.ndarray, "m I"]:
    """Return the probability of each held-out code after its context, `wider` where it is new."""
    pairs, uses = np.unique(seen * image_vocab + train, return_counts=True)
    after, first = np.unique(pairs // image_vocab, return_index=True)
    different = np.diff(first, append=len(pairs))
    total = np.add.reduceat(uses, first)
    n, t = _look_up(asked, after, total), _look_up(asked, after, different)
    own = _look_up(asked * image_vocab + held_out, pairs, uses)
    return np.where(n > 0, (own + t * wider) / np.maximum(n + t, 1), wider)


def _look_up(
    asked: Int[np.ndarray, "m I"], keys: Int[np.ndarray, " k"], values: Int[np.ndarray, " k"]
) -> Int[np.ndarray, "m I"]:
    """Return the value of each key, 0 for one that is not there; keys are sorted."""
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)
