"""Presets: values that replace defaults, as `--set` would; all of them run the same code."""

from collections.abc import Mapping
from typing import Any

Assignments = dict[str, Any]  # dotted path -> value
TRAININGS = ("dvae", "prior", "clip")


def _trainings(changes: Mapping[str, Any]) -> Assignments:
    """Say the same of all three trainings."""
    return {f"{name}.{path}": value for name in TRAININGS for path, value in changes.items()}


# Every stage for real in under 90 seconds on two cores; draws nothing worth looking at.
TINY: Assignments = {
    "tokens.text_vocab": 320,
    "tokens.text_len": 16,
    "tokens.image_vocab": 32,
    "tokens.grid": 2,
    "crawl.source.kind": "world",
    "crawl.source.world.pictures": 120,
    "crawl.source.world.prompts": 4,
    "crawl.rows_per_shard": 40,  # several shards
    "crawl.timeout_seconds": 1.0,  # of servers in this machine
    "crawl.retries": 0,
    "filter.near_bits": None,  # shapes are all alike
    "filter.validation_share": 0.2,
    "filter.buckets": 2,
    **_trainings(
        {
            "fit.steps": 20,
            "fit.batch_size": 8,
            "fit.learning_rate": 1e-3,
            "fit.learning_rate_end": 1e-4,
            "fit.warmup_share": 0.0,
            "fit.decay": "cosine",
            "fit.decay_share": 1.0,
            "fit.beta2": 0.999,
            "fit.weight_decay": 0.0,
            "fit.variance_clip": None,
            "fit.clip_norm": None,
            "fit.ema_share": 0.1,
            "fit.ema_every": 1,
            "fit.precision": "float32",
            "run.log_every": 10,
            "run.save_every": 10,
            "run.validate_every": 10,
        }
    ),
    "dvae.width": 4,
    "dvae.blocks": 1,
    "dvae.codebook_width": 8,
    "dvae.beta_ramp_share": 0.1,
    "dvae.temperature_share": 0.7,
    "encode.gate.min_codes_used": 1,  # any dVAE will do
    "encode.gate.min_perplexity": 1.0,
    "encode.gate.min_psnr_db": 0.0,
    "encode.gate.max_psnr_gap_db": 100.0,
    "encode.rows_per_shard": 64,
    "encode.tile": 8,
    "prior.layers": 4,
    "prior.heads": 2,
    "prior.head_dim": 8,
    "prior.conv_kernel": 3,
    "prior.caption_dropout": 0.1,  # for sample.guidance
    "prior.fit.learning_rate": 3e-3,
    "clip.width": 16,
    "clip.layers": 1,
    "clip.heads": 2,
    "clip.patch": 8,
    "clip.projection": 16,
    "clip.text_len": 18,  # the captions' 16, a start and an end
    "clip.fit.batch_size": 16,
    "sample.prompts.kind": "world",
    "sample.candidates": 4,
    "sample.keep": 2,
    "sample.guidance": 1.5,
    "sample.tile": 4,
    "sample.prompts_per_shard": 4,
    "evaluate.judge": "shapes",
    "evaluate.pictures": 24,
}

