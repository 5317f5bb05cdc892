"""Reports with planted outcomes: which pictures and prompts came out how, in two runs."""

import numpy as np

from schemas.run_report.outcomes_part import (
    CodeOutcomes,
    Outcomes,
    PictureOutcomes,
    PromptOutcomes,
)
from stages import shapes
from stages.models.fidelity import psnr_db
from tests.stages.reports import judgement, small_report

PICTURES, PROMPTS = 96, 72
SETS = {
    kind: tuple(shapes.prompts(kind, PROMPTS, 0)) for kind in ("held_out", "seen", "two_shapes")
}
KINDS = {
    kind: [shapes.named(text) for text in texts] for kind, texts in SETS.items()
}  # of colour and shape, that each prompt names
PLACES = {
    one: place
    for place, one in enumerate(sorted({k for own in KINDS.values() for many in own for k in many}))
}
NAMES = {  # first and last: of most prompts one and the same
    kind: np.array([[PLACES[many[0]], PLACES[many[-1]]] for many in own])
    for kind, own in KINDS.items()
}
TEMPLATE = small_report(
    [judgement("a red star", [], [], kind=kind) for kind in SETS for _ in range(2)]
)


def report(errors, found, nats, prompts, *, captions=None, sets=SETS, **other):
    """Make a report whose figures are those of the outcomes; `prompts` are by set, then by key."""
    captions = tuple(range(len(errors)) if captions is None else captions)
    pictures = PictureOutcomes(
        sha256=other.get("pictures", "p"), captions=captions, squared_errors=tuple(errors),
        found=tuple(bool(hit) for hit in found),
    )  # fmt: skip
    codes = CodeOutcomes(sha256=other.get("codes", "c"), nats=None if nats is None else tuple(nats))
    hits = {
        kind: PromptOutcomes(
            prompts=sets[kind],
            **{key: tuple(bool(hit) for hit in values) for key, values in own.items()},
        )
        for kind, own in prompts.items()
    }
    outcomes = Outcomes(
        revision=other.get("revision", 10), pictures=pictures, codes=codes, prompts=hits
    )
    prior = TEMPLATE.baselines.prior.model_copy(
        update={"prior": None if nats is None else float(np.mean(nats))}
    )
    accuracy = {
        kind: TEMPLATE.accuracy.sets[kind].model_copy(
            update={
                "single": float(np.mean(own["single"])),
                "reranked": float(np.mean(own["reranked"])),
                "whole": TEMPLATE.accuracy.sets[kind].whole.model_copy(
                    update={"reranked": float(np.mean(own["whole"]))}
                ),
            }
        )
        for kind, own in prompts.items()
    }
    psnr = psnr_db(float(np.mean(errors)))
    split = other.get("split", "val")
    return TEMPLATE.model_copy(
        update={
            "outcomes": outcomes,
            "dvae": TEMPLATE.dvae.model_copy(update={"psnr_db": psnr, "split": split}),
            "clip": TEMPLATE.clip.model_copy(update={"r_precision": float(np.mean(found))}),
            "baselines": TEMPLATE.baselines.model_copy(update={"prior": prior}),
            "accuracy": TEMPLATE.accuracy.model_copy(update={"sets": accuracy}),
        }
    )


class World:
    """What is hard for every run: pictures, captions, combinations of colour and shape."""

    def __init__(self, rng):
        self.rng = rng
        self.picture = rng.normal(0, 0.8, PICTURES)
        self.captions = rng.integers(0, PICTURES // 4, PICTURES)
        self.combination = rng.normal(1.5, 1.0, len(PLACES))

    def run(self, *, errors=0.0, found=0.0, nats=0.0, right=0.0, **other):
        """Make a report of a run with luck of its own, better or worse by what is planted.

        Its luck with a combination, or with a caption, shows in all prompts that name it.
        """
        rng = self.rng
        own = rng.normal(0, 1.5, len(self.combination))
        of_caption = rng.normal(0, 1.5, PICTURES)[self.captions]
        hits = {
            kind: {
                key: rng.random(PROMPTS) < _share(likely + right - low)
                for key, low in (("single", 0.5), ("reranked", 0.0), ("whole", 1.0))
            }
            for kind, names in NAMES.items()
            for likely in [(self.combination + own)[names].min(axis=1)]
        }
        return report(
            np.exp(self.picture + errors + rng.normal(0, 0.3, PICTURES) - 5),
            rng.random(PICTURES) < _share(self.picture + of_caption + found),
            1 + nats + 0.3 * self.picture + rng.normal(0, 0.1, PICTURES),
            hits, captions=self.captions.tolist(), **other,
        )  # fmt: skip


def _share(logit):
    return 1 / (1 + np.exp(-logit))
