"""What `minutes` makes of the settings: a function of them, of pictures and of a speed alone.

The settings say what is right for the time that they take by themselves, which is computed
(costs.py). In another time:

1. What no setting shortens comes off first: the crawl, filter, encode and the report. The rest is
   divided as the settings divide it, but the dVAE has at most a fifth of the minutes.
2. In `g` squared times its own time, a training makes `g` times its updates, of `g` times their
   cost: half of the growth (of its logarithm) goes into the model, half into the updates.
3. What a model learns is in its pictures. A training that would see each more often than `EPOCHS`
   says grows only as far as that, and the prior has more dropout the more often it sees each. Its
   mirror image (`encode.flips`) is one more picture for the prior.

`g` grows with the minutes, and sizes and updates with `g`. So more minutes never mean fewer
updates, nor a smaller model.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from pipelines.sizing import costs
from schemas.settings import DvaeSettings, FitSettings, PriorSettings, Settings

DVAE_MOST = 1 / 5  # of the minutes
LEFT_LEAST = 0.1  # of the minutes, for trainings and drawing, even if the rest takes all

# The dVAE of 700 stamps gained after 75 epochs, and lost nothing in 149; twice that is a guess.
# A prior of 3,786 emoji without dropout is best after 5.5 epochs, with 0.1 it still gained after 7
# (tests/bench/LOG.md).
EPOCHS = {"dvae": 300, "prior": 30, "clip": 30}
EPOCHS_WITHOUT_DROPOUT = 5.5
DROPOUT_OF_DOUBLING, DROPOUT_MOST, DROPOUT_STEP = 0.1, 0.3, 0.05

LEAST_UPDATES = 1 / 20  # of those that the settings say
MODEL_SCALES = [n / 48 for n in range(12, 193)]  # of depth and width each: a quarter to 4
HEAD_STEP = 4  # rotary embeddings want multiples of 4; others keep what they are by it
DVAE_STEPS = 8  # of a width, from one size to the next
CANDIDATES_MOST, CANDIDATES_STEP = 4, 4  # times those of the settings; in groups of so many
NEARLY = 1 + 1e-9  # floating point must not cost a whole update

Values = dict[str, Any]


class SizedPart(NamedTuple):
    """What one training, or the drawing, becomes."""

    values: Values  # by their dotted paths
    seconds: float  # that it will take
    few_pictures: bool = False  # they bound it, not the time


class Sizes(NamedTuple):
    """What replaces values of the settings, and what the parts of the run will take."""

    parts: dict[str, SizedPart]  # by the name of the node of settings
    other_seconds: float  # of what no setting shortens
    kept: list[str]  # paths that are given, and so keep their values

    @property
    def values(self) -> Values:
        return {path: value for part in self.parts.values() for path, value in part.values.items()}

    @property
    def seconds(self) -> float:
        return self.other_seconds + sum(part.seconds for part in self.parts.values())


def sizes_for(
    settings: Settings, minutes: float, pictures: int, speed: float, given: Collection[str] = ()
) -> Sizes:
    """Return the sizes for a run of so many minutes, on a machine that trains at `speed` FLOP/s.

    The paths that are `given` keep the values that they have, and the others fit them.
    """
    other = costs.START_SECONDS + costs.PICTURE_SECONDS * pictures
    left = max(60 * minutes - other, LEFT_LEAST * 60 * minutes)
    learned = max(1.0, pictures * (1 - settings.filter.validation_share))
    encoded = learned * (2 if settings.encode.flips else 1)
    trainings = [
        _Training(name, getattr(settings, name), cost, pictures_of_it, frozenset(given))
        for name, cost, pictures_of_it in (
            ("dvae", partial(costs.dvae_update, speed=speed), learned),
            ("prior", partial(costs.prior_update, speed=speed), encoded),
            ("clip", partial(costs.clip_update, speed=speed), learned),
        )
        if not getattr(getattr(settings, name), "pretrained", "")
    ]
    candidate = costs.candidate_of_each_prompt(settings, pictures, speed)
    own = {training.name: training.own_seconds for training in trainings}
    own["sample"] = settings.sample.candidates * candidate
    shares = divided(own, left, DVAE_MOST * 60 * minutes)
    parts = {training.name: training.sized(shares[training.name]) for training in trainings}
    (prior,) = (training for training in trainings if training.name == "prior")
    candidate *= prior.growth(shares["prior"]).cost
    count = settings.sample.candidates
    if "sample.candidates" not in given:
        count = candidates_in(shares["sample"] / candidate, count)
    parts["sample"] = SizedPart({"sample.candidates": count}, count * candidate)
    kept = [path for part in parts.values() for path in part.values if path in given]
    for part in parts.values():
        for path in part.values.keys() & set(given):
            del part.values[path]
    return Sizes(parts, other, kept)


def divided(own: Mapping[str, float], left: float, most_of_dvae: float) -> dict[str, float]:
    """Divide what is left of the time as `own` is divided, with a bound on the dVAE's share."""
    shares = {name: left * seconds / sum(own.values()) for name, seconds in own.items()}
    if shares.get("dvae", 0.0) <= most_of_dvae:
        return shares
    others = {name: seconds for name, seconds in own.items() if name != "dvae"}
    return {"dvae": most_of_dvae} | divided(others, left - most_of_dvae, math.inf)