# What two CPU cores learn from in minutes, whatever the pictures. Schedules are longer shares of
# these short runs than of the paper's, and batches small: what counts is the number of updates.
_TWO_CORES: Assignments = {
    "crawl.rows_per_shard": 500,
    "filter.buckets": 4,
    "dvae.codebook_width": 64,
    "dvae.fit.decay_share": 1.0,
    "dvae.fit.beta2": 0.99,
    "dvae.fit.clip_norm": 1.0,
    "dvae.fit.ema_share": 0.02,
    "dvae.fit.precision": "auto",
    "dvae.run.save_every": 500,
    "dvae.run.validate_every": 1_000,
    "encode.rows_per_shard": 1_024,
    "encode.gate.min_perplexity": 24.0,
    "encode.run.workers": 2,
    "encode.run.threads": 1,
    "prior.heads": 8,
    "prior.bpe_dropout": 0.0,
    "prior.caption_dropout": 0.1,  # for sample.guidance
    "prior.fit.batch_size": 16,
    "prior.fit.learning_rate_end": 6e-5,
    "prior.fit.warmup_share": 0.05,
    "prior.fit.decay": "cosine",
    "prior.fit.weight_decay": 1.0,  # pictures are few, and seen often
    "prior.fit.ema_share": 0.05,
    "prior.fit.ema_every": 1,
    "prior.fit.precision": "auto",
    "prior.run.save_every": 500,
    "clip.width": 64,
    "clip.layers": 2,
    "clip.heads": 4,
    "clip.projection": 64,
    "clip.fit.batch_size": 64,
    "clip.fit.learning_rate": 2e-3,
    "clip.fit.learning_rate_end": 2e-5,
    "clip.fit.warmup_share": 0.05,
    "clip.fit.weight_decay": 1.5,
    "clip.fit.ema_share": 0.05,
    "clip.fit.precision": "float32",
    "sample.rank_by": "both",  # CLIP or likelihood alone are misled more often
    "sample.guidance": 1.5,
    "sample.tile": 64,
    "sample.prompts_per_shard": 4,
}

# The built-in world on two CPU cores, in minutes.
DEMO: Assignments = _TWO_CORES | {
    "tokens.text_vocab": 512,
    "tokens.text_len": 16,
    "tokens.image_vocab": 256,
    "tokens.grid": 12,
    "crawl.source.kind": "world",
    "crawl.timeout_seconds": 2.0,  # of servers in this machine
    "crawl.retries": 0,
    "crawl.run.workers": 2,
    "filter.max_caption_pictures": None,  # its captions are few
    "filter.near_bits": None,  # its pictures differ by less than photographs
    "filter.validation_share": 0.1,
    "filter.run.workers": 2,
    # Not as k-means, whose pictures are better but whose codes tie an edge to its colour: then half
    # of the combinations that were never seen are drawn wrong (tests/bench/LOG.md).
    "dvae.width": 16,
    "dvae.blocks": 1,
    "dvae.beta_ramp_share": 0.1,
    "dvae.temperature_end": 0.3,
    "dvae.temperature_share": 1.0,
    "dvae.fit.steps": 3_000,
    "dvae.fit.batch_size": 4,
    "dvae.fit.learning_rate": 2e-3,
    "dvae.fit.learning_rate_end": 1e-4,
    "encode.gate.min_codes_used": 48,
    "prior.layers": 3,
    "prior.head_dim": 16,
    "prior.fit.steps": 3_000,
    "prior.fit.learning_rate": 2e-3,
    "prior.run.validate_every": 1_500,
    "clip.text_len": 18,  # the captions' 16, a start and an end
    "clip.fit.steps": 800,
    "clip.run.save_every": 200,
    "clip.run.validate_every": 400,
    "sample.prompts.kind": "world",
    # Of the 480 that the world has: all would make the demo a quarter longer. 8 for each of the 12
    # combinations that are held out, 4 for each of the 24 that are seen.
    "sample.prompts.count": 96,
    "sample.candidates": 64,
    "sample.keep": 4,
    "sample.temperature": 0.7,
    "sample.run.workers": 2,
    "sample.run.threads": 1,
    "evaluate.judge": "shapes",
}

# What is right for pictures that somebody has chosen and captioned: only copies go, and what cannot
# be learned from. The rules that the web needs would drop half of a folder of emoji.
_CURATED: Assignments = {
    "crawl.enlarge_from": 32,
    "filter.min_chars": 1,
    "filter.min_words": 1,  # "cat"
    "filter.min_english": 0.0,
    "filter.max_boilerplate": 1.0,
    "filter.max_caption_pictures": None,
    "filter.max_aspect": 4.0,
    "filter.near_colour": 12.0,
    "filter.near_same_caption": True,
}

