"""Save and load finished models: safetensors, and the sizes that rebuild the module."""

import json
import tempfile
from pathlib import Path
from typing import TypeVar

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from schemas.artifacts import MODEL_CONFIG, TOKENIZER, WEIGHTS
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.settings import Config, DvaeShape, PriorShape, TokenSpec
from stages.models.bpe import Bpe
from stages.models.clip import OwnTokens, PublishedTokens, Reranker, Tokenize
from stages.models.clip_preprocessing import Preprocessing
from stages.models.dvae import Dvae
from stages.models.prior import Prior

PUBLISHED = "tokenizer/"  # of a published CLIP; one trained here has tokenizer.json instead
PREPROCESSING = "preprocessor_config.json"  # of a CLIP's pictures

AnyConfig = TypeVar("AnyConfig", bound=Config)
AnyModule = TypeVar("AnyModule", bound=nn.Module)


class DvaeConfig(Config):
    """config.json of the dvae artifact."""

    shape: DvaeShape
    image_vocab: int
    side: int


class PriorConfig(Config):
    """config.json of the prior artifact."""

    shape: PriorShape
    tokens: TokenSpec


def save_model(out: Folder, module: nn.Module, config: Config) -> None:
    out.commit(WEIGHTS, _weights(module))
    out.commit(MODEL_CONFIG, config.model_dump_json(indent=2).encode())


def _weights(module: nn.Module) -> bytes:
    tensors = {name: value.contiguous().cpu() for name, value in module.state_dict().items()}
    return safetensors.torch.save(tensors, metadata={"format": "pt"})


def save_clip(out: Folder, reranker: Reranker) -> None:
    """Write a CLIP as the transformers library does, with its preprocessing and its tokenizer."""
    if isinstance(reranker.tokenize, OwnTokens):
        out.commit(TOKENIZER, reranker.tokenize.bpe.to_json().encode())
    if isinstance(reranker.tokenize, PublishedTokens):
        with tempfile.TemporaryDirectory() as scratch:
            reranker.tokenize.tokenizer.save_pretrained(scratch)
            for file in sorted(Path(scratch).iterdir()):
                out.commit(PUBLISHED + file.name, file.read_bytes())
    out.commit(PREPROCESSING, json.dumps(reranker.preprocessing.to_config(), indent=2).encode())
    out.commit(WEIGHTS, _weights(reranker.clip))
    out.commit(MODEL_CONFIG, reranker.clip.config.to_json_string(use_diff=False).encode())


def load_dvae(folder: Folder) -> Dvae:
    """Rebuild the discrete VAE on the CPU, in evaluation mode."""
    config = read_config(folder, DvaeConfig)
    return fill(Dvae(config.shape, config.image_vocab), folder)


def load_prior(folder: Folder) -> Prior:
    """Rebuild the transformer on the CPU, in evaluation mode."""
    config = read_config(folder, PriorConfig)
    return fill(Prior(config.tokens, config.shape), folder)


def load_clip(folder: Folder) -> Reranker:
    """Rebuild the reranker, trained here or published, on the CPU, in evaluation mode."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel

    sizes = CLIPConfig.from_dict(json.loads(_read(folder, MODEL_CONFIG)))
    length, side = sizes.text_config.max_position_embeddings, sizes.vision_config.image_size
    tokenize: Tokenize
    if folder.exists(TOKENIZER):
        tokenize = OwnTokens(load_bpe(folder), length)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            for name in folder.list(PUBLISHED):
                (Path(scratch) / name.removeprefix(PUBLISHED)).write_bytes(_read(folder, name))
            tokenize = PublishedTokens(AutoTokenizer.from_pretrained(scratch), length)
    preprocessing = Preprocessing.plain(side)
    if folder.exists(PREPROCESSING):
        config = json.loads(_read(folder, PREPROCESSING))
        preprocessing = Preprocessing.from_config(config, side, where=folder.url)
    return Reranker(fill(CLIPModel(sizes), folder), tokenize, preprocessing).eval()


def load_bpe(folder: Folder) -> Bpe:
    """Read the text alphabet; raise ArtifactMissing."""
    return Bpe.from_json(_read(folder, TOKENIZER).decode())


def read_config(folder: Folder, kind: type[AnyConfig]) -> AnyConfig:
    """Return a model's sizes; raise ArtifactMissing or SchemaMismatch."""
    try:
        return kind.model_validate_json(_read(folder, MODEL_CONFIG))
    except ValueError as error:  # pydantic's ValidationError is one
        raise SchemaMismatch(
            f"{folder.url}/{MODEL_CONFIG} is not a {kind.__name__} ({error}); "
            "train the model again with this version"
        ) from error


def _read(folder: Folder, name: str) -> bytes:
    try:
        with folder.open(name) as file:
            return file.read()
    except FileNotFoundError as error:
        raise ArtifactMissing(
            f"wanted {name} in {folder.url}, found none; run the stage that makes it"
        ) from error


def fill(module: AnyModule, folder: Folder) -> AnyModule:
    """Load all of an artifact's weights into a module; raise SchemaMismatch."""
    try:
        module.load_state_dict(safetensors.torch.load(_read(folder, WEIGHTS)), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise SchemaMismatch(
            f"{folder.url}/{WEIGHTS} does not fit its {MODEL_CONFIG} ({error}); "
            "train the model again"
        ) from error
    return module.eval()
