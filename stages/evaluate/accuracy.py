"""Does it draw what it is told? Judged by the pixels of the demo's world, never by a learned model.

A picture is right when every shape its prompt names is in it, in its own colour. The judge only
counts: candidates are chosen by CLIP alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stages import shapes
from stages.evaluate.drawn import Prompt
from stages.evaluate.measures import chance, paired, wilson
from stages.evaluate.reconstructions import through_dvae
from stages.models.dvae import Dvae
from stages.pictures import Pixels, decode, from_tensor

Seen = Sequence[shapes.Kind]  # what the judge found in a picture

JUDGE_SEED = 20_210_224  # pictures for the judge come from a world of their own


@dataclass(frozen=True)
class Verdict:
    """What the judge saw in the pictures of one prompt."""

    prompt: str
    set: str
    single: Seen
    best_of: Mapping[int, Seen]  # by the number of candidates that CLIP could choose from
    clip_scores: Mapping[int, float]  # of those favourites
    found: Mapping[int, Seen]  # by candidate, of every picture that was looked at

    @cached_property
    def _wanted(self) -> Counter[shapes.Kind]:
        return Counter(shapes.named(self.prompt))

    def right(self, seen: Seen) -> bool:
        """Say whether a picture with these shapes does what the prompt asks."""
        return self._wanted <= Counter(seen)


def halvings(candidates: int) -> list[int]:
    """Return 1, 2, 4, ... up to all candidates: where the effect of reranking is measured."""
    return sorted({candidates} | {2**i for i in range(candidates.bit_length())})


def judged(prompt: Prompt, shown: int) -> Verdict | None:
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
    return Verdict(
        prompt=prompt.text,
        set=prompt.set,
        single=found[prompt.first.candidate],
        best_of={count: found[drawn.candidate] for count, drawn in best_of.items()},
        clip_scores={count: drawn.clip_score for count, drawn in best_of.items()},
        found=found,
    )


def accuracy(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return shares with their intervals for each set of prompts, in the order the sets came."""
    by_set: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_set.setdefault(verdict.set, []).append(verdict)
    return {name: _of_set(members) for name, members in by_set.items()}


def _of_set(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    best = by_candidates(verdicts)
    last = max(best)
    favourites = [v.best_of[last] for v in verdicts]
    return {
        "prompts": len(verdicts),
        "candidates": last,
        **share("single", [v.right(v.single) for v in verdicts]),
        **share("reranked", best[last]),
        "chance": chance(np.array([[v.right(seen) for seen in favourites] for v in verdicts])),
        "gain": gain(verdicts),
        "by_candidates": {
            str(count): {
                **share("right", hits),
                "clip_score": float(np.mean([v.clip_scores[count] for v in verdicts])),
            }
            for count, hits in best.items()
        },
    }


def by_candidates(verdicts: Sequence[Verdict]) -> dict[int, list[bool]]:
    """Say whether CLIP's favourite of so many is right, prompt by prompt (figure 9c's question)."""
    counts = sorted(set.intersection(*(set(v.best_of) for v in verdicts)))
    return {count: [v.right(v.best_of[count]) for v in verdicts] for count in counts}


def gain(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return what the favourite of all has over the first picture, and its standard error."""
    best = by_candidates(verdicts)
    share, error = paired(best[min(best)], best[max(best)])
    return {"share": share, "standard_error": error}


def share(name: str, hits: Sequence[bool]) -> dict[str, Any]:
    """Return the share of hits, and its 95 % interval beside it."""
    return {name: float(np.mean(hits)), f"{name}_interval": list(wilson(sum(hits), len(hits)))}


def judge_itself(dvae: Dvae, side: int, count: int) -> dict[str, Any]:
    """Measure the judge on pictures whose shapes are known, and on what the dVAE leaves of them."""
    scenes = [shapes.scene(JUDGE_SEED, index) for index in range(count)]
    pictures = [shapes.draw(scene, side) for scene in scenes]
    decoded = (from_tensor(drawn) for _, drawn, _ in through_dvae(dvae, pictures))
    reconstructed = (picture for tile in decoded for picture in tile)
    return {
        "pictures": count,
        **share("world", [_sees(scene, p) for scene, p in zip(scenes, pictures, strict=True)]),
        **share(
            "reconstructions",
            [_sees(scene, p) for scene, p in zip(scenes, reconstructed, strict=True)],
        ),
    }


def _sees(scene: shapes.Scene, picture: Pixels) -> bool:
    """Say whether the judge sees exactly what the world drew: nothing missing, nothing more."""
    return set(shapes.judge(picture)) == {figure.kind for figure in scene.figures}
