"""The learning-rate schedule, the cosine that other schedules use, and the decay of the EMA.

Lengths are shares of the run, so a schedule stretches with it. At the paper's number of updates it
equals the paper's, as far as that is known (appendices A.2 and B.2). All depend only on the step
and the settings, except that with `decay="plateau"` the training loss decides when the learning
rate is halved (`Plateau`).
"""

import math
from dataclasses import dataclass

from schemas.settings import FitSettings

# The paper does not say what counts as a plateau (appendix B.2). Here the loss is averaged over
# windows of updates, the first of which begins where the warm-up ends. A plateau is a share of the
# run, `patience_share`, in which no window's mean beats the best one by MIN_IMPROVEMENT.
WINDOWS = 4  # per patience: enough updates in each to tell the trend from the noise
MIN_IMPROVEMENT = 1e-3  # relative; a loss that follows a power law never stops falling


def cosine(step: float, *, length: float, start: float, end: float) -> float:
    """Move from `start` to `end` over `length` steps along half a cosine, then stay."""
    if step >= length:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * step / length)) / 2


def learning_rate(step: int, fit: FitSettings, halvings: int = 0) -> float:
    """Return the learning rate of the update made at `step`: linear warm-up, then decay."""
    warmup = fit.warmup_share * fit.steps
    if step < warmup:
        return fit.learning_rate * min(1.0, (step + 1) / warmup)
    if fit.decay == "plateau":
        return max(fit.learning_rate_end, fit.learning_rate / 2**halvings)
    length = fit.decay_share * fit.steps - warmup
    return cosine(step - warmup, length=length, start=fit.learning_rate, end=fit.learning_rate_end)


def ema_decay(fit: FitSettings) -> float:
    """Return how much of the EMA stays each time it is updated.

    A horizon of 1,000 updates with an EMA update at each gives the dVAE's 0.999; one of 2,500
    with an EMA update every 25 gives the prior's 0.99.
    """
    horizon = fit.ema_share * fit.steps
    return max(0.0, 1 - fit.ema_every / horizon) if horizon > 0 else 0.0


def choices(step: int, fit: FitSettings) -> int:
    """Return how many averages a run that keeps the best of several has measured by `step`."""
    return step * fit.best_of // fit.steps


def chooses(step: int, fit: FitSettings) -> bool:
    """Return whether a run that keeps the best of several averages measures one at `step`."""
    return fit.best_of > 1 and choices(step, fit) > choices(step - 1, fit)


@dataclass
class Plateau:
    """The training loss so far, as far as halving needs it; equal on all workers, checkpointed."""

    halvings: int = 0
    best: float | None = None  # mean of a window
    updates_since: int = 0  # updates since that window ended
    total: float = 0.0  # of the losses in the window that is not yet full
    counted: int = 0  # updates in that window that were not skipped

    def update(self, loss: float, step: int, fit: FitSettings) -> None:
        """Take in the loss of update `step` over all workers; not finite if it was skipped."""
        patience = fit.patience_share * fit.steps
        window = max(1, round(patience / WINDOWS))
        made = step + 1 - math.ceil(fit.warmup_share * fit.steps)
        at_end = fit.learning_rate / 2**self.halvings <= fit.learning_rate_end
        if fit.decay != "plateau" or made <= 0 or at_end:
            return
        if math.isfinite(loss):
            self.total, self.counted = self.total + loss, self.counted + 1
        if made % window or not self.counted:
            return
        mean = self.total / self.counted
        self.total, self.counted = 0.0, 0
        self.updates_since += window
        if self.best is None or mean < self.best - MIN_IMPROVEMENT * abs(self.best):
            self.best, self.updates_since = mean, 0
        elif self.updates_since >= patience:
            self.halvings, self.updates_since = self.halvings + 1, 0
