"""How much of what prompts say is so in their pictures: by aspect, whole, by the length of prompts.

A prompt says several things (`stages.shapes.atoms`), and a picture is right as a whole when all of
them are so in it (Ghosh et al. 2023 score prompts so; Cho et al. 2024 score single statements).
Single is the first picture drawn, reranked is the favourite of all.
"""

from collections.abc import Sequence

import numpy as np

from schemas.run_report.accuracy_part import AspectAccuracy, JudgedShares, LengthAccuracy
from stages import shapes
from stages.evaluate.judgements import Judgement
from stages.evaluate.shares import chance, share

LONG = 4  # atoms of a prompt: longer ones are counted with it


def whole_prompts(judgements: Sequence[Judgement]) -> JudgedShares:
    """Return the share of prompts of which everything is so."""
    names = [v.names for v in judgements]
    pictures = [v.favourite for v in judgements]
    return JudgedShares(
        **share("single", [v.whole(v.single) for v in judgements], names),
        **share("reranked", [v.whole(v.favourite) for v in judgements], names),
        chance=chance(np.array([[v.whole(seen) for seen in pictures] for v in judgements])),
    )


def by_aspect(judgements: Sequence[Judgement]) -> dict[str, AspectAccuracy]:
    """Return the share of atoms that are so, for each aspect that any prompt says something of."""
    said = {one: [v for v in judgements if _own(v, one)] for one in shapes.ASPECTS}
    return {aspect: _of_aspect(aspect, own) for aspect, own in said.items() if own}


def by_length(judgements: Sequence[Judgement]) -> dict[str, LengthAccuracy]:
    """Return, by the number of atoms of a prompt, what is so in the favourites."""
    lengths: dict[int, list[Judgement]] = {}
    for judgement in judgements:
        lengths.setdefault(min(LONG, len(judgement.atoms)), []).append(judgement)
    return {
        f"{length} or more" if length == LONG else str(length): LengthAccuracy(
            prompts=len(own),
            **share("whole", [v.whole(v.favourite) for v in own], [v.names for v in own]),
            atoms=float(np.mean([a.holds(v.favourite) for v in own for a in v.atoms])),
        )
        for length, own in sorted(lengths.items())
    }


def _own(judgement: Judgement, aspect: str) -> list[shapes.Atom]:
    return [atom for atom in judgement.atoms if atom.aspect == aspect]


def _of_aspect(aspect: str, judgements: Sequence[Judgement]) -> AspectAccuracy:
    """Return shares over all atoms of an aspect; those of one prompt name what it names.

    `if_there` leaves out atoms about a shape that the picture does not show at all, so it tells a
    shape in the wrong place from one that is missing; None if that leaves none.
    """
    atoms = [(v, atom) for v in judgements for atom in _own(v, aspect)]
    names = [v.names for v, _ in atoms]
    there = [
        (atom.holds(v.favourite), v.names)
        for v, atom in atoms
        if atom.about <= {one.kind for one in v.favourite}
    ]
    nothing = {"if_there": None, "if_there_interval": None}
    return AspectAccuracy(
        atoms=len(atoms),
        **share("single", [atom.holds(v.single) for v, atom in atoms], names),
        **share("reranked", [atom.holds(v.favourite) for v, atom in atoms], names),
        chance=chance(_share_of_others(aspect, judgements)),
        there=len(there),
        **(share("if_there", *zip(*there, strict=True)) if there else nothing),
    )


def _share_of_others(aspect: str, judgements: Sequence[Judgement]) -> np.ndarray:
    """Return what share of a prompt's atoms is so in the picture of each prompt."""
    atoms = [_own(v, aspect) for v in judgements]
    return np.array(
        [
            [sum(atom.holds(v.favourite) for atom in own) / len(own) for v in judgements]
            for own in atoms
        ]
    )
