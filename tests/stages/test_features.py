"""The FID's Inception-v3 has the shapes and pools it should have; each resize is its definition.

The numbers of OUTSIDE are those of torch-fidelity 0.4.0 (the TensorFlow graph, written in PyTorch)
with the weights of `weights()`, of the picture of `picture()`.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from schemas.errors import SchemaMismatch
from stages.features.inception import CLASSES, FEATURES, Inception, filled, mean_pool
from stages.features.resizes import RESIZES, to_inception

OUTSIDE = {
    "features": [0.0162618, 3.1554728, 0.9323758, 0.8322625, 5.5922813, 0.9145265],
    "mean": 0.9409761,
    "probability": 0.0963849,
}


def weights():
    """Weights that NumPy draws, so that they are the same with every torch."""
    rng = np.random.default_rng(0)
    found = {}
    for name, value in Inception().state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        drawn = rng.standard_normal(value.shape).astype(np.float32)
        if name.endswith("running_var") or name.endswith("bn.weight"):
            drawn = 1 + 0.1 * np.abs(drawn)
        elif value.ndim > 1:
            drawn *= np.float32((2 / np.prod(value.shape[1:])) ** 0.5)
        else:
            drawn *= np.float32(0.1)
        found[name] = torch.from_numpy(drawn)
    return found


def picture():
    return np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    return filled(weights(), "memory")


def test_the_network_has_the_names_and_the_number_of_the_public_weights():
    names = Inception().state_dict().keys()
    assert {
        "Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch5x5_2.bn.running_mean",
        "Mixed_6a.branch3x3dbl_3.conv.weight", "Mixed_6e.branch7x7dbl_5.bn.bias",
        "Mixed_7a.branch7x7x3_4.conv.weight", "Mixed_7c.branch3x3dbl_3b.conv.weight", "fc.bias",
    } <= names  # fmt: skip
    assert not any("Aux" in name for name in names)
    # 27,161,264 of torchvision's, less 3,326,696 of the second classifier, and eight more classes
    wanted = 27_161_264 - 3_326_696 + 8 * 2_049
    assert sum(weight.numel() for weight in Inception().parameters()) == wanted


def test_maps_shrink_as_in_the_paper(network):
    sides = {}
    for name in ("Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"):
        layer = network.get_submodule(name)
        layer.register_forward_hook(
            lambda _, __, out, name=name: sides.update({name: tuple(out.shape[1:])})
        )
    with torch.no_grad():
        features = network(torch.zeros(1, 3, 299, 299))
        probabilities = network.probabilities(features)
    assert sides == {
        "Conv2d_4a_3x3": (192, 71, 71), "Mixed_5d": (288, 35, 35), "Mixed_6e": (768, 17, 17),
        "Mixed_7c": (2_048, 8, 8),
    }  # fmt: skip
    assert features.shape == (1, FEATURES)
    assert probabilities.shape == (1, CLASSES)
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)


def test_pools_leave_their_padding_out_and_the_last_one_takes_the_maximum():
    ones = torch.ones(1, 1, 4, 4)
    assert torch.equal(mean_pool(ones), ones)  # 4 / 9 in a corner, were the padding counted
    spike = torch.zeros(1, 1, 5, 5)
    spike[0, 0, 2, 2] = 9
    with torch.device("meta"):
        network = Inception()
    assert network.Mixed_7b.pool(spike)[0, 0, 1, 1] == 1
    assert network.Mixed_7c.pool(spike)[0, 0, 1, 1] == 9


def test_probabilities_leave_the_last_bias_out(network):
    features = torch.rand(2, FEATURES)
    wanted = (features @ network.fc.weight.T).softmax(-1)
    torch.testing.assert_close(network.probabilities(features), wanted)
    assert network.fc.bias.abs().max() > 0


@pytest.mark.parametrize(
    "change",
    [
        {"fc.weight": torch.zeros(1_000, 2_048)},
        {"AuxLogits.fc.bias": torch.zeros(1_000)},
        {"Conv2d_1a_3x3.bn.weight": None},
    ],
    ids=["torchvision's classes", "a second classifier", "a gap"],
)
def test_other_weights_are_refused_by_name(change):
    found = {name: value for name, value in (weights() | change).items() if value is not None}
    with pytest.raises(SchemaMismatch, match=f"{next(iter(change))} among them.*pt_inception"):
        filled(found, "weights.pth")


def test_features_are_those_of_the_outside_network(network):
    with torch.no_grad():
        features = network(to_inception(picture(), 299, "legacy_tensorflow")[None])
        probabilities = network.probabilities(features)
    assert features[0, :6].tolist() == pytest.approx(OUTSIDE["features"], rel=1e-3)
    assert features.mean().item() == pytest.approx(OUTSIDE["mean"], rel=1e-4)
    assert probabilities.max().item() == pytest.approx(OUTSIDE["probability"], rel=1e-3)


def test_clean_is_pillows_bicubic_on_each_channel_without_rounding():
    found = RESIZES["clean"](picture(), 20)
    for channel in range(3):
        one = Image.fromarray(picture()[..., channel].astype(np.float32))
        wanted = np.asarray(one.resize((20, 20), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.array_equal(found[channel], wanted)
    assert not np.array_equal(found, found.round())


def test_without_antialias_only_four_neighbours_count():
    """Of a line of 8 pixels at 4: by corners every other one, by centres the mean of two."""
    line = np.array([0, 10, 20, 200, 40, 50, 60, 70], np.uint8)
    pixels = np.tile(line[None, :, None], (4, 1, 3))
    by_corners = RESIZES["legacy_tensorflow"](pixels, 4)
    by_centres = RESIZES["legacy_pytorch"](pixels, 4)
    assert by_corners[0, 0].tolist() == [0, 20, 40, 60]
    assert by_centres[0, 0].tolist() == [5, 110, 45, 65]
    wide = np.tile(np.arange(30, dtype=np.uint8)[None, :, None], (3, 1, 3))
    assert RESIZES["legacy_tensorflow"](wide, 3)[0, 0].tolist() == [0, 10, 20]


def test_the_last_pixel_by_corners_has_no_neighbour_beyond_it():
    pixels = np.tile(np.array([0, 100], np.uint8)[None, :, None], (2, 1, 3))
    found = RESIZES["legacy_tensorflow"](pixels, 4)
    assert found[0, 0].tolist() == [0, 50, 100, 100]


@pytest.mark.parametrize("convention", RESIZES)
def test_levels_are_scaled_to_about_one(convention):
    black, white = (np.full((8, 8, 3), level, np.uint8) for level in (0, 255))
    ends = [to_inception(p, 16, convention).unique().tolist() for p in (black, white)]
    assert ends == ([[-1], [1]] if convention == "legacy_pytorch" else [[-1], [127 / 128]])
