"""The rules by which a pair is dropped: one line of RULES each.

The paper names caption length, English, boilerplate such as "photographed on <date>" and the aspect
ratio (appendix C), without numbers for the first two. The other rules are common practice.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from schemas.settings import FilterSettings
from stages.markdown import table

Scores = Mapping[str, Any]  # by column of rows.SCORES; null: not known
Settings = Mapping[str, Any]  # of FilterSettings, as a manifest has them too


class Rule(NamedTuple):
    """A pair is dropped for `reason` if its score is not as the rule wants it.

    `bound` is the name of a setting, or a constant; a null setting turns the rule off. A score that
    is not known breaks no bound.
    """

    reason: str
    score: str
    wants: Literal["at least", "at most", "known", "null"]
    bound: str | int | None = None

    @property
    def has_setting(self) -> bool:
        """Return whether the bound is a number that somebody can set."""
        return isinstance(self.bound, str) and self.wants in ("at least", "at most")

    def limit(self, settings: Settings) -> Any:
        """Return the bound's value, None where the rule is off."""
        return settings.get(self.bound) if isinstance(self.bound, str) else self.bound

    def is_broken(self, scores: Scores, settings: Settings) -> bool:
        score, limit = scores[self.score], self.limit(settings)
        if self.wants == "known":
            return score is None
        if score is None or limit is None:
            return False
        if self.wants == "at least":
            return bool(score < limit)
        return bool(score > limit) if self.wants == "at most" else bool(limit)

    def __str__(self) -> str:
        bound = f" `{self.bound}`" if isinstance(self.bound, str) else f" {self.bound}"
        if self.wants in ("at least", "at most"):
            return f"`{self.score}` {self.wants}{bound}"
        return f"`{self.score}` {self.wants}" + f", if{bound}" * isinstance(self.bound, str)


# In the order they are tried; a pair is dropped for the first that it breaks.
RULES = (
    Rule("caption_missing", "chars", "at least", 1),
    Rule("caption_too_short", "chars", "at least", "min_chars"),
    Rule("caption_too_short", "words", "at least", "min_words"),
    Rule("caption_too_long", "chars", "at most", "max_chars"),
    Rule("boilerplate", "boilerplate", "at most", "max_boilerplate"),
    Rule("not_english", "english", "at least", "min_english"),
    Rule("caption_repeated", "caption_pictures", "at most", "max_caption_pictures"),
    Rule("undecodable", "contrast", "known"),
    Rule("too_small", "short_side", "at least", "side"),
    Rule("too_elongated", "aspect", "at most", "max_aspect"),
    Rule("flat", "contrast", "at least", "min_contrast"),
    Rule("nsfw", "nsfw", "at most", "max_nsfw"),
    Rule("writing", "writing", "at most", "max_writing"),
    Rule("watermark", "watermark", "null", "watermarks"),
    Rule("caption_disagrees", "clip_score", "at least", "min_clip_score"),
    Rule("evaluation_overlap", "overlaps", "null", True),
)
# These two need the kept rows of the same group (gather.py).
NEAR_DUPLICATE, DUPLICATE = "near_duplicate", "duplicate"
REASONS = (*dict.fromkeys(rule.reason for rule in RULES), NEAR_DUPLICATE, DUPLICATE)


def why_drop(scores: Scores, settings: Settings) -> str | None:
    """Return the reason of the first rule that a fetched pair breaks; None keeps it."""
    broken = (rule.reason for rule in RULES if rule.is_broken(scores, settings))
    return next(broken, None)


def wanted(reason: str) -> str:
    """Return what a pair must be like not to be dropped for this reason."""
    if reason == NEAR_DUPLICATE:
        return (
            "more than `near_bits` of 64 bits from the `perceptual_hash` of each kept picture, "
            "more than `near_colour` from its colours, or of another caption, if "
            "`near_same_caption`"
        )
    if reason == DUPLICATE:
        return "another picture or caption than each kept pair"
    return " and ".join(str(rule) for rule in RULES if rule.reason == reason)


def reason_table() -> str:
    """Return all reasons as a Markdown table, with the settings' defaults."""
    fields = FilterSettings.model_fields
    return table(
        ("reason", "a pair is dropped unless", "default"),
        (
            (
                f"`{reason}`",
                wanted(reason),
                ", ".join(
                    f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
                    for name, field in fields.items()
                    if f"`{name}`" in wanted(reason)
                ),
            )
            for reason in REASONS
        ),
    )