class Growth(NamedTuple):
    """How far a training may grow, in multiples of what the settings say."""

    updates: float
    cost: float  # of an update
    few_pictures: bool  # they are the bound, not the time


def growth_of(times: float, by_pictures: float, *, steps_given: bool, model_given: bool) -> Growth:
    """Return the growth in `times` a training's own time.

    Pictures are enough for `by_pictures` times its updates. What is given leaves all of the growth
    to the other.
    """
    if steps_given and model_given:
        return Growth(1.0, 1.0, few_pictures=False)
    alone = steps_given or model_given
    by_time = times if alone else math.sqrt(times)
    both = min(by_time, by_pictures)
    few = by_pictures < by_time
    return Growth(1.0 if steps_given else both, 1.0 if model_given else both, few)


@dataclass(frozen=True)
class _Training:
    name: str
    cfg: Any  # DvaeSettings, PriorSettings or ClipSettings
    cost: Callable[[Any], float]  # of such settings: the seconds of an update
    pictures: float  # to learn from
    given: frozenset[str]

    @property
    def own_seconds(self) -> float:
        return self.cfg.fit.steps * self.cost(self.cfg)

    @property
    def steps_given(self) -> bool:
        return f"{self.name}.fit.steps" in self.given

    @cached_property
    def models(self) -> list[Values]:
        """The sizes to choose from, the cheapest first."""
        fixed = {path.removeprefix(f"{self.name}.") for path in self.given}
        found = [
            {n: getattr(self.cfg, n) if n in fixed else value for n, value in model.items()}
            for model in _models(self.cfg)
        ]
        return [model for n, model in enumerate(found) if model not in found[:n]]

    def growth(self, budget: float) -> Growth:
        fit = self.cfg.fit
        return growth_of(
            budget / self.own_seconds,
            EPOCHS[self.name] * self.pictures / (fit.batch_size * fit.steps),
            steps_given=self.steps_given,
            model_given=len(self.models) == 1,
        )

    def sized(self, budget: float) -> SizedPart:
        """Take the largest model whose updates cost no more than they may."""
        fit, growth = self.cfg.fit, self.growth(budget)
        most = growth.cost * self.cost(self.cfg) * NEARLY
        model = self.models[max(0, bisect_right(self.models, most, key=self._cost_of) - 1)]
        each, steps = self._cost_of(model), fit.steps
        if not self.steps_given:
            wanted = min(growth.updates * steps, budget / each)
            steps = max(rounded_down(wanted), least_updates(fit))
        values = {f"{self.name}.{field}": value for field, value in model.items()}
        values[f"{self.name}.fit.steps"] = steps
        every = self.cfg.run.validate_every  # as often in a run as before
        values[f"{self.name}.run.validate_every"] = max(1, round(every * steps / fit.steps))
        if isinstance(self.cfg, PriorSettings):
            epochs = steps * fit.batch_size / self.pictures
            values["prior.dropout"] = max(self.cfg.dropout, dropout_after(epochs))
        return SizedPart(values, each * steps, growth.few_pictures)

    def _cost_of(self, model: Values) -> float:
        return self.cost(self.cfg.model_copy(update=model))


def _models(cfg: Any) -> list[Values]:
    if isinstance(cfg, PriorSettings):
        return [prior_model(cfg, scale) for scale in MODEL_SCALES]
    if isinstance(cfg, DvaeSettings):
        return [{"width": scaled(cfg.width, scale, max(1, cfg.width // DVAE_STEPS), least=4)}
                for scale in MODEL_SCALES]  # fmt: skip
    return [{}]


def prior_model(cfg: PriorSettings, scale: float) -> Values:
    """Scale depth and width alike, so that the prior keeps its form."""
    layers = max(1, math.floor(cfg.layers * scale + 0.5))
    return {"layers": layers, "head_dim": scaled(cfg.head_dim, scale, HEAD_STEP, least=1)}


def scaled(size: int, scale: float, step: int, *, least: int) -> int:
    """Scale a size, down to whole steps from what it was."""
    found = size + step * math.floor((scale - 1) * size / step + 1e-9)
    while found < least:
        found += step
    return found


def least_updates(fit: FitSettings) -> int:
    """Return the fewest updates that are worth a start, and that the other settings allow."""
    plateau = math.ceil(1 / fit.patience_share) if fit.decay == "plateau" else 1
    return max(math.ceil(LEAST_UPDATES * fit.steps), fit.ema_every, plateau)


def rounded_down(number: float) -> int:
    """Round down to two digits."""
    whole = math.floor(number * NEARLY)
    unit = 10 ** max(0, len(str(whole)) - 2)
    return whole // unit * unit


def dropout_after(epochs: float) -> float:
    """Return the prior's dropout if it sees each picture so often."""
    found = DROPOUT_OF_DOUBLING * math.log2(epochs / EPOCHS_WITHOUT_DROPOUT)
    steps = round(min(max(found, 0.0), DROPOUT_MOST) / DROPOUT_STEP)
    return round(steps * DROPOUT_STEP, 2)


def candidates_in(time: float, own: int) -> int:
    """Return how many candidates to draw in the time that so many take, for each prompt alike."""
    least = min(own, CANDIDATES_STEP)
    count = min(max(math.floor(time * NEARLY), least), CANDIDATES_MOST * own)
    return count - (count % CANDIDATES_STEP if count > CANDIDATES_STEP else 0)
