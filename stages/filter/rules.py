"""Why a pair is not worth learning from: pure functions of its caption and its sizes.

The paper names caption length, English, boilerplate such as "photographed on <date>" and the aspect
ratio (appendix C), without numbers for the first two; the numbers are settings.
"""

import html
import unicodedata
from dataclasses import dataclass

from schemas.configs import FilterJob
from stages.filter.boilerplate import is_boilerplate

# In the order they are tried; a row is dropped for the first that it breaks.
RULES = (
    "caption_missing",
    "caption_too_short",
    "caption_too_long",
    "boilerplate",
    "not_english",
    "too_small",
    "too_elongated",
    "duplicate",  # needs other rows: see passes.py
)


@dataclass(frozen=True)
class Scores:
    """What the rules measure in a pair, kept beside it so that thresholds can be looked at."""

    chars: int
    words: int
    english: float  # probability, 0 to 1
    aspect: float | None  # long side / short side of the original; null without a picture


def clean_caption(caption: str | None) -> str:
    """Return the caption as one line of composed Unicode, without HTML's escapes."""
    text = unicodedata.normalize("NFC", html.unescape(caption or ""))
    kept = (c if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn") else " " for c in text)
    return " ".join("".join(kept).split())


def measure(caption: str, width: int | None, height: int | None, english: float) -> Scores:
    """Count and divide; `english` comes from the language model."""
    aspect = max(width, height) / min(width, height) if width and height else None
    return Scores(len(caption), len(caption.split()), english, aspect)


def why_drop(caption: str, scores: Scores, short_side: int, cfg: FilterJob) -> str | None:
    """Name the first rule that a fetched pair breaks, or return None to keep it."""
    if not caption:
        return "caption_missing"
    if scores.chars < cfg.min_chars or scores.words < cfg.min_words:
        return "caption_too_short"
    if scores.chars > cfg.max_chars:
        return "caption_too_long"
    if cfg.boilerplate and is_boilerplate(caption):
        return "boilerplate"
    if scores.english < cfg.min_english:
        return "not_english"
    if short_side < cfg.side:
        return "too_small"
    if scores.aspect is None or scores.aspect > cfg.max_aspect:
        return "too_elongated"
    return None
