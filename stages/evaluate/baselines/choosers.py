"""Who chooses among the candidates: CLIP, chance, or somebody who knows which are right.

The judge looks at some candidates only: the favourite, the first few, whose seeds make them as good
as any, and down CLIP's ranking until one is right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.run_report.baselines_part import ChooserShares
from stages import shapes
from stages.evaluate.intervals import Names, standard_error
from stages.evaluate.judgements import Judgement
from stages.evaluate.reading import Candidate, DrawnPrompt
from stages.pictures import decode

RANDOM = 8  # candidates of a prompt that stand for a random one


class Choice(NamedTuple):
    """How often each chooser's candidate for one prompt is right."""

    names: Names
    random: float  # expected
    clip: float
    best_possible: float  # 1 if any candidate is right


def choice(prompt: DrawnPrompt, judgement: Judgement) -> Choice:
    """Judge what each chooser would take."""
    right: dict[int, bool] = {}

    def is_right(drawn: Candidate) -> bool:
        number = drawn.candidate
        if number not in right:
            assert drawn.png is not None, "the settings refuse a judge where pictures are forgotten"
            seen = judgement.found.get(number)
            seen = shapes.find_shapes(decode(drawn.png)) if seen is None else seen
            right[number] = judgement.right(seen)
        return right[number]

    first = [drawn for drawn in prompt.ranked if drawn.candidate < RANDOM]
    return Choice(
        names=judgement.names,
        random=float(np.mean([is_right(drawn) for drawn in first])),
        clip=float(is_right(prompt.ranked[0])),
        best_possible=float(any(map(is_right, prompt.ranked))),
    )


def by_score(choices: Sequence[Choice]) -> ChooserShares:
    """Return how often each chooser is right, and CLIP's gain over chance, prompt by prompt."""
    gains = [one.clip - one.random for one in choices]
    return ChooserShares(
        prompts=len(choices),
        random=float(np.mean([one.random for one in choices])),
        clip=float(np.mean([one.clip for one in choices])),
        best_possible=float(np.mean([one.best_possible for one in choices])),
        gain=float(np.mean(gains)),
        standard_error=standard_error(gains, [one.names for one in choices]),
    )
