"""A picture whose top is given is completed as its caption says, and as its top goes on.

On scenes of the demo's world that show one shape above another. A caption names both in any order,
so only the given rows tell which is still to be drawn; it never tells the background, so only the
given rows tell that. A small prior learns most of the scenes; the others are completed. Pictures
are cut into patches, whose codes lose nothing, so that what is measured is the prior's alone.
"""

import itertools
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch
from einops import rearrange

from schemas.settings import PriorShape, TokenSpec
from stages import shapes
from stages.evaluate.shares import chance
from stages.models.bpe import train_bpe
from stages.models.prior import Prior, prior_terms
from stages.models.sampling import candidate_seed
from stages.shapes.world import BACKGROUNDS, COLOURS, RADII, Figure, Scene, ShapeKind
from tests.stages.models.losses import prior_loss
from tests.stages.models.test_sampler import sample

SIDE, GRID = 64, 8
TEXT_VOCAB, TEXT_LEN = 300, 12
GIVEN = SIDE // 2 // 8 * GRID  # codes of the upper half
NAMES = ("red circle", "blue square", "green ring", "black cross", "yellow triangle")
KINDS = [ShapeKind(*name.split()) for name in NAMES]
TONES = BACKGROUNDS[:4]
HELD_OUT = 5  # one scene in so many is not learned
UPDATES, BATCH, LR = 300, 32, 6e-3


class Learned(NamedTuple):
    """A prior, the scenes it never saw, and what their codes stand for."""

    prior: Prior
    scenes: list[Scene]
    text: torch.Tensor
    codes: torch.Tensor
    patches: np.ndarray


def every_scene():
    for (upper, lower), tone in itertools.product(itertools.permutations(KINDS, 2), TONES):
        figures = tuple(
            Figure(kind, COLOURS[kind.colour], "", 0.5, y, RADII[""])
            for kind, y in ((upper, 0.25), (lower, 0.75))
        )
        for one, other in itertools.permutations([" ".join(upper), " ".join(lower)]):
            yield Scene(figures, tone, "", "", f"a {one} and a {other}")


@pytest.fixture(scope="module")
def learned():
    scenes = list(every_scene())
    pixels = np.stack([shapes.draw(scene, SIDE) for scene in scenes])
    cut = rearrange(pixels, "b (h y) (w x) c -> (b h w) (y x c)", h=GRID, w=GRID)
    patches, codes = np.unique(cut, axis=0, return_inverse=True)
    codes = torch.from_numpy(codes.reshape(len(scenes), GRID**2))
    bpe = train_bpe([scene.caption for scene in scenes], TEXT_VOCAB)
    ids = np.stack([bpe.encode_padded(scene.caption, TEXT_LEN).ids for scene in scenes])
    text = torch.from_numpy(ids.astype(np.int64))
    seen = torch.arange(len(scenes)) % HELD_OUT > 0
    prior = trained(text[seen], codes[seen], len(patches))
    held_out = [scene for scene, was in zip(scenes, seen.tolist(), strict=True) if not was]
    return Learned(prior, held_out, text[~seen], codes[~seen], patches)


def trained(text, codes, image_vocab):
    torch.manual_seed(0)
    tokens = TokenSpec(text_vocab=TEXT_VOCAB, text_len=TEXT_LEN, image_vocab=image_vocab, grid=GRID)
    prior = Prior(tokens, PriorShape(layers=2, heads=4, head_dim=16, conv_kernel=5))
    adam = torch.optim.AdamW(prior.parameters(), betas=(0.9, 0.95), weight_decay=0.3)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, LR, total_steps=UPDATES, pct_start=0.1)
    for _ in range(UPDATES):
        rows = torch.randint(len(text), (BATCH,))
        adam.zero_grad()
        prior_loss(prior_terms(prior, text[rows], codes[rows])).backward()
        adam.step()
        rate.step()
    return prior.eval()


def drawn(learned, text, given=None):
    """Draw one picture of each scene; return its codes."""
    seeds = [
        [candidate_seed(0, scene.caption, place)] for place, scene in enumerate(learned.scenes)
    ]
    return sample(learned.prior, text, torch.tensor(seeds), tile=32, given=given)[:, 0]


def pictures(learned, codes):
    cut = learned.patches[codes.numpy()]
    shape = "b (h w) (y x c) -> b (h y) (w x) c"
    return rearrange(cut, shape, h=GRID, y=SIDE // GRID, x=SIDE // GRID)


def told(learned, codes):
    """Does each picture (column) show what each caption (row) names?"""
    seen = [Counter(shapes.judge(picture)) for picture in pictures(learned, codes)]
    named = [Counter(shapes.named(scene.caption)) for scene in learned.scenes]
    return np.array([[wanted <= found for found in seen] for wanted in named])


def going_on(learned, codes):
    """Does the lower half of each picture (column) go on with each scene's (row) background?"""
    edges = pictures(learned, codes)[:, SIDE // 2 :, :3].reshape(len(codes), -1, 3)
    tones = [tuple(tone) for tone in np.median(edges, axis=1)]
    return np.array([[tone == scene.background for tone in tones] for scene in learned.scenes])


def share(matrix):
    return np.diag(matrix).mean()


def test_completions_keep_the_given_rows_and_respect_them_and_the_caption(learned):
    codes = drawn(learned, learned.text, learned.codes[:, :GIVEN])
    assert torch.equal(codes[:, :GIVEN], learned.codes[:, :GIVEN])
    named, background = told(learned, codes), going_on(learned, codes)
    assert len(named) == 32
    assert share(named) >= 0.85
    assert share(background) >= 0.95
    assert share(named & background) >= 0.85
    # the same pictures, with caption and given rows of another scene
    assert chance(named) <= 0.15
    assert chance(background) <= 0.3
    assert chance(named & background) <= 0.1


def test_without_the_caption_completions_do_not_know_what_to_add(learned):
    empty = torch.full_like(learned.text, learned.prior.pad)
    codes = drawn(learned, empty, learned.codes[:, :GIVEN])
    assert share(going_on(learned, codes)) >= 0.95
    assert share(told(learned, codes)) <= 0.5


def test_without_given_rows_pictures_have_a_background_of_their_own(learned):
    codes = drawn(learned, learned.text)
    assert share(told(learned, codes)) >= 0.85
    assert share(going_on(learned, codes)) <= 0.5
