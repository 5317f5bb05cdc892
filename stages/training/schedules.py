"""What changes along a training run, as functions of the step.

Lengths are shares of the run, so a schedule stretches with it and equals the paper's at the
paper's number of updates (appendices A.2 and B.2). Only when a step size is halved at plateaux
does the training loss decide, see `plateau`.
"""

import math

from schemas.settings import FitSettings


def cosine(step: float, *, length: float, start: float, end: float) -> float:
    """Move from `start` to `end` over `length` steps along half a cosine, then stay."""
    if step >= length:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * step / length)) / 2


def step_size(step: int, fit: FitSettings, halvings: int = 0) -> float:
    """Return the learning rate of the update made at `step`: up in a line, then down to its end."""
    warmup = fit.warmup_share * fit.steps
    if step < warmup:
        return fit.learning_rate * min(1.0, (step + 1) / warmup)
    if fit.decay == "plateau":
        return max(fit.learning_rate_end, fit.learning_rate / 2**halvings)
    length = fit.decay_share * fit.steps - warmup
    return cosine(step - warmup, length=length, start=fit.learning_rate, end=fit.learning_rate_end)


def averaging_decay(fit: FitSettings) -> float:
    """Return how much of the averaged weights stays each time they are refreshed.

    A horizon of 1,000 updates refreshed at each gives the dVAE's 0.999; one of 2,500 refreshed
    every 25 gives the prior's 0.99.
    """
    horizon = fit.ema_share * fit.steps
    return max(0.0, 1 - fit.ema_every / horizon) if horizon > 0 else 0.0
