"""Whether the prior overfitted: held-out rows got worse while training rows got better."""

from collections.abc import Mapping, Sequence

from schemas.artifacts import PRIOR
from schemas.folder import Inputs
from schemas.run_report.training_part import HeldOutLoss
from stages.evaluate.reading import curves, metrics

Curves = Mapping[str, Sequence[tuple[float, float]]]  # name -> (step, value), by step
RISEN = 0.01  # of the lowest held-out loss: a smaller rise is not looked at
CODES = "image"  # name of nats per code in the prior's log


def prior_loss(inputs: Inputs) -> HeldOutLoss | None:
    """Return how the run's prior did, by its training log."""
    kept_step = inputs.manifest(PRIOR).health.get("kept_step")
    return held_out_loss(curves(metrics(inputs.folder(PRIOR))), kept_step)


def held_out_loss(lines: Curves, kept_step: int | None) -> HeldOutLoss | None:
    """Return where held-out nats were fewest and where they ended; None if not measured.

    `kept_step` is that of the weights that were kept, where the training chose among some.
    """
    held_out, training = lines.get(f"validation_{CODES}", ()), lines.get(CODES, ())
    if not held_out or not training:
        return None
    step, lowest = min(held_out, key=lambda point: point[1])
    return HeldOutLoss(
        lowest=lowest,
        lowest_step=int(step),
        last=held_out[-1][1],
        training_at_lowest=min(training, key=lambda point: abs(point[0] - step))[1],
        training_last=training[-1][1],
        kept_step=kept_step,
    )


def overfits(found: HeldOutLoss) -> bool:
    """Say whether held-out nats rose while training nats fell, and the last weights were kept."""
    rose = found.last > (1 + RISEN) * found.lowest
    fell = found.training_last < found.training_at_lowest
    return found.kept_step is None and rose and fell
