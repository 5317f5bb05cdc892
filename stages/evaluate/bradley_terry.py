"""One strength for each of many systems, from comparisons of two of them at a time.

R. A. Bradley and M. E. Terry, "Rank Analysis of Incomplete Block Designs" (1952): system i is
preferred to system j with probability sigmoid(strength i - strength j).
"""

import numpy as np
from jaxtyping import Float

RESAMPLES = 1_000
EACH_SIDE = 0.025  # left out of an interval of 95 %
LONGEST_STEP = 1.0  # of Newton's method, which overshoots from afar
CLOSE_ENOUGH = 1e-10
MOST_STEPS = 500

Wins = Float[np.ndarray, "*batch systems systems"]  # how often the row's was preferred


def strengths(wins: Wins) -> Float[np.ndarray, "*batch systems"]:
    """Return the likeliest strengths (differences are log-odds).

    To the comparisons is added one drawn between each system and an imaginary one of strength 0;
    so a system that never lost is not infinitely strong, and the strengths are comparable where
    some systems were never compared.
    """
    met = wins + wins.swapaxes(-1, -2)
    found = np.zeros(wins.shape[:-1])
    for _ in range(MOST_STEPS):
        step = _newton_step(wins, met, found)
        found = found + step
        if np.abs(step).max(initial=0) < CLOSE_ENOUGH:
            break
    return found


def _newton_step(
    wins: Wins, met: Wins, found: Float[np.ndarray, "*batch systems"]
) -> Float[np.ndarray, "*batch systems"]:
    preferred = _sigmoid(found[..., :, None] - found[..., None, :])
    drawn = _sigmoid(found)
    slope = (wins - met * preferred).sum(axis=-1) + 0.5 - drawn
    curvature = met * preferred * (1 - preferred)
    own = curvature.sum(axis=-1) + drawn * (1 - drawn)
    matrix = np.eye(wins.shape[-1]) * own[..., None] - curvature
    step = np.linalg.solve(matrix, slope[..., None])[..., 0]
    return np.clip(step, -LONGEST_STEP, LONGEST_STEP)


def _sigmoid(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    return (1 + np.tanh(x / 2)) / 2  # which no x overflows


def strength_intervals(
    wins: Float[np.ndarray, "captions systems systems"], seed: int = 0
) -> Float[np.ndarray, "systems 2"]:
    """Return the 95 % interval of each strength, by a bootstrap over captions (Efron 1979).

    Votes on pictures for one caption are not independent, so captions are drawn, not votes.
    """
    captions, systems, _ = wins.shape
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(captions, np.full(captions, 1 / captions), RESAMPLES)
    resampled = (drawn @ wins.reshape(captions, -1)).reshape(-1, systems, systems)
    ends = np.quantile(strengths(resampled), [EACH_SIDE, 1 - EACH_SIDE], axis=0)
    return np.stack(ends, axis=-1)
