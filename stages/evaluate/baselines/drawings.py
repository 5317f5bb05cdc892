"""Drawings beside the training pictures whose captions are nearest in words to their prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool

from schemas.run_report.baselines_part import (
    BesideNearest,
    ChooserFigures,
    FoundBesideNearest,
    NearestCaptionFigures,
)
from stages import shapes
from stages.evaluate.baselines.choosers import Choice, by_score, choice
from stages.evaluate.intervals import Names, standard_error
from stages.evaluate.judgements import Judgement
from stages.evaluate.reading import DrawnPrompt
from stages.models.clip import Reranker
from stages.models.r_precision import r_precision
from stages.pictures import Pixels, decode
from stages.pictures.tensors import to_tensor

PROMPTS = 256  # of each set, the first ones
TILE = 50  # pictures that CLIP sees at a time


@dataclass(frozen=True)
class KeptPrompt:
    """A prompt with what baselines need of its drawings."""

    text: str
    set: str
    first: bytes | None  # PNG of the first drawn; None where sample was told to forget it
    favourite: bytes | None  # PNG of the favourite of all
    judgement: Judgement | None
    choice: Choice | None  # None without a judge


@dataclass
class KeptPrompts:
    """The first prompts of each set, gathered while the samples pass."""

    kept: list[KeptPrompt] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)  # prompts of each set, kept or not
    candidates: int = 0  # of a prompt

    def add(self, prompt: DrawnPrompt, judgement: Judgement | None) -> None:
        """Keep a prompt, unless there are enough of its set."""
        count = self.counts[prompt.set] = self.counts.get(prompt.set, 0) + 1
        self.candidates = max(self.candidates, len(prompt.ranked))
        if count <= PROMPTS:
            chosen = None if judgement is None else choice(prompt, judgement)
            pngs = prompt.first.png, prompt.ranked[0].png
            kept = KeptPrompt(prompt.text, prompt.set, *pngs, judgement, chosen)
            self.kept.append(kept)

    def by_score(self) -> ChooserFigures | None:
        """Return the share right of each chooser, for each set and for all; None unjudged."""
        sets: dict[str, list[Choice]] = {}
        for prompt in self.kept:
            if prompt.choice is not None:
                sets.setdefault(prompt.set, []).append(prompt.choice)
        if not sets:
            return None
        every = [one for choices in sets.values() for one in choices]
        of_sets = {name: by_score(choices) for name, choices in sets.items()}
        return ChooserFigures(all=by_score(every), sets=of_sets)


Paired = tuple[float, float, Names]  # of one prompt: ours, the nearest picture, what it names


def beside_nearest(
    kept: Sequence[KeptPrompt], nearest: Sequence[Pixels | None], clip: Reranker
) -> NearestCaptionFigures:
    """Return the accuracy by the judge, set by set, and R-precision of drawn and nearest."""
    found = [(own, other) for own, other in zip(kept, nearest, strict=True) if other is not None]
    right: dict[str, list[Paired]] = {}
    whole: dict[str, list[Paired]] = {}
    for prompt, picture in found:
        if (judgement := prompt.judgement) is not None:
            seen = shapes.find_shapes(picture)
            for rows, asked in ((right, judgement.right), (whole, judgement.whole)):
                pair = float(asked(judgement.favourite)), float(asked(seen)), judgement.names
                rows.setdefault(prompt.set, []).append(pair)
    return NearestCaptionFigures(
        accuracy={name: paired(rows) for name, rows in right.items()},
        whole={name: paired(rows) for name, rows in whole.items()},
        r_precision=retrieved(found, clip),
    )


def paired(prompts: Sequence[Paired]) -> BesideNearest:
    """Return the means over prompts, and the standard error of their difference."""
    ours, nearest, names = zip(*prompts, strict=True)
    differences = np.subtract(ours, nearest)
    return BesideNearest(
        prompts=len(prompts),
        ours=float(np.mean(ours)),
        nearest=float(np.mean(nearest)),
        standard_error=standard_error(differences.tolist(), names),
    )


def retrieved(
    found: Sequence[tuple[KeptPrompt, Pixels]], clip: Reranker
) -> FoundBesideNearest | None:
    """Return how often CLIP finds the prompt of the first picture drawn, and of the nearest.

    The first, for the favourites were chosen by the scores that are measured here. None for fewer
    than two prompts with a picture.
    """
    drawn = [(p, decode(p.first), nearest) for p, nearest in found if p.first is not None]
    if len(drawn) < 2:
        return None
    prompts = [prompt.text for prompt, _, _ in drawn]
    ours, chance = found_by(clip, [picture for _, picture, _ in drawn], prompts)
    theirs, _ = found_by(clip, [nearest for _, _, nearest in drawn], prompts)
    names = [frozenset([p.text]) if p.judgement is None else p.judgement.names for p, _, _ in drawn]
    rows = list(zip(ours.astype(float), theirs.astype(float), names, strict=True))
    return FoundBesideNearest(**paired(rows).model_dump(), chance=chance)


@torch.inference_mode()
def found_by(
    clip: Reranker, pictures: Sequence[Pixels], prompts: Sequence[str]
) -> tuple[Bool[np.ndarray, " p"], float]:
    """Say for which pictures CLIP finds their prompt, and how often chance would."""
    places = range(0, len(pictures), TILE)
    batches = ((to_tensor(pictures[i : i + TILE]), prompts[i : i + TILE]) for i in places)
    return r_precision(clip.scores(batches).numpy(), prompts)
