"""When the training loss no longer falls, and the step size is to be halved (appendix B.2).

The paper does not say what it took for a plateau. Here the loss is averaged over windows of
updates, which begin with the end of the warm-up; `patience_share` of the run without a mean that
is better than the best one by FALL is a plateau.
"""

import math
from dataclasses import dataclass

from schemas.settings import FitSettings

WINDOWS = 4  # of a patience: enough updates in each that its mean tells the trend from the noise
# Of the best mean. A loss that falls along a power law falls for ever, and by less than its noise.
FALL = 1e-3


@dataclass
class Plateau:
    """What a run has seen of its training loss: the same on all workers, and saved with them."""

    halvings: int = 0
    best: float | None = None  # mean of a window
    updates_since: int = 0  # the end of that window
    total: float = 0.0  # of the losses in the window that is not yet full
    counted: int = 0  # of its updates, those that were not skipped

    def see(self, loss: float, step: int, fit: FitSettings) -> None:
        """Take in the loss of the update `step`, over all workers; not finite if it is skipped."""
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
        if self.best is None or mean < self.best - FALL * abs(self.best):
            self.best, self.updates_since = mean, 0
        elif self.updates_since >= patience:
            self.halvings, self.updates_since = self.halvings + 1, 0
