"""What every held-out picture, row of codes and prompt came to: what two runs are compared by.

A difference of two means is noise or not by how much single items differ, and where two runs
measured the same items, each can be compared with itself.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int

from schemas.artifacts import PRIOR, TOKEN_PAIRS
from schemas.folder import Inputs
from schemas.run_report.outcomes_part import CodeOutcomes, PictureOutcomes, PromptOutcomes
from stages.data.parquet import validation_part
from stages.data.table import PRIOR_VALIDATION_ROWS
from stages.evaluate.accuracy import by_set
from stages.evaluate.baselines import first_tokens
from stages.evaluate.judgements import Judgement
from stages.evaluate.reconstructions import Captioned
from stages.models.flops import prior_flops
from stages.models.prior import Prior
from stages.models.r_precision import r_precision
from stages.weights import PriorConfig, load_prior, read_config

MOST_FLOPS = 1e12  # that the prior may take here: some ten seconds on two cores
BATCH = 16  # rows of the prior at a time


def picture_outcomes(
    pictures: Sequence[Captioned],
    squared_errors: Sequence[float],
    scores: Float[np.ndarray, "p p"] | None,
) -> PictureOutcomes:
    """Return what the dVAE and CLIP made of each picture; `scores` are None without pictures."""
    content = hashlib.sha256()
    for picture in pictures:
        content.update(np.ascontiguousarray(picture.pixels).tobytes())
    captions = [picture.caption for picture in pictures]
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    found = () if scores is None else r_precision(scores, captions).found.tolist()
    return PictureOutcomes(
        sha256=content.hexdigest(),
        captions=tuple(numbers[caption] for caption in captions),
        squared_errors=tuple(squared_errors),
        found=tuple(found),
    )


def code_outcomes(inputs: Inputs) -> CodeOutcomes:
    """Return the nats of the prior for each row behind its own validation.

    Of the first rows only where all of them would take more than MOST_FLOPS.
    """
    folder = inputs.folder(TOKEN_PAIRS)
    part = validation_part(folder)
    text, codes = (
        first_tokens(folder, part, PRIOR_VALIDATION_ROWS, column) for column in ("text", "image")
    )
    digest = hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest()
    weights = inputs.folder(PRIOR)
    sizes = read_config(weights, PriorConfig)
    rows = int(MOST_FLOPS // prior_flops(sizes.tokens, sizes.shape))
    if rows < 2:
        return CodeOutcomes(sha256=digest, nats=None)
    nats = nats_of_rows(load_prior(weights), text[:rows], codes[:rows])
    return CodeOutcomes(sha256=digest, nats=tuple(nats))


@torch.inference_mode()
def nats_of_rows(
    prior: Prior, text: Int[np.ndarray, "n T"], codes: Int[np.ndarray, "n I"]
) -> Iterator[float]:
    """Yield the cross-entropy per code of each row."""
    for start in range(0, len(codes), BATCH):
        own, image = (torch.from_numpy(p[start : start + BATCH]) for p in (text, codes))
        _, logits = prior(own, image)
        nats = F.cross_entropy(rearrange(logits, "b i k -> b k i"), image, reduction="none")
        yield from nats.mean(dim=1).tolist()


def prompt_outcomes(judgements: Sequence[Judgement]) -> Mapping[str, PromptOutcomes]:
    """Return what is right of the drawings of each prompt, by the set of prompts."""
    return {
        name: PromptOutcomes(
            prompts=tuple(one.prompt for one in own),
            single=tuple(one.right(one.single) for one in own),
            reranked=tuple(one.right(one.favourite) for one in own),
            whole=tuple(one.whole(one.favourite) for one in own),
        )
        for name, own in by_set(judgements).items()
    }
