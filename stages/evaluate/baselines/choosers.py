"""Who chooses among the candidates: chance, CLIP, the prior, both, or somebody who knows.

The prior's favourite is the candidate with the largest likelihood, which costs nothing to compute;
`ranking` says what both together take. The judge looks at some candidates only: the favourites, the
first few, whose seeds make them as good as any, and down the ranking until one is right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.run_report.baselines_part import ChooserShares
from stages import shapes
from stages.evaluate.intervals import Names, standard_error
from stages.evaluate.judgements import Judgement
from stages.evaluate.reading import Candidate, DrawnPrompt
from stages.evaluate.shares import change, share
from stages.pictures import decode

RANDOM = 8  # candidates of a prompt that stand for a random one


class Choice(NamedTuple):
    """Whether each chooser's candidate for one prompt is right."""

    names: Names
    random: float  # expected
    first: bool
    prior_likelihood: bool
    clip: bool
    both: bool
    best_possible: bool  # any candidate is right


CHOOSERS = ("first", "prior_likelihood", "clip", "both", "best_possible")


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

    early = [drawn for drawn in prompt.ranked if drawn.candidate < RANDOM]
    return Choice(
        names=judgement.names,
        random=float(np.mean([is_right(drawn) for drawn in early])),
        first=is_right(prompt.first),
        prior_likelihood=is_right(prompt.best_by("likelihood")),
        clip=is_right(prompt.best_by("clip")),
        both=is_right(prompt.best_by("both")),
        best_possible=any(map(is_right, prompt.ranked)),
    )


def by_score(choices: Sequence[Choice]) -> ChooserShares:
    """Return how often each chooser is right, and CLIP's gains, prompt by prompt."""
    gains = [one.clip - one.random for one in choices]
    names = [one.names for one in choices]
    hits = {chooser: [getattr(one, chooser) for one in choices] for chooser in CHOOSERS}
    shares = [share(chooser, right, names) for chooser, right in hits.items()]
    return ChooserShares(
        prompts=len(choices),
        random=float(np.mean([one.random for one in choices])),
        gain=float(np.mean(gains)),
        standard_error=standard_error(gains, names),
        over_likelihood=change(hits["prior_likelihood"], hits["clip"], names),
        **{name: value for found in shares for name, value in found.items()},
    )
