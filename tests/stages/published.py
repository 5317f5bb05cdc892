"""A CLIP such as people download: a folder of random weights with a tokenizer of its own."""

import json

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

WORDS = ["<start>", "<end>", "a", "red", "circle", "blue", "square"]


def save_clip(folder, *, side=16, text_len=6, projection=512, preprocessing=None):
    """Save one; `preprocessing` is its preprocessor_config.json, None for no such file."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="a"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>"
    ).save_pretrained(folder)
    towers = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = towers | {"vocab_size": 7, "max_position_embeddings": text_len, "eos_token_id": 1}
    vision = towers | {"image_size": side, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)
    CLIPModel(config).save_pretrained(folder)
    if preprocessing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder
