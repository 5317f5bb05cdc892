"""Open a feature network: the FID's Inception-v3, a CLIP, or a DINOv2.

| what is handed in | features |
|---|---|
| a file of weights (pt_inception: torch.save, TorchScript or safetensors) | last pool, 2,048 |
| a folder that transformers saved, with a CLIP | unit vectors of the projection |
| a folder that transformers saved, with a DINOv2 | class token after the last norm |
| the name that such a model has on the hub | the same; it is fetched once, as transformers does |
| the clip artifact of a run | unit vectors of the projection |

No code and no pickle in a file is run.
"""

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor

from schemas.artifacts import MODEL_CONFIG, WEIGHTS
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.data.digests import digest_of_files, file_digest, sha256_of
from stages.features import FeatureExtractor, centre_square
from stages.features.inception import SIDE, filled
from stages.features.resizes import RECORDS, WORDS, Convention, clean, to_inception
from stages.metrics.reported import FeatureNetwork, Resize
from stages.models.clip_preprocessing import FILTERS, side_of
from stages.pictures.tensors import to_tensor
from stages.weights import PREPROCESSING, load_clip
from stages.weights.torch_files import read_tensors

if TYPE_CHECKING:  # importing transformers takes seconds
    from transformers import PretrainedConfig

    from stages.models.clip import Reranker

INCEPTION = "inception-v3-fid"
DINO = ("dinov2", "dinov2_with_registers")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")  # of whose model
HUB_FILES = ("*.json", "*.txt", "*.safetensors")  # no pickles, and no weights of other libraries
# per channel, of ImageNet, with which DINOv2 was trained
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def open_network(
    address: str, convention: Convention, device: str = "cpu", setting: str = "--features"
) -> FeatureExtractor:
    """Open a file of Inception's weights, or a CLIP or a DINOv2 in a folder or by its hub name.

    `convention` is Inception's resize. Raises SchemaMismatch, or ConfigError that names `setting`.
    """
    path = Path(address)
    if path.is_file():
        return inception(address, convention, device)
    name = path.resolve().name
    if HUB_NAME.fullmatch(address) and not path.exists():
        path, name = from_hub(address, setting), address
    config = path / MODEL_CONFIG
    kind = _json(config).get("model_type") if config.is_file() else None
    if kind == "clip":
        from stages.models.published_clip import pretrained_reranker

        reranker = pretrained_reranker(str(path), setting=setting)
        return _of_reranker(_named(f"clip:{name}", path), reranker, device)
    if kind in DINO:
        return _dino(_named(f"{kind}:{name}", path), path, device, setting)
    raise ConfigError(
        f"{setting}: wanted a file of Inception's weights, or a folder with the {MODEL_CONFIG} of "
        f"a CLIP or a DINOv2, found {_found(path, kind)} at '{address}'; give one of these"
    )


def from_hub(name: str, setting: str) -> Path:
    """Return the folder in which the hub's cache has a model, fetched if it is not there yet.

    Raises ConfigError, which names `setting`, if it cannot be had.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{setting}: wanted a file, a folder, or the hub name of a CLIP or a DINOv2, found no "
            f"'{name}' here and none that can be fetched ({str(error).strip().splitlines()[0]}); "
            "mend the path, or download it where there is a network"
        ) from error


def _found(path: Path, kind: object) -> str:
    if kind is not None:
        return f"a model of type {kind}"
    return f"no {MODEL_CONFIG}" if path.exists() else "nothing"


def inception(address: str, convention: Convention, device: str = "cpu") -> FeatureExtractor:
    """Open the FID's network; raise SchemaMismatch for the weights of another."""
    network = filled(read_tensors(address), address).to(device)
    return FeatureExtractor(
        network=FeatureNetwork(name=INCEPTION, sha256=sha256_of(address)),
        resize=RECORDS[convention],
        convention=f"{convention}: {WORDS[convention]}",
        prepare=partial(to_inception, side=SIDE, convention=convention),
        embed=network,
        device=device,
        classify=network.probabilities,
    )


def clip_of_run(folder: Folder, device: str = "cpu") -> FeatureExtractor:
    """Open the clip artifact of a run."""
    network = FeatureNetwork(name="clip:of-the-run", sha256=file_digest(folder, WEIGHTS).sha256)
    return _of_reranker(network, load_clip(folder), device)


def _of_reranker(network: FeatureNetwork, reranker: "Reranker", device: str) -> FeatureExtractor:
    how = reranker.preprocessing
    reranker = reranker.to(device)
    return FeatureExtractor(
        network=network,
        resize=Resize(method=FILTERS[how.resample], antialias=True, side=how.resized),
        convention=f"CLIP's own: the centre square in 8 bits, and of that the centre {how.side}",
        prepare=lambda picture: how.resize(to_tensor([centre_square(picture)]))[0],
        embed=reranker.features_of_inputs,
        device=device,
        embed_texts=reranker.text_features,
    )


def _dino(network: FeatureNetwork, path: Path, device: str, setting: str) -> FeatureExtractor:
    """Open a DINOv2 as FD-DINOv2 is computed (Stein et al. 2023): resized as clean-fid does."""
    from transformers import AutoConfig, AutoModel

    from stages.models.published_clip import whole_model

    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    where = f"{setting}: wanted a DINOv2 with model.safetensors, found '{path}' with "
    model = whole_model(AutoModel, str(path), config, where).float().eval().to(device)
    side, mean, std = _input_of(path, config, setting)

    def embed(levels: Tensor) -> Tensor:
        shifted = (levels / 255 - mean.to(device)) / std.to(device)
        return model(pixel_values=shifted).last_hidden_state[:, 0]

    return FeatureExtractor(
        network=network,
        resize=Resize(method="bicubic", antialias=True, side=side),
        convention=f"clean: {WORDS['clean']}",
        prepare=partial(clean, side=side),
        embed=embed,
        device=device,
    )


def _input_of(path: Path, config: "PretrainedConfig", setting: str) -> tuple[int, Tensor, Tensor]:
    """Return the side of the input, and the mean and deviation of each channel in [0, 1]."""
    file = path / PREPROCESSING
    told = _json(file) if file.is_file() else {}
    side = side_of(told["crop_size"]) if "crop_size" in told else config.image_size
    if not side or side % config.patch_size:
        raise ConfigError(
            f"{setting}: wanted a square input of whole patches of {config.patch_size} pixels in "
            f"'{file}', found {told.get('crop_size')}; use the file that the model came with"
        )
    mean, std = (
        rearrange(torch.tensor(told.get(name, usual)), "c -> c 1 1")
        for name, usual in (("image_mean", MEAN), ("image_std", STD))
    )
    return side, mean, std


def _named(name: str, folder: Path) -> FeatureNetwork:
    """Name a folder's network, with the sha256 of its one file, or of all names and contents."""
    files = sorted(folder.glob("*.safetensors"))
    listed = [(file.name, str(file)) for file in files]
    sha256 = sha256_of(str(files[0])) if len(files) == 1 else digest_of_files(listed)
    return FeatureNetwork(name=name, sha256=sha256)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"wanted settings of a model in '{path}', found {error}; download it again"
        ) from error
    return found if isinstance(found, dict) else {}
