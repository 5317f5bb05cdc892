"""Whether drawings show what their prompts ask for, judged by rules on pixels, not by a model.

A picture is right when every shape its prompt names is in it, in its own colour; `by_atom` asks for
everything the prompt says. Prompts that name the same combination are wordings of one question,
right or wrong together: `intervals` accounts for that.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from stages.evaluate.by_atom import by_aspect, by_length, whole_prompts
from stages.evaluate.judgements import Judgement
from stages.evaluate.shares import chance, change, share

# Keys of the report's accuracy that are not sets.
OF_ALL = ("candidates", "chance", "gain", "judge")


def accuracy(judgements: Iterable[Judgement]) -> dict[str, Any]:
    """Return shares with their intervals for each set of prompts, in the order the sets came."""
    by_set: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        name = f"{judgement.set} (set)" if judgement.set in OF_ALL else judgement.set
        by_set.setdefault(name, []).append(judgement)
    return {name: _of_set(members) for name, members in by_set.items()}


def _of_set(judgements: Sequence[Judgement]) -> dict[str, Any]:
    best = by_candidates(judgements)
    last = max(best)
    favourites = [v.best_of[last] for v in judgements]
    names = [v.names for v in judgements]
    return {
        "prompts": len(judgements),
        "combinations": len(frozenset().union(*names)),
        "candidates": last,
        **share("single", [v.right(v.single) for v in judgements], names),
        **share("reranked", best[last], names),
        "chance": chance(np.array([[v.right(seen) for seen in favourites] for v in judgements])),
        "gain": gain(judgements),
        "fall": worst_fall(judgements),
        "by_candidates": {
            str(count): {
                **share("right", hits, names),
                "clip_score": float(np.mean([v.clip_scores[count] for v in judgements])),
            }
            for count, hits in best.items()
        },
        "by_combination": by_combination(judgements),
        "whole": whole_prompts(judgements),
        "by_aspect": by_aspect(judgements),
        "by_length": by_length(judgements),
    }


def by_candidates(judgements: Sequence[Judgement]) -> dict[int, list[bool]]:
    """Say whether CLIP's favourite of so many is right, prompt by prompt (figure 9c's question)."""
    counts = sorted(set.intersection(*(set(v.best_of) for v in judgements)))
    return {count: [v.right(v.best_of[count]) for v in judgements] for count in counts}


def by_combination(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Count what is right of the prompts that name each combination, the worst one first."""
    best = by_candidates(judgements)
    first, last = best[min(best)], best[max(best)]
    found = []
    for kind in sorted(frozenset().union(*(v.names for v in judgements))):
        own = [place for place, v in enumerate(judgements) if kind in v.names]
        hits = {"single": sum(first[i] for i in own), "reranked": sum(last[i] for i in own)}
        found.append({"colour": kind.colour, "shape": kind.shape, "prompts": len(own), **hits})
    return sorted(found, key=lambda one: (one["reranked"] / one["prompts"], one["single"]))


def gain(judgements: Sequence[Judgement]) -> dict[str, float | None]:
    """Return how much more often the favourite of all is right than the first picture."""
    best = by_candidates(judgements)
    names = [v.names for v in judgements]
    return change(best[min(best)], best[max(best)], names)


def worst_fall(judgements: Sequence[Judgement]) -> dict[str, float | None] | None:
    """Return the most significant fall from the favourite of fewer to the favourite of more.

    None if the favourite of more is never right less often.
    """
    best, names = by_candidates(judgements), [v.names for v in judgements]
    falls = [
        {"fewer": fewer, "more": more, **found}
        for fewer, more in combinations(best, 2)
        if (found := change(best[fewer], best[more], names))["share"] < 0
    ]
    # Where the standard error is unknown, the plain change must do.
    return min(falls, key=lambda fall: fall["share"] / (fall["standard_error"] or 1), default=None)
