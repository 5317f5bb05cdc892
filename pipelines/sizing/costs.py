"""Seconds that the parts of a run take, by their operations and by how fast the machine trains.

What a share or a number of seconds is from, is in tests/bench/LOG.md.
"""

from functools import lru_cache
from typing import TypeVar

from schemas.settings import (
    ClipSettings,
    Config,
    DvaeSettings,
    DvaeShape,
    PriorSettings,
    PriorShape,
    Settings,
    TokenSpec,
)
from stages.models.dvae import Dvae
from stages.models.flops import clip_flops, dvae_flops, prior_flops
from stages.models.on_meta import on_meta

Shape = TypeVar("Shape", bound=Config)

START_SECONDS = 60.0  # Ray, the beginning of each stage, and the report
PICTURE_SECONDS = 0.007  # to crawl, measure, filter and encode one

# Of the measured speed (measured_speed.py), validation and all else in a training included.
DVAE_SHARES, DVAE_WIDTH = {"patches": 0.6, "random": 0.5}, 16  # by `dvae.init`, at this width
PRIOR_SHARE, PRIOR_WIDTH = 0.7, 192
WIDTH_POWER = 0.45  # by which shares grow with the width: narrow products are slow
CLIP_SHARE = 0.2
DRAWING_SHARE = 0.2

SETS_OF_WORLD = 3  # of prompts, each of `sample.prompts.count`


def dvae_update(cfg: DvaeSettings, speed: float) -> float:
    """Return the seconds of one update at `speed` FLOP/s."""
    flops = 3 * _dvae_flops(_only(DvaeShape, cfg), cfg.image_vocab, cfg.side) * cfg.fit.batch_size
    share = DVAE_SHARES[cfg.init] * (cfg.width / DVAE_WIDTH) ** WIDTH_POWER
    return flops / (share * speed)


def prior_update(cfg: PriorSettings, speed: float) -> float:
    share = PRIOR_SHARE * (cfg.width / PRIOR_WIDTH) ** WIDTH_POWER
    flops = 3 * _prior_flops(cfg.tokens, _only(PriorShape, cfg)) * cfg.fit.batch_size
    return flops / (share * speed)


def clip_update(cfg: ClipSettings, speed: float) -> float:
    return 3 * clip_flops(cfg, cfg.side) * cfg.fit.batch_size / (CLIP_SHARE * speed)


def candidate_of_each_prompt(settings: Settings, pictures: int, speed: float) -> float:
    """Return the seconds in which each prompt gets one more candidate."""
    passes = 1 if settings.sample.guidance == 1 else 2
    prior = settings.prior
    row = _prior_flops(prior.tokens, _only(PriorShape, prior))
    flops = passes * row * prompts(settings, pictures)
    return flops / (DRAWING_SHARE * speed)


def prompts(settings: Settings, pictures: int) -> int:
    """Return how many prompts are drawn; of a file as many as `sample.prompts.count` says."""
    count, kind = settings.sample.prompts.count, settings.sample.prompts.kind
    if kind == "world":
        return SETS_OF_WORLD * count
    held_out = max(1, int(settings.filter.validation_share * pictures))
    return min(count, held_out) if kind == "validation" else count


def _only(shape: type[Shape], cfg: Config) -> Shape:
    """Return the part of a model's settings that says how large it is, to remember its FLOPs by."""
    return shape(**{name: getattr(cfg, name) for name in shape.model_fields})


@lru_cache
def _prior_flops(tokens: TokenSpec, shape: PriorShape) -> int:
    return prior_flops(tokens, shape)


@lru_cache
def _dvae_flops(shape: DvaeShape, image_vocab: int, side: int) -> int:
    with on_meta():
        return dvae_flops(Dvae(shape, image_vocab), side)
