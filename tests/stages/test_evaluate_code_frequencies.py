"""Counts of codes: by hand, as a distribution, and where codes do or do not follow from others."""

import math

import numpy as np
import pytest
import torch

from schemas.settings import PriorShape, TokenSpec
from stages.evaluate.baselines.code_frequencies import contexts, interpolated, nats_per_code
from stages.models.prior import Prior, prior_terms


def random_codes(pictures, grid, vocab, seed=0):
    return np.random.default_rng(seed).integers(0, vocab, (pictures, grid * grid))


def striped(pictures, grid, vocab, seed=0):
    """Each picture has one code at random in all its places."""
    return random_codes(pictures, 1, vocab, seed).repeat(grid * grid, axis=1)


def test_contexts_of_a_picture_by_hand():
    found = contexts(np.array([[4, 5, 6, 7]]), image_vocab=9)
    outside = 9
    assert found["frequency"].tolist() == [[0, 0, 0, 0]]
    assert found["position"].tolist() == [[0, 1, 2, 3]]
    assert found["left"].tolist() == [[outside, 4, outside, 6]]
    assert found["neighbours"].tolist() == [[10 * 9 + 9, 10 * 9 + 4, 10 * 4 + 9, 10 * 5 + 6]]
    assert list(found)[-1] == "neighbours"  # the last is the narrowest


def test_witten_bell_by_hand():
    # three codes; after context 0: code 1 three times and code 2 once; after context 5: code 0
    seen, train = np.array([[0, 0, 0, 0, 5]]), np.array([[1, 1, 2, 1, 0]])
    asked, held_out = np.array([[0, 0, 0, 5, 5, 7]]), np.array([[1, 2, 0, 0, 1, 1]])
    wider = np.array([[0.2, 0.3, 0.5, 0.6, 0.1, 0.25]])
    found = interpolated(train, seen, held_out, asked, wider, 3)
    # (uses + different x wider) / (seen + different); context 7 is new
    by_hand = [3.4 / 6, 1.6 / 6, 1.0 / 6, 1.6 / 2, 0.1 / 2, 0.25]
    assert found[0].tolist() == pytest.approx(by_hand)


def test_nats_by_hand():
    # one code, twice in one picture of 1 x 1 each: (2 + 1/4) / (2 + 1) of a codebook of four, then
    # the same again at its place, to the right of the edge, and below it
    likely = 0.25
    found = nats_per_code(np.array([[3], [3]]), np.array([[3]]), 4)
    assert found["uniform"] == pytest.approx(math.log(4))
    for name in ("frequency", "position", "left", "neighbours"):
        likely = (2 + likely) / 3
        assert found[name] == pytest.approx(-math.log(likely))


def test_all_codes_after_a_context_have_one_as_sum():
    train, grid, vocab = random_codes(30, 3, 5), 3, 5
    one = random_codes(1, grid, vocab, seed=1)
    asked = contexts(one, vocab)
    total = np.zeros(one.shape)
    for code in range(vocab):
        likely, each = np.full(one.shape, 1 / vocab), np.full(one.shape, code)
        for name, seen in contexts(train, vocab).items():
            likely = interpolated(train, seen, each, asked[name], likely, vocab)
        total += likely
    assert total == pytest.approx(1)


def test_where_neighbours_say_all_nearly_nothing_is_left():
    train, held_out = striped(400, 6, 16), striped(50, 6, 16, seed=1)
    found = nats_per_code(train, held_out, 16)
    assert found["frequency"] == pytest.approx(math.log(16), abs=0.05)
    assert found["position"] == pytest.approx(math.log(16), abs=0.1)
    assert found["neighbours"] < 0.05 + math.log(16) / 36  # the first code is not to be foretold


def test_shuffled_neighbours_lose():
    train, held_out = striped(400, 6, 16), striped(50, 6, 16, seed=1)
    rng = np.random.default_rng(2)
    pool = rng.permuted(train.reshape(-1)).reshape(train.shape)  # as many of each, anywhere
    assert nats_per_code(pool, held_out, 16)["neighbours"] > 2.5
    assert nats_per_code(train, held_out, 16)["neighbours"] < 0.2


def test_where_only_the_place_says_something_it_is_found():
    vocab, grid = 16, 4
    train = np.broadcast_to(np.arange(16), (200, 16))
    found = nats_per_code(train, train[:20], vocab)
    assert found["frequency"] > 2.5
    assert found["position"] < 0.1
    mixed = np.random.default_rng(0).permuted(train, axis=1)
    assert nats_per_code(mixed, mixed[:20], vocab)["position"] > 2
    assert grid * grid == vocab


def test_noise_is_not_foretold_however_often_it_was_counted():
    """Counts of training rows would say less than ln K; held-out rows cannot."""
    train, held_out = random_codes(300, 8, 16), random_codes(100, 8, 16, seed=1)
    assert nats_per_code(train, held_out, 16)["neighbours"] > math.log(16) - 0.01
    assert nats_per_code(train, train, 16)["neighbours"] < math.log(16) - 0.1


def test_a_code_that_was_never_seen_is_finite():
    found = nats_per_code(np.zeros((50, 9), int), np.full((5, 9), 3), 8)
    assert all(map(math.isfinite, found.values()))
    assert found["neighbours"] > 10


def test_it_catches_a_prior_of_20_updates():
    spec = TokenSpec(text_vocab=300, text_len=4, image_vocab=16, grid=4)
    train, held_out = striped(160, 4, 16), striped(32, 4, 16, seed=1)
    torch.manual_seed(0)
    prior = Prior(spec, PriorShape(layers=3, heads=2, head_dim=8, conv_kernel=3))
    adam = torch.optim.Adam(prior.parameters(), lr=2e-3)

    def nats(codes):
        text = torch.full((len(codes), spec.text_len), spec.text_vocab)
        return prior_terms(prior, text, torch.from_numpy(codes)).image / codes.size

    for update in range(20):
        adam.zero_grad()
        nats(train[8 * update : 8 * update + 8]).backward()
        adam.step()
    with torch.inference_mode():
        assert nats_per_code(train, held_out, 16)["neighbours"] < nats(held_out).item() - 0.5