# A folder of your own pictures on one machine: 64 x 64 pixels, under an hour on two cores.
SMALL: Assignments = _TWO_CORES | {
    **_CURATED,
    "tokens.text_vocab": 2_048,
    "tokens.text_len": 32,
    "tokens.image_vocab": 512,
    "tokens.grid": 16,
    "tokens.patch": 4,
    "crawl.source.kind": "folder",
    "filter.validation_share": 0.08,
    "dvae.width": 16,
    "dvae.init": "patches",  # what starts at random is worse than k-means after minutes
    "dvae.fit.steps": 4_000,
    "dvae.fit.batch_size": 32,
    "dvae.fit.learning_rate": 2e-3,
    "dvae.fit.learning_rate_end": 2e-5,
    "dvae.fit.warmup_share": 0.1,  # without it all blocks grow at once, and no gradient passes
    "dvae.run.validate_every": 500,
    "encode.flips": True,  # a prior of few pictures overfits half as soon
    "encode.gate.min_codes_used": 64,
    "encode.gate.min_psnr_db": 15.0,
    "prior.layers": 6,
    "prior.head_dim": 24,
    # As language models are today: at equal CPU seconds ahead of the paper (tests/bench/LOG.md).
    "prior.block": "llama",
    "prior.positions": "rotary",
    "prior.qk_norm": True,
    "prior.fit.optimizer": "muon",
    "prior.fit.steps": 1_200,
    "prior.fit.batch_size": 32,
    "prior.fit.learning_rate": 2e-3,
    "prior.fit.best_of": 8,  # a prior of some hundred pictures overfits before the end
    "prior.fit.stop_after": 2,
    "prior.run.validate_every": 1_000,
    "clip.patch": 8,
    "clip.text_len": 34,
    "clip.fit.steps": 600,
    "clip.run.save_every": 500,
    "sample.prompts.count": 24,
    "sample.candidates": 32,
    "sample.temperature": 0.85,  # at 1 too many rare codes, far below blank pictures
}

# One GPU: about a billion parameters on the paper's 256 + 1024 tokens.
H200: Assignments = {
    "crawl.run.workers": 8,
    "crawl.run.threads": 128,
    "measure.run.workers": 8,
    "filter.run.workers": 8,
    **_trainings(
        {
            "run.gpu": True,
            "run.gpu_memory_gib": 140,
            "run.compile": True,
            "run.threads": 8,
        }
    ),
    "dvae.fit.steps": 200_000,
    "dvae.fit.batch_size": 128,
    "dvae.run.micro_batch_size": 32,
    "encode.tile": 128,
    "encode.run.gpu": True,
    "encode.run.decoders": 12,
    "prior.layers": 24,
    "prior.heads": 28,
    "prior.fit.steps": 100_000,
    "prior.fit.batch_size": 256,
    "prior.fit.decay": "cosine",  # a quarter of the paper's updates: too few to wait for plateaus
    "prior.run.micro_batch_size": 32,
    "sample.precision": "bfloat16",
    "sample.run.gpu": True,
}

# The twelve-billion-parameter run (appendix B.2): planned and checked, not run. On 64 GPUs, as many
# as the paper's dVAE had; its prior had 1,024 of them.
PAPER: Assignments = {
    **_trainings(
        {
            "run.gpu": True,
            "run.workers": 64,
            "run.compile": True,
            "run.threads": 8,
        }
    ),
    "encode.tile": 128,
    "encode.run.gpu": True,
    "encode.run.workers": 64,
    "encode.run.decoders": 12,
    "prior.run.shard": True,
    "prior.run.activation_checkpointing": True,
    "prior.run.micro_batch_size": 8,
}

PRESETS = {"tiny": TINY, "demo": DEMO, "small": SMALL, "h200": H200, "paper": PAPER}
