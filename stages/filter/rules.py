"""Why a pair is not worth learning from: each rule is a pure function of the pair's scores.

The paper names caption length, English, boilerplate such as "photographed on <date>" and the aspect
ratio (appendix C), without numbers for the first two; the numbers are settings. The other rules are
what everybody else checks.
"""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.settings import FilterSettings


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All that the rules look at, one field for each column of rows.SCORES; null: not known."""

    chars: int
    words: int
    english: float
    boilerplate: float
    aspect: float | None = None
    short_side: int | None = None
    contrast: float | None = None
    perceptual_hash: int | None = None
    nsfw: float | None = None
    writing: float | None = None
    watermark: str | None = None
    clip_score: float | None = None
    caption_pictures: int | None = None
    overlaps: str | None = None


def _above(score: float | None, limit: float | None) -> bool:
    return score is not None and limit is not None and score > limit


def _below(score: float | None, limit: float) -> bool:
    return score is not None and score < limit


Rule = Callable[[Scores, FilterSettings], bool]

# In the order they are tried; a row is dropped for the first that it breaks.
RULES: dict[str, Rule] = {
    "caption_missing": lambda pair, cfg: pair.chars == 0,
    "caption_too_short": lambda pair, cfg: pair.chars < cfg.min_chars or pair.words < cfg.min_words,
    "caption_too_long": lambda pair, cfg: pair.chars > cfg.max_chars,
    "boilerplate": lambda pair, cfg: pair.boilerplate > cfg.max_boilerplate,
    "not_english": lambda pair, cfg: pair.english < cfg.min_english,
    "caption_repeated": lambda pair, cfg: _above(pair.caption_pictures, cfg.max_caption_pictures),
    "undecodable": lambda pair, cfg: pair.short_side is not None and pair.contrast is None,
    "too_small": lambda pair, cfg: _below(pair.short_side, cfg.side),
    "too_elongated": lambda pair, cfg: _above(pair.aspect, cfg.max_aspect),
    "flat": lambda pair, cfg: _below(pair.contrast, cfg.min_contrast),
    "nsfw": lambda pair, cfg: _above(pair.nsfw, cfg.nsfw.max_score),
    "writing": lambda pair, cfg: _above(pair.writing, cfg.writing.max_share),
    "watermark": lambda pair, cfg: cfg.writing.watermarks and pair.watermark is not None,
    "caption_disagrees": lambda pair, cfg: _below(pair.clip_score, cfg.clip.min_score),
    "evaluation_overlap": lambda pair, cfg: pair.overlaps is not None,
}
# These need the kept rows of the same group: see gather.py.
NEAR_DUPLICATE, DUPLICATE = "near_duplicate", "duplicate"
REASONS = (*RULES, NEAR_DUPLICATE, DUPLICATE)


def why_drop(pair: Scores, cfg: FilterSettings) -> str | None:
    """Name the first rule that a fetched pair breaks, or return None to keep it."""
    return next((reason for reason, breaks in RULES.items() if breaks(pair, cfg)), None)


def aspect(width: int, height: int) -> float:
    """Return long side / short side."""
    return max(width, height) / min(width, height)
