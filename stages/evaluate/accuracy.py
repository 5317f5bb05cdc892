"""Whether drawings show what their prompts ask for, judged by rules on pixels, not by a model.

A picture is right when every shape its prompt names is in it, in its own colour; `by_atom` asks for
everything the prompt says. Prompts that name the same combination are wordings of one question,
right or wrong together: `intervals` accounts for that.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from schemas.run_report.accuracy_part import (
    AccuracyFall,
    CombinationAccuracy,
    FavouriteOfSome,
    SetAccuracy,
)
from schemas.run_report.report_part import Change
from stages.evaluate.by_atom import by_aspect, by_length, whole_prompts
from stages.evaluate.judgements import Judgement
from stages.evaluate.shares import chance, change, share


def accuracy(judgements: Iterable[Judgement]) -> dict[str, SetAccuracy]:
    """Return shares with their intervals for each set of prompts, in the order the sets came."""
    return {name: _of_set(members) for name, members in by_set(judgements).items()}


def by_set(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """Return the judgements of each set of prompts."""
    found: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        found.setdefault(judgement.set, []).append(judgement)
    return found


def _of_set(judgements: Sequence[Judgement]) -> SetAccuracy:
    best = by_candidates(judgements)
    last = max(best)
    favourites = [v.best_of[last] for v in judgements]
    names = [v.names for v in judgements]
    return SetAccuracy(
        prompts=len(judgements),
        combinations=len(frozenset().union(*names)),
        candidates=last,
        **share("single", [v.right(v.single) for v in judgements], names),
        **share("reranked", best[last], names),
        chance=chance(np.array([[v.right(seen) for seen in favourites] for v in judgements])),
        gain=gain(judgements),
        fall=worst_fall(judgements),
        by_candidates={
            count: FavouriteOfSome(
                **share("right", hits, names),
                clip_score=float(np.mean([v.clip_scores[count] for v in judgements])),
            )
            for count, hits in best.items()
        },
        by_combination=tuple(by_combination(judgements)),
        whole=whole_prompts(judgements),
        by_aspect=by_aspect(judgements),
        by_length=by_length(judgements),
    )


def by_candidates(judgements: Sequence[Judgement]) -> dict[int, list[bool]]:
    """Say whether the favourite of so many is right, prompt by prompt (figure 9c's question)."""
    counts = sorted(set.intersection(*(set(v.best_of) for v in judgements)))
    return {count: [v.right(v.best_of[count]) for v in judgements] for count in counts}


def by_combination(judgements: Sequence[Judgement]) -> list[CombinationAccuracy]:
    """Count what is right of the prompts that name each combination, the worst one first."""
    best = by_candidates(judgements)
    first, last = best[min(best)], best[max(best)]
    found = []
    for kind in sorted(frozenset().union(*(v.names for v in judgements))):
        own = [place for place, v in enumerate(judgements) if kind in v.names]
        found.append(
            CombinationAccuracy(
                colour=kind.colour,
                shape=kind.shape,
                prompts=len(own),
                single=sum(first[i] for i in own),
                reranked=sum(last[i] for i in own),
            )
        )
    return sorted(found, key=lambda one: (one.reranked / one.prompts, one.single))


def gain(judgements: Sequence[Judgement]) -> Change:
    """Return how much more often the favourite of all is right than the first picture."""
    best = by_candidates(judgements)
    names = [v.names for v in judgements]
    return change(best[min(best)], best[max(best)], names)


def worst_fall(judgements: Sequence[Judgement]) -> AccuracyFall | None:
    """Return the most significant fall from the favourite of fewer to the favourite of more.

    None if the favourite of more is never right less often.
    """
    best, names = by_candidates(judgements), [v.names for v in judgements]
    falls = [
        AccuracyFall(fewer=fewer, more=more, **found.model_dump())
        for fewer, more in combinations(best, 2)
        if (found := change(best[fewer], best[more], names)).share < 0
    ]
    # Where the standard error is unknown, the plain change must do.
    return min(falls, key=lambda fall: fall.share / (fall.standard_error or 1), default=None)
