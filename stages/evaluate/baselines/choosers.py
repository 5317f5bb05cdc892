"""Who chooses among the candidates: CLIP, chance, the prior, or somebody who knows what is right.

The prior's favourite is the candidate with the largest likelihood, which costs nothing to compute.
The judge looks at some candidates only: the favourites, the first few, whose seeds make them as
good as any, and down CLIP's ranking until one is right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.run_report.baselines_part import ChooserShares
from stages import shapes
from stages.evaluate.intervals import Names, standard_error
from stages.evaluate.judgements import Judgement
from stages.evaluate.reading import Candidate, DrawnPrompt
from stages.evaluate.shares import change
from stages.pictures import decode

RANDOM = 8  # candidates of a prompt that stand for a random one


class Choice(NamedTuple):
    """How often each chooser's candidate for one prompt is right."""

    names: Names
    random: float  # expected
    prior_likelihood: float
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
    likeliest = max(prompt.ranked, key=lambda drawn: (drawn.log_likelihood, -drawn.candidate))
    return Choice(
        names=judgement.names,
        random=float(np.mean([is_right(drawn) for drawn in first])),
        prior_likelihood=float(is_right(likeliest)),
        clip=float(is_right(prompt.ranked[0])),
        best_possible=float(any(map(is_right, prompt.ranked))),
    )


def by_score(choices: Sequence[Choice]) -> ChooserShares:
    """Return how often each chooser is right, and CLIP's gains, prompt by prompt."""
    gains = [one.clip - one.random for one in choices]
    names = [one.names for one in choices]
    likeliest, clips = [one.prior_likelihood for one in choices], [one.clip for one in choices]
    return ChooserShares(
        prompts=len(choices),
        random=float(np.mean([one.random for one in choices])),
        prior_likelihood=float(np.mean(likeliest)),
        clip=float(np.mean(clips)),
        best_possible=float(np.mean([one.best_possible for one in choices])),
        gain=float(np.mean(gains)),
        standard_error=standard_error(gains, names),
        over_likelihood=change(likeliest, clips, names),
    )
