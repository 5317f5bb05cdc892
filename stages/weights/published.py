"""Read a discrete VAE from elsewhere: the release's encoder and decoder, or an artifact of ours.

| at the address | files |
|---|---|
| the release (openai/DALL-E) | encoder.pkl and decoder.pkl |
| the same as state dicts | encoder.pt and decoder.pt |
| ours | model.safetensors, and config.json with the side it was trained at |
"""

import io
from typing import NamedTuple

import torch
from torch import Tensor

from schemas.artifacts import MODEL_CONFIG, WEIGHTS
from schemas.errors import ConfigError, SchemaMismatch
from schemas.folder import Folder
from schemas.settings import DvaeShape
from stages.data.digests import digest_of_files
from stages.models.dvae import Dvae
from stages.models.published_dvae import from_published, to_published
from stages.storage import is_file, reaching, system_of
from stages.weights import DvaeConfig
from stages.weights.torch_files import read_tensors

ENCODER, DECODER = "encoder", "decoder"
WHOLE = "model"
ENDINGS = (".pkl", ".pt", ".safetensors")


class Published(NamedTuple):
    """A model and its sizes; `side` is None where the files do not have it."""

    dvae: Dvae
    shape: DvaeShape
    image_vocab: int
    side: int | None


def files_of(address: str) -> dict[str, str]:
    """Return the address of each part: the encoder and the decoder, or the whole model.

    Raises ConfigError if there is neither, or if the address cannot be opened.
    """
    sets = [(WEIGHTS,), *((ENCODER + ending, DECODER + ending) for ending in ENDINGS)]
    with reaching(address, "a dVAE's weights"):
        system, top = system_of(address)
        if is_file(system, top):
            return {WHOLE: address}
        for names in sets:
            if all(is_file(system, f"{top}/{name}") for name in names):
                return {name.rpartition(".")[0]: f"{address.rstrip('/')}/{name}" for name in names}
    raise ConfigError(
        f"wanted encoder.pkl and decoder.pkl, or {WEIGHTS}, in {address}, found neither; give the "
        "folder that holds both files of the release, or a finished dvae artifact"
    )


def digest_of(address: str) -> str:
    """Return a digest of the weights' files, independent of where they are."""
    with reaching(address, "a dVAE's weights"):
        return digest_of_files(sorted(files_of(address).items()))


def open_published(address: str) -> Published:
    """Read a discrete VAE of the release or of ours; raise ConfigError or SchemaMismatch."""
    files = files_of(address)
    tensors: dict[str, Tensor] = {}
    for part, file in files.items():
        prefix = "" if part == WHOLE else f"{part}."
        tensors |= {prefix + name: value for name, value in read_tensors(file).items()}
    return Published(*from_published(tensors, address), _side(address))


def _side(address: str) -> int | None:
    """Return the side of the training pictures, if the folder is an artifact of ours."""
    with reaching(address, "a dVAE's weights"):
        system, top = system_of(address)
        name = f"{top}/{MODEL_CONFIG}"
        if not is_file(system, name):
            return None
        text = system.cat_file(name)
    try:
        return DvaeConfig.model_validate_json(text).side
    except ValueError as error:  # pydantic's ValidationError is one
        raise SchemaMismatch(
            f"{address}/{MODEL_CONFIG} is not of a discrete VAE ({error}); take it away, or give "
            "another folder"
        ) from error


def save_published(out: Folder, dvae: Dvae) -> None:
    """Write state dicts with the released names: encoder.pt and decoder.pt."""
    for part, tensors in zip((ENCODER, DECODER), to_published(dvae), strict=True):
        file = io.BytesIO()
        torch.save(tensors, file)
        out.commit(f"{part}.pt", file.getvalue())
