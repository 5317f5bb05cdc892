"""A published CLIP, by hub name or folder: its towers, its tokenizer and its preprocessing.

The transformers library accepts much that makes scores random: it initialises missing weights, and
replaces a missing tokenizer by one without words. Here that is refused. Only safetensors and JSON
are read, no pickles and none of the code that a repository may hold.

Dimensions: b batch, t text slots.
"""

import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    ImageProcessingMixin,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from schemas.errors import ConfigError
from stages.models.clip import PublishedTokens, Reranker
from stages.models.clip_preprocessing import Preprocessing

LOG = logging.getLogger(__name__)

ARGMAX_END = 2  # the end id in configs from before 2023: the tower is read at the highest id then
WORDS = ("a red circle", "two blue squares")  # any tokenizer with words tells them apart


def pretrained_reranker(name: str, *, setting: str = "clip.pretrained") -> Reranker:
    """Load a published CLIP in float32 on the CPU, in evaluation mode.

    `setting` is where the user named it. Raises ConfigError unless the CLIP is complete.
    """
    where = (
        f"{setting}: wanted the hub name or folder of a CLIP with model.safetensors and its "
        f"tokenizer, found '{name}' with "
    )
    config = _config(name, where)
    clip = whole_model(CLIPModel, name, config, where)
    tokens = PublishedTokens(_tokenizer(name, where), config.text_config.max_position_embeddings)
    _check(tokens, config, where)
    return Reranker(clip.float(), tokens, _preprocessing(name, config, setting)).eval()


def _config(name: str, where: str) -> CLIPConfig:
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}no config.json of a model: {_brief(error)}") from error
    if not isinstance(config, CLIPConfig):
        raise ConfigError(f"{where}a model of type {config.model_type}; only CLIP itself ranks")
    return config


def whole_model(kind: Any, name: str, config: PretrainedConfig, where: str) -> Any:
    """Load a model all of whose weights are there; `where` begins the ConfigError for any other."""
    try:
        model, loading = kind.from_pretrained(
            name, config=config, use_safetensors=True, output_loading_info=True
        )
    except OSError as error:
        pickles = [file.name for file in Path(name).glob("*.bin")]
        found = f"only pickles ({', '.join(pickles)}), which may hold code" if pickles else None
        raise ConfigError(
            f"{where}{found or 'no weights: ' + _brief(error)}; save it again with save_pretrained "
            "of a recent transformers"
        ) from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{where}weights that cannot be read by its config.json: {_brief(error)}; download "
            "both again"
        ) from error
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ConfigError(
            f"{where}{len(missing)} weights fewer than its config.json wants, {missing[0]} among "
            "them; download both again"
        )
    return model


def _tokenizer(name: str, where: str) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}no tokenizer: {_brief(error)}") from error


def _check(tokens: PublishedTokens, config: CLIPConfig, where: str) -> None:
    """Raise ConfigError unless captions become ids that the text tower knows, with an end."""
    text, found = config.text_config, len(tokens.tokenizer)
    rows = tokens(WORDS)
    if rows[0].equal(rows[1]):
        raise ConfigError(f"{where}no words in its tokenizer; put its tokenizer's files beside it")
    if rows.max() >= text.vocab_size:
        raise ConfigError(
            f"{where}a tokenizer of {found} ids for a tower of {text.vocab_size}; put the "
            "tokenizer's files beside it that it was trained with"
        )
    for row in rows:
        ends = row == text.eos_token_id
        read = row.argmax() if text.eos_token_id == ARGMAX_END else ends.int().argmax()
        if row[read] != tokens.tokenizer.eos_token_id:
            raise ConfigError(
                f"{where}a tokenizer whose captions do not end where the tower is read, at id "
                f"{text.eos_token_id}; put the tokenizer's files beside it that it was trained with"
            )


def _preprocessing(name: str, config: CLIPConfig, setting: str) -> Preprocessing:
    side = config.vision_config.image_size
    try:
        found, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except OSError:
        LOG.info("%s has no preprocessor_config.json: OpenAI's preprocessing is used", name)
        return Preprocessing.plain(side)
    return Preprocessing.from_config(found, side, where=f"{setting}='{name}'")


def _brief(error: BaseException) -> str:
    """Return the first line of a library's message, without its full stop."""
    return str(error).strip().splitlines()[0].rstrip(".")
