"""Whether drawings show what their prompts ask for, judged by rules on pixels, not by a model.

A picture is right when every shape its prompt names is in it, in its own colour. CLIP alone chooses
the candidates. Prompts that name the same combination are wordings of one question, right or wrong
together: `intervals` accounts for that.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from stages import shapes
from stages.evaluate.intervals import Names, interval, standard_error, wilson
from stages.evaluate.reading import DrawnPrompt
from stages.evaluate.reconstructions import through_dvae
from stages.models.dvae import Dvae
from stages.pictures import Pixels, decode
from stages.pictures.tensors import from_tensor

Seen = Sequence[shapes.ShapeKind]  # what the judge found in a picture

# Keys of the report's accuracy that are not sets.
OF_ALL = ("candidates", "chance", "gain", "judge")
JUDGE_SEED = 20_210_224  # so that the judge is tested on other pictures than the world's


@dataclass(frozen=True)
class Judgement:
    """The shapes that the judge found in the pictures of one prompt."""

    prompt: str
    set: str
    single: Seen
    best_of: Mapping[int, Seen]  # by the number of candidates that CLIP could choose from
    clip_scores: Mapping[int, float]  # of those favourites
    found: Mapping[int, Seen]  # by candidate, of every picture that was looked at

    @cached_property
    def _wanted(self) -> Counter[shapes.ShapeKind]:
        return Counter(shapes.named(self.prompt))

    @property
    def names(self) -> Names:
        """Return the combinations of colour and shape that the prompt names."""
        return frozenset(self._wanted)

    def right(self, seen: Seen) -> bool:
        """Say whether a picture with these shapes shows everything that the prompt names."""
        return self._wanted <= Counter(seen)


def halvings(candidates: int) -> list[int]:
    """Return 1, 2, 4, ... up to all candidates: the counts at which reranking is measured."""
    return sorted({candidates} | {2**i for i in range(candidates.bit_length())})


def judged(prompt: DrawnPrompt, shown: int) -> Judgement | None:
    """Judge the first picture, CLIP's favourites of every count, and the `shown` best.

    None when the prompt names no shape of the world, so that there is nothing to be right about.
    """
    if not shapes.named(prompt.text):
        return None
    best_of = {count: prompt.best_of(count) for count in halvings(len(prompt.ranked))}
    wanted = [prompt.first, *best_of.values(), *prompt.ranked[:shown]]
    found = {
        number: shapes.judge(decode(png))
        for number, png in {d.candidate: d.png for d in wanted}.items()
        if png is not None
    }
    return Judgement(
        prompt=prompt.text,
        set=prompt.set,
        single=found[prompt.first.candidate],
        best_of={count: found[drawn.candidate] for count, drawn in best_of.items()},
        clip_scores={count: drawn.clip_score for count, drawn in best_of.items()},
        found=found,
    )


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
    }


def chance(right: np.ndarray) -> float:
    """Return the accuracy of pictures handed to other prompts than their own.

    `right[i, j]`: would the picture drawn for prompt j do for prompt i? The mean over all i != j
    has no luck of one shuffle in it; it is what a drawer scores who does not read the prompt.
    """
    count = len(right)
    if count < 2:
        return 0.0
    return float((right.sum() - np.trace(right)) / (count * (count - 1)))


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


def change(before: Sequence[bool], after: Sequence[bool], names: Sequence[Names]) -> dict[str, Any]:
    """Return the mean change of a share, paired by prompt, so that unchanged ones add no noise.

    Its standard error is None where there are too few combinations to tell.
    """
    changes = np.asarray(after, float) - np.asarray(before, float)
    error = standard_error(changes.tolist(), names)
    return {"share": float(changes.mean()), "standard_error": error}


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


def share(name: str, hits: Sequence[bool], names: Sequence[Names]) -> dict[str, Any]:
    """Return the share of hits, and its 95 % interval beside it."""
    return {name: float(np.mean(hits)), f"{name}_interval": list(interval(hits, names))}


def judge_itself(dvae: Dvae, side: int, count: int) -> dict[str, Any]:
    """Measure the judge on pictures whose shapes are known, and on what the dVAE leaves of them."""
    scenes = [shapes.scene(JUDGE_SEED, index) for index in range(count)]
    pictures = [shapes.draw(scene, side) for scene in scenes]
    decoded = (from_tensor(drawn) for _, drawn, _ in through_dvae(dvae, pictures))
    reconstructed = (picture for tile in decoded for picture in tile)
    found = {"world": _seen(scenes, pictures), "reconstructions": _seen(scenes, reconstructed)}
    return {
        "pictures": count,
        **{name: hits / count for name, hits in found.items()},
        **{f"{name}_interval": list(wilson(hits, count)) for name, hits in found.items()},
    }


def _seen(scenes: Sequence[shapes.Scene], pictures: Iterable[Pixels]) -> int:
    """Count the pictures in which the judge finds exactly the shapes of their scene."""
    return sum(
        Counter(shapes.judge(picture)) == Counter(figure.kind for figure in scene.figures)
        for scene, picture in zip(scenes, pictures, strict=True)
    )
