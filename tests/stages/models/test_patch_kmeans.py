"""K-means on patches against definitions, planted centres, and a network trained for 20 updates."""

import numpy as np
import pytest
import torch

from schemas.settings import DvaeShape
from stages import shapes
from stages.evaluate.reconstructions import reconstruct
from stages.models.dvae import Dvae, elbo_terms
from stages.models.patch_kmeans import MIDDLE, PatchKmeans, _start, _step, squares_of
from stages.pictures.tensors import to_tensor

VALUES = 192  # of a square of 8 x 8 pixels


def plain(*levels):
    """Squares that have one level in all their values."""
    return torch.tensor(levels, dtype=torch.uint8)[:, None].expand(-1, VALUES)


def levels_of(kmeans):
    """The one level of each plain centre, in their order."""
    assert (kmeans.centres == kmeans.centres[:, :1]).all()
    return sorted((kmeans.centres[:, 0] + MIDDLE).tolist())


def random_squares(count, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (count, VALUES), dtype=np.uint8)
    )


def world(start, count, side=32):
    return [shapes.draw(shapes.scene(7, start + index), side) for index in range(count)]


def fitted(pictures, codes):
    return PatchKmeans.fit(squares_of(torch.from_numpy(np.stack(pictures)), 8), codes)


def psnr(tokenizer, pictures, codes=64):
    return reconstruct(tokenizer, pictures, codes, keep=0).psnr_db


def test_squares_lie_where_the_codes_of_a_picture_lie():
    picture = np.zeros((1, 16, 24, 3), np.uint8)
    picture[0, 8:, 16:, 2] = np.arange(64).reshape(8, 8)  # the last of 2 x 3
    squares = squares_of(torch.from_numpy(picture), 8).reshape(6, 8, 8, 3)
    assert squares[:5].sum() == 0
    assert (squares[5, :, :, 2].numpy() == np.arange(64).reshape(8, 8)).all()


@pytest.mark.parametrize("patch", [4, 16])
def test_squares_of_other_sizes_are_cut_and_laid_out_alike(patch):
    pictures = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8)
    squares = squares_of(pictures, patch)
    assert torch.equal(squares[1].reshape(patch, patch, 3), pictures[0, :patch, patch : 2 * patch])
    kmeans = PatchKmeans.of(pictures, patch, len(squares))
    assert kmeans.patch == patch
    pixels = to_tensor(pictures)
    assert kmeans.codes(pixels).shape == (2, 32 // patch, 48 // patch)
    torch.testing.assert_close(kmeans.decode(kmeans.codes(pixels)), pixels)


def test_a_picture_becomes_the_nearest_centres_and_is_drawn_as_these():
    kmeans = PatchKmeans(plain(10, 200).float() - MIDDLE)
    picture = torch.full((2, 3, 8, 16), 104 / 255)  # 94 from 10, 96 from 200
    picture[1, :, :, 8:] = 106 / 255
    codes = kmeans.codes(picture)
    assert codes.tolist() == [[[0, 0]], [[0, 1]]]
    drawn = kmeans.decode(codes)
    assert drawn.shape == picture.shape
    assert (drawn[0] == 10 / 255).all()
    assert (drawn[1, :, :, 8:] == 200 / 255).all()


def test_pictures_of_centres_alone_come_back_as_they_were():
    squares = random_squares(6)
    kmeans = PatchKmeans(squares.float() - MIDDLE)
    codes = torch.tensor([[[3, 0], [5, 1]], [[2, 2], [4, 0]]])
    assert torch.equal(kmeans.codes(kmeans.decode(codes)), codes)


def test_planted_centres_are_found():
    levels = [0, 17, 60, 61, 140, 255]
    squares = plain(*np.repeat(levels, [1, 40, 3, 200, 9, 500]))
    for seed in range(5):
        assert levels_of(PatchKmeans.fit(squares, len(levels), seed)) == levels


def test_a_centre_is_the_mean_of_its_squares():
    assert levels_of(PatchKmeans.fit(plain(0, 2, 4, 100, 104, 108), 2)) == [2, 104]


def test_a_step_is_lloyds():
    levels = random_squares(200).float() - MIDDLE
    centres = levels[:7]
    far = np.square(levels.double().numpy()[:, None] - centres.double().numpy()).sum(axis=2)
    own = far.argmin(axis=1)
    means = [levels.double().numpy()[own == k].mean(axis=0).round() for k in range(7)]
    assert np.array_equal(_step(levels, centres).numpy(), np.stack(means))


def test_a_centre_without_squares_moves_to_the_square_that_is_worst_off():
    levels = plain(0, 0, 1, 90).float() - MIDDLE
    moved = _step(levels, plain(0, 0, 0).float() - MIDDLE) + MIDDLE
    assert moved[:, 0].tolist() == [23.0, 90.0, 1.0]  # the mean of all, then the worst two


def test_the_start_prefers_what_is_far_from_all_before():
    """999 squares are alike and one is not: drawn blindly, it is missed in 99 of 100 cases."""
    levels = plain(*[10] * 999, 250).float() - MIDDLE
    starts = [_start(levels, 10, torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert all((start[:, 0] == 250 - MIDDLE).any() for start in starts)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_centre(threads):
    squares = random_squares(1_000)
    alone = PatchKmeans.fit(squares, 20).centres
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    together = PatchKmeans.fit(squares, 20).centres
    torch.set_num_threads(before)
    assert torch.equal(together, alone)
    assert not torch.equal(PatchKmeans.fit(squares, 20, seed=1).centres, alone)


def test_distances_are_exact_where_they_are_largest():
    """The largest there can be, and one that differs by the least: 32 bits hold both."""
    squares = plain(0, 255).clone()
    squares[1, 0] = 254
    kmeans = PatchKmeans(torch.stack([squares[1], plain(255)[0]]).float() - MIDDLE)
    nearly = plain(255).clone().reshape(1, 8, 8, 3)
    assert kmeans.codes(to_tensor(nearly)).item() == 1
    nearly[0, 0, 0, 0] = 254
    assert kmeans.codes(to_tensor(nearly)).item() == 0


def test_fewer_squares_than_codes_are_all_kept():
    kmeans = PatchKmeans.fit(plain(3, 7, 7, 90), 16)
    assert set(levels_of(kmeans)) == {3, 7, 90}
    assert len(kmeans.centres) == 4


def test_squares_that_are_all_alike_need_one_centre():
    assert set(levels_of(PatchKmeans.fit(plain(*[40] * 30), 8))) == {40}


def test_more_codes_keep_more_of_held_out_pictures():
    train, held_out = world(0, 60), world(1_000, 20)
    found = [psnr(fitted(train, codes), held_out) for codes in (1, 4, 16, 64)]
    assert found == sorted(found)
    assert found[-1] > found[0] + 6


def test_it_catches_a_dvae_of_20_updates():
    train, held_out = world(0, 40), world(1_000, 20)
    torch.manual_seed(0)
    dvae = Dvae(DvaeShape(width=8, blocks=1, codebook_width=16), 64)
    adam = torch.optim.Adam(dvae.parameters(), lr=2e-3)
    for update in range(20):
        pixels = to_tensor(train[8 * (update % 5) : 8 * (update % 5 + 1)])
        terms = elbo_terms(dvae, pixels, temperature=1.0)
        adam.zero_grad()
        (terms.reconstruction / terms.values).backward()
        adam.step()
    assert psnr(fitted(train, 64), held_out) > psnr(dvae.eval(), held_out) + 3
