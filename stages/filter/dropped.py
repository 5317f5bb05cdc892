"""What the filter dropped, in words, so that it is known before a training begins.

The rules are those of the open web. What they drop of pictures that somebody has chosen is more
often a loss than a gain, so where it is much, a sentence says what to change.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.filter.rules import DUPLICATE, NEAR_DUPLICATE, REASONS, RULES

Step = Mapping[str, Any]  # of the funnel
RULES_SHOWN = 3  # rules, those that dropped most
EXAMPLES = 2  # captions of each
LONGEST = 40  # letters of a caption
MUCH = 1 / 5  # of a folder

REMEDIES = {  # where a bound is not all that can be changed
    "caption_missing": "put a text file of the same name, with a caption in it, beside each",
    "undecodable": "save them again as PNG or JPEG",
    "too_small": "use larger pictures, set crawl.enlarge_from to the fewest pixels that are "
    "enlarged, or lower tokens.grid, which makes those of training smaller",
    "watermark": "set filter.watermarks=false",
    "evaluation_overlap": "take the set out of filter.decontaminate",
    NEAR_DUPLICATE: "set filter.near_same_caption=true, which keeps those of other captions, "
    "filter.near_colour=12, which keeps those of other colours, or filter.near_bits=null, which "
    "keeps all",
    DUPLICATE: "give them other captions; one of each is kept as it is",
}


def most_dropped(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a line for each of the reasons why most were left out, the crawl's too."""
    for step in _most(steps)[:RULES_SHOWN]:
        yield f"left out {step['dropped']:,} as {step['rule']}{_such_as(step)}"


def too_much(steps: Sequence[Step], kind: str | None) -> str | None:
    """Say in a sentence which rule dropped how much of a folder, and what to do; None if little.

    `kind` is that of the crawl's source: of the web, most is rightly dropped.
    """
    rows_in, dropped = steps[0]["rows_in"], sum(step["dropped"] for step in steps)
    if kind != "folder" or dropped <= MUCH * rows_in:
        return None
    most = _most(steps)[0]
    return (
        f"{dropped:,} of the {rows_in:,} pairs of the folder are dropped "
        f"({100 * dropped / rows_in:.0f} %), {most['dropped']:,} of them as {most['rule']}"
        f"{_such_as(most)}: to keep these, {remedy(most['rule'])}"
    )


def remedy(reason: str) -> str:
    """Return what to do for pairs to be no longer dropped for this reason."""
    if reason not in REASONS:
        return "see what the reason means in stages/crawl/README.md"
    if reason in REMEDIES:
        return REMEDIES[reason]
    rules = [rule for rule in RULES if rule.reason == reason]
    verb = "lower" if rules[0].wants == "at least" else "raise"
    return f"{verb} {' and '.join(f'filter.{rule.bound}' for rule in rules)}"


def _most(steps: Sequence[Step]) -> list[Step]:
    return sorted((s for s in steps if s["dropped"]), key=lambda s: -s["dropped"])


def _such_as(step: Step) -> str:
    shown = [f'"{(row["caption"] or row["url"])[:LONGEST]}"' for row in step["examples"][:EXAMPLES]]
    return f", such as {' and '.join(shown)}" if shown else ""
