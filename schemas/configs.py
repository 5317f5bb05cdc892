"""Every setting there is: one frozen tree, checked when it is made.

What decides what comes out stands in a stage's node itself, and of a training in its `fit`. A node
named `run` says how fast, where and how often: never in a fingerprint, so that changing it restarts
nothing; no more is a `gate`, which only refuses. A setting marked `Input` is the address of
something that a stage reads: what is there is in the fingerprint, the address is not. The `...Job`
classes are what one stage sees: its own settings and the few shared ones it depends on, so that
nothing else can make it run again.
"""

import codecs
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Input:
    """Marks the address of something that a stage reads, whose content is in its fingerprint.

    The command makes a relative path absolute, so that it means the same wherever workers run.
    """

    commas: bool = False  # several, with commas between
    or_name: bool = False  # a folder, or a name on a hub


InputPath = Annotated[str, Input()]
InputPaths = Annotated[str, Input(commas=True)]
InputPathOrName = Annotated[str, Input(or_name=True)]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
EncodePrecision = Literal["float32", "bfloat16"]  # not by the device: codes depend on it


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)  # raises for what turns no text into bytes, such as base64
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(
            "must be the name of a text encoding that Python knows, such as utf-8, cp1252 or "
            "shift_jis"
        ) from None


def _separator(said: Any) -> Any:
    if isinstance(said, str) and said in ('"', "\n", "\r", "\0", " "):
        raise ValueError("must be a character that is no space, quote or end of a line, or `tab`")
    return "\t" if said in ("tab", "\\t") else said


Separator = Annotated[str, Field(min_length=1, max_length=1)]


def _host_and_port(entry: str) -> str:
    if not re.fullmatch(r"[^=\s]+:\d+(=[^=\s]+:\d+)?", entry):
        raise ValueError("must be host:port, or host:port=address:port to say where that host is")
    return entry


Encoding = Annotated[str, AfterValidator(_known_encoding)]
AllowedHost = Annotated[str, AfterValidator(_host_and_port)]
Share = Annotated[float, Field(ge=0, le=1)]  # of a whole: of a run's updates, of the rows


class Config(BaseModel):
    """Base of all settings: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def what(self) -> dict[str, Any]:
        """Return the settings that decide what comes out, as plain JSON values."""
        tree = {}
        for name in self._deciding():
            value = getattr(self, name)
            tree[name] = value.what() if isinstance(value, Config) else value
        return tree

    def changed(self, usual: "Config | None" = None) -> dict[str, Any]:
        """Return those of them that are not as in `usual`, or else not their defaults."""
        tree = {}
        for name, field in self._deciding().items():
            value, default = getattr(self, name), field.default
            if usual is not None:
                default = getattr(usual, name)
            if isinstance(value, Config):
                value = value.changed(default if isinstance(default, Config) else None)
                default = {}
            if value != default:
                tree[name] = value
        return tree

    @property
    def digest(self) -> str:
        """Return hex digits of the settings that decide what comes out and have no default value.

        So a new setting leaves all that is finished as it is, if its default does; and a default
        that comes to be another one goes with a new REVISION of its stage.
        """
        text = json.dumps(self.changed(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def _deciding(cls) -> dict[str, FieldInfo]:
        return {
            name: field
            for name, field in cls.model_fields.items()
            if not isinstance(field.default, How)
            and not any(isinstance(mark, Input) for mark in field.metadata)
        }


class How(Config):
    """Base of what says how a stage works, or whether: in no fingerprint."""


class Workers(How):
    """How many processes share a stage's work."""

    workers: PositiveInt = Field(1, description="processes that share the work")


class ComputeRun(Workers):
    """How a stage that computes with a model runs."""

    threads: PositiveInt = Field(2, description="processor threads of each worker")
    gpu: bool = Field(False, description="each worker computes on a GPU of its own")


class TokenSpec(Config):
    """The alphabets and lengths that the dVAE, the encoder, the prior and sampling share."""

    text_vocab: PositiveInt = 16_384  # section 2.2
    text_len: PositiveInt = 256
    image_vocab: PositiveInt = 8_192
    grid: PositiveInt = Field(32, description="codes per side of the picture")

    @property
    def side(self) -> int:
        """Pixels per side of a training picture: the dVAE halves it three times."""
        return 8 * self.grid

    @property
    def image_len(self) -> int:
        """Codes of one picture."""
        return self.grid**2

    @model_validator(mode="after")
    def _ids_fit_in_16_bits(self) -> Self:
        for name, size in (("text_vocab", self.text_vocab), ("image_vocab", self.image_vocab)):
            if size > 65_535:  # the pad id, text_vocab itself, must fit too
                raise ValueError(
                    f"{name} must be at most 65535, because tokens are stored in 16 bits"
                )
        return self


class WorldSettings(Config):
    """The demo's world of captioned shapes, a pure function of these numbers."""

    revision: PositiveInt = Field(6, description="of what the world shows: raised with its code")
    pictures: PositiveInt = 14_000
    bad_share: Share = Field(0.1, description="share of url list entries that must fail")
    prompts: PositiveInt = Field(240, description="of held-out kinds; half as many of other sets")
    seed: int = 0


class SourceSettings(Config):
    """Where (picture, caption) pairs come from."""

    kind: Literal["urls", "folder", "tars", "world"] = "urls"
    path: InputPaths = ""
    url_column: str = "url"
    caption_column: str = "caption"
    columns: tuple[str, ...] = Field(
        (), description="names of the columns in CSV and TSV files without a line of names"
    )
    file_column: str = Field(
        "file_name", description="of a metadata file: the picture's name, relative to that file"
    )
    encoding: Encoding = Field(
        "utf-8", description="of captions, metadata and lists that have no byte order mark"
    )
    separator: Annotated[Separator | None, BeforeValidator(_separator)] = Field(
        None, description="of columns in CSV and TSV files, `tab` too; null: found out by looking"
    )
    caption: Literal["whole", "first_line", "each_line"] = Field(
        "whole", description="what of a .txt is the caption; each_line makes a row of each"
    )
    world: WorldSettings = WorldSettings()

    def what(self) -> dict[str, Any]:
        """Leave the demo's world out where pairs come from somewhere else."""
        tree = super().what()
        return tree if self.kind == "world" else {k: v for k, v in tree.items() if k != "world"}


class CrawlRun(Workers):
    """How the crawl runs, and how it behaves to servers."""

    threads: PositiveInt = Field(32, description="downloads of each worker at the same time")
    contact: str = Field("", description="address that is told to servers with our name")
    host_connections: PositiveInt = Field(8, description="of one worker to one host at a time")
    host_pause_seconds: NonNegativeFloat = Field(0.0, description="between requests to one host")
    allow_hosts: tuple[AllowedHost, ...] = Field(
        (),
        description="host:port pairs that need not be public; host:port=address:port also says "
        "where that host is",
    )


class CrawlSettings(Config):
    """How pictures are fetched and bounded."""

    source: SourceSettings = SourceSettings()
    rows_per_shard: PositiveInt = 2_000
    timeout_seconds: PositiveFloat = 10
    max_bytes: PositiveInt = 20_000_000
    max_pixels: PositiveInt = 67_108_864
    retries: NonNegativeInt = 1
    encode_quality: PositiveInt = 95
    user_agent: str = Field("dalle-ray", pattern=r"^[A-Za-z0-9_.-]+$", description="our name")
    respect_robots: bool = Field(True, description="stay away from what a robots.txt forbids")
    respect_opt_outs: bool = Field(True, description="of X-Robots-Tag and TDMRep headers")
    # The folder of an earlier crawl: what came of its rows stays, but for failures that may heal.
    earlier: InputPath = ""
    run: CrawlRun = CrawlRun()


class NsfwSettings(Config):
    """Unsafe pictures, found by a model that comes with a package (extra `nsfw`)."""

    measure: bool = False
    max_score: Share = 0.5


class WritingSettings(Config):
    """Pictures of text, and agencies' watermarks, read by a package (extra `ocr`)."""

    measure: bool = False
    max_share: Share = Field(0.2, description="of the picture, covered by letters")
    watermarks: bool = Field(True, description="drop what an agency has written its name into")


class AgreementSettings(Config):
    """Whether picture and caption agree, by a pretrained CLIP."""

    path: InputPathOrName = ""
    min_score: float = Field(0.28, ge=-1, le=1, description="LAION-400M and 5B took 0.3 and 0.28")


class FilterSettings(Config):
    """Appendix C of the paper, then what everybody else checks."""

    min_chars: NonNegativeInt = 5
    max_chars: PositiveInt = 1_000
    min_words: NonNegativeInt = 2
    min_english: Share = Field(0.2, description="probability by the language model")
    max_boilerplate: Share = Field(0.5, description="share of the caption's letters")
    max_caption_pictures: PositiveInt | None = Field(
        100, description="pictures with one caption, above which it says nothing of any; null: no"
    )
    max_aspect: PositiveFloat = 2.0  # appendix C
    min_contrast: NonNegativeFloat = Field(5.0, description="levels; less is a flat picture")
    nsfw: NsfwSettings = NsfwSettings()
    writing: WritingSettings = WritingSettings()
    clip: AgreementSettings = AgreementSettings()
    # Evaluation sets, folders of pictures or Parquet files, whose pictures must not be learned.
    decontaminate: Annotated[tuple[str, ...], Input()] = ()
    near_bits: int | None = Field(
        3, ge=0, le=8, description="of 64, by which near duplicates may differ; null: no search"
    )
    validation_share: Share = 606_000 / 250_000_000  # section 2.2, of the 250 M pairs
    buckets: PositiveInt = Field(16, description="files per split, or more where they grow large")
    seed: int = 0
    run: Workers = Workers()


class BpeSettings(Config):
    """How the text alphabet is learned."""

    captions: PositiveInt = Field(10_000_000, description="at most so many are read")


class FitSettings(Config):
    """What a training comes to. Shares are of `steps`, so a schedule stretches with the run."""

    steps: PositiveInt
    batch_size: PositiveInt = Field(description="rows per update, over all workers")
    learning_rate: PositiveFloat
    learning_rate_end: PositiveFloat
    warmup_share: Share = 0.0
    decay: Literal["cosine", "plateau"] = Field(
        "cosine",
        description="how the learning rate falls; plateau: halved when the loss no longer does",
    )
    decay_share: Share = Field(1.0, description="the learning rate falls until here, then stays")
    patience_share: Share = Field(0.04, description="without a better loss: a plateau")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 0.0
    variance_clip: PositiveFloat | None = None
    clip_norm: PositiveFloat | None = None
    ema_share: Share = Field(description="horizon of the average of the weights")
    ema_every: PositiveInt = 1
    precision: Precision = Field("float32", description="of products; auto looks at the device")
    powersgd_rank: PositiveInt | None = Field(
        None, description="of gradients between copies of the weights (PowerSGD); null: all is sent"
    )
    powersgd_parts: PositiveInt = Field(
        1, description="of each matrix, each with its part of the rank: run.shard_size if sharded"
    )
    seed: int = 0

    @model_validator(mode="after")
    def _parts_share_the_rank(self) -> Self:
        if self.powersgd_rank is not None and self.powersgd_rank % self.powersgd_parts:
            raise ValueError(
                "powersgd_rank must be a multiple of powersgd_parts, which share it evenly, found "
                f"{self.powersgd_rank} and {self.powersgd_parts}; change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _learning_rate_falls(self) -> Self:
        if self.learning_rate_end > self.learning_rate:
            raise ValueError(
                f"learning_rate_end ({self.learning_rate_end}) must not exceed learning_rate "
                f"({self.learning_rate})"
            )
        return self

    @model_validator(mode="after")
    def _average_leaves_its_start(self) -> Self:
        if self.ema_every > self.steps:
            raise ValueError(
                f"ema_every ({self.ema_every}) must not exceed steps ({self.steps}): what is kept "
                "of a run is the average, and it would stay at its random start"
            )
        return self

    @model_validator(mode="after")
    def _warmup_ends_before_decay(self) -> Self:
        if self.warmup_share > self.decay_share:
            raise ValueError(
                f"warmup_share ({self.warmup_share}) must not exceed "
                f"decay_share ({self.decay_share})"
            )
        return self

    @model_validator(mode="after")
    def _plateaux_are_long_enough_and_fit_in(self) -> Self:
        if self.decay != "plateau":
            return self
        if self.decay_share != 1:
            raise ValueError(
                f"decay_share ({self.decay_share}) is the cosine's: with decay=plateau leave it at "
                "1, for the loss says when the learning rate falls"
            )
        if self.learning_rate_end > self.learning_rate / 2:
            raise ValueError(
                f"decay=plateau halves learning_rate ({self.learning_rate}) down to "
                f"learning_rate_end: wanted at most half of it, found {self.learning_rate_end}"
            )
        if self.patience_share * self.steps < 1:
            raise ValueError(
                f"patience_share ({self.patience_share}) of {self.steps} steps is less than one "
                f"update; set it to {1 / self.steps:.2g} or more"
            )
        halvings = math.ceil(math.log2(self.learning_rate / self.learning_rate_end))
        room = (1 - self.warmup_share) / halvings
        if self.patience_share > room:
            raise ValueError(
                f"{halvings} plateaux of patience_share ({self.patience_share}) do not fit into "
                f"the run after its warm-up; set it to {room:.2g} or less, or raise "
                "learning_rate_end"
            )
        return self


class TrainingRun(ComputeRun):
    """How a training runs."""

    workers_min: PositiveInt | None = Field(
        None,
        description="keep going with this many after a node is lost; null waits until there is "
        "room for all",
    )
    gpu_memory_gib: PositiveFloat = Field(
        80, description="memory of one GPU, for --plan where there is none to ask"
    )
    micro_batch_size: PositiveInt | None = Field(
        None,
        description="rows of a worker per forward pass (gradient accumulation), so that a large "
        "batch fits; null takes all at once",
    )
    activation_checkpointing: bool = Field(
        False, description="compute blocks again in the backward pass: slower, less memory"
    )
    compile: bool = Field(False, description="compile blocks: minutes at first, then quicker steps")
    shard: bool = Field(
        False, description="share weights, gradients and optimizer state out over workers (FSDP)"
    )
    shard_size: PositiveInt | None = Field(
        None, description="workers that share one copy of the weights; null: all"
    )
    log_every: PositiveInt = Field(50, description="steps between two lines of metrics")
    save_every: PositiveInt = Field(1_000, description="steps between two checkpoints")
    validate_every: PositiveInt = Field(1_000, description="steps between two validations")
    restarts: NonNegativeInt = Field(3, description="attempts after a worker or node is lost")

    @property
    def sharers(self) -> int:
        """Workers that share one copy of the weights."""
        return (self.shard_size or self.workers) if self.shard else 1

    @model_validator(mode="after")
    def _copies_are_whole(self) -> Self:
        if self.shard_size is None:
            return self
        if not self.shard:
            raise ValueError(
                f"shard_size={self.shard_size} says how many workers share one copy of the "
                "weights, and without sharding each has its own; set shard to true, or shard_size "
                "to null"
            )
        if self.workers % self.shard_size:
            raise ValueError(
                f"workers must be a multiple of shard_size, found {self.workers} workers and "
                f"{self.shard_size}; change one of the two"
            )
        if self.workers_min not in (None, self.workers):
            raise ValueError(
                f"workers_min={self.workers_min} lets a run go on with any number of workers, and "
                f"shard_size={self.shard_size} wants whole copies; set one of the two to null"
            )
        return self

    @model_validator(mode="after")
    def _no_more_workers_needed_than_wanted(self) -> Self:
        if self.workers_min is not None and self.workers_min > self.workers:
            raise ValueError(
                f"workers_min ({self.workers_min}) must not exceed workers ({self.workers})"
            )
        return self


class TrainingSettings(Config):
    """One training: `fit` decides what comes out, `run` how it is done."""

    fit: FitSettings
    run: TrainingRun = TrainingRun()

    @model_validator(mode="after")
    def _every_worker_has_rows(self) -> Self:
        if self.run.workers > self.fit.batch_size:
            raise ValueError(
                f"run.workers ({self.run.workers}) must not exceed fit.batch_size "
                f"({self.fit.batch_size}): those without rows would only wait for the others"
            )
        return self

    @model_validator(mode="after")
    def _compressed_parts_are_sharded_ones(self) -> Self:
        """Each worker of a copy compresses its own part, so their number decides what comes out."""
        fit, run = self.fit, self.run
        if fit.powersgd_rank is None:
            return self
        if run.shard and run.shard_size is None:
            raise ValueError(
                f"fit.powersgd_rank={fit.powersgd_rank} is about gradients between copies of the "
                "weights, and workers that share one have none; set run.shard_size, or run.shard "
                "to false"
            )
        if run.sharers != fit.powersgd_parts:
            raise ValueError(
                "fit.powersgd_parts must be the number of workers that share one copy of the "
                f"weights, {run.sharers}, found {fit.powersgd_parts}; set it to that, or change "
                "run.shard_size"
            )
        return self


def _not_in_float16(fit: FitSettings) -> FitSettings:
    if fit.precision == "float16":
        raise ValueError(
            "float16 wants a scale for the gradients of each residual branch, which only the prior "
            "has; set precision to bfloat16, or to float32"
        )
    return fit


def _not_compressed(fit: FitSettings) -> FitSettings:
    if fit.powersgd_rank is not None:
        raise ValueError(
            "powersgd_rank is for matrices, and the dVAE's weights are convolutions; leave it null"
        )
    return fit


UnscaledFit = Annotated[FitSettings, AfterValidator(_not_in_float16)]
DvaeFit = Annotated[UnscaledFit, AfterValidator(_not_compressed)]


class DvaeShape(Config):
    """Size of the encoder and decoder (appendix A.1; the released code's names in brackets)."""

    width: PositiveInt = Field(256, ge=4, description="channels at full resolution (n_hid)")
    blocks: PositiveInt = Field(2, description="residual blocks per group (n_blk_per_group)")
    codebook_width: PositiveInt = Field(128, description="decoder's first channels (n_init)")


class DvaeSettings(TrainingSettings, DvaeShape):
    """Appendix A.2."""

    # A folder or file of weights, such as the released ones, that are taken over in place of a
    # training.
    pretrained: InputPath = ""
    beta: NonNegativeFloat = Field(6.6, description="weight of the KL at the end of its ramp")
    beta_ramp_share: Share = 5_000 / 3_000_000
    temperature_start: PositiveFloat = 1.0
    temperature_end: PositiveFloat = 1 / 16
    temperature_share: Share = 150_000 / 3_000_000
    fit: DvaeFit = FitSettings(
        steps=3_000_000,
        batch_size=512,
        learning_rate=1e-4,
        learning_rate_end=1.25e-6,
        decay_share=0.4,
        weight_decay=1e-4,
        ema_share=1_000 / 3_000_000,
        precision="bfloat16",
    )
    run: TrainingRun = TrainingRun(save_every=5_000, validate_every=5_000)


class EncodeRun(ComputeRun):
    """How encode runs."""

    decoders: NonNegativeInt = Field(
        0, description="processes that crop pictures beside the encoder; 0: a thread does"
    )


class EncodeGate(How):
    """How good the dVAE must be on validation pictures to encode with it."""

    min_codes_used: NonNegativeInt = Field(2_048, description="of the whole alphabet")
    min_perplexity: NonNegativeFloat = Field(512.0, description="of the codes' frequencies")
    min_psnr_db: NonNegativeFloat = Field(20.0, description="of reconstructions, in decibels")
    max_psnr_gap_db: PositiveFloat = Field(
        1.0, description="lost by single codes against mixtures, in decibels"
    )
    force: bool = Field(False, description="encode with a worse one")


class EncodeSettings(Config):
    """How clean pairs become tokens, and how good the dVAE must be for it to be worth while."""

    rows_per_shard: PositiveInt = 16_384
    seed: int = 0
    crops: PositiveInt = Field(1, description="of each picture to learn from; each is a row")
    codes: Literal["argmax", "sampled"] = Field(
        "argmax", description="sampled: by their probability, which works like label smoothing"
    )
    precision: EncodePrecision = "float32"
    tile: PositiveInt = Field(32, description="pictures per forward pass, always this many")
    gate: EncodeGate = EncodeGate()
    run: EncodeRun = EncodeRun()


class PriorShape(Config):
    """Size of the transformer (appendix B.1)."""

    layers: PositiveInt = 64
    heads: PositiveInt = 62
    head_dim: PositiveInt = 64
    conv_kernel: PositiveInt = Field(11, description="side of the last layer's window, odd")
    # Beyond the paper, each by itself.
    attention: Literal["sparse", "dense"] = Field(
        "sparse", description="dense: each slot sees all before it, in every layer"
    )
    positions: Literal["learned", "rotary"] = Field(
        "learned", description="rotary: by row and column, in place of embeddings"
    )
    qk_norm: bool = Field(False, description="queries and keys of one length, times learned gains")
    block: Literal["gpt", "llama"] = Field(
        "gpt", description="llama: RMSNorm and SwiGLU without biases, of the same size"
    )

    @property
    def width(self) -> int:
        """Size of the residual stream."""
        return self.heads * self.head_dim

    @model_validator(mode="after")
    def _kernel_is_odd(self) -> Self:
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd to have a centre, found {self.conv_kernel}")
        return self

    @model_validator(mode="after")
    def _rotary_pairs_come_out_even(self) -> Self:
        if self.positions == "rotary" and self.head_dim % 4:
            raise ValueError(
                "positions=rotary turns pairs of numbers by row and by column: wanted a head_dim "
                f"that is a multiple of 4, found {self.head_dim}"
            )
        return self


class PriorSettings(TrainingSettings, PriorShape):
    """Section 2.2 and appendix B.2."""

    bpe_dropout: Share = 0.1
    caption_dropout: Share = Field(0.0, description="of captions left out, for sample.guidance")
    text_weight: Share = 1 / 8
    fit: FitSettings = FitSettings(
        steps=430_000,
        batch_size=1_024,
        learning_rate=4.5e-4,
        learning_rate_end=4.5e-4 / 2**5,  # five halvings
        decay="plateau",
        warmup_share=5_000 / 430_000,
        beta2=0.96,
        weight_decay=4.5e-2,
        variance_clip=5.0,
        clip_norm=4.0,
        ema_share=2_500 / 430_000,
        ema_every=25,
        precision="bfloat16",
    )
    run: TrainingRun = TrainingRun(validate_every=2_000)


class ClipShape(Config):
    """Size of the two towers of a CLIP trained here."""

    width: PositiveInt = 512
    layers: PositiveInt = 12
    heads: PositiveInt = 8
    patch: PositiveInt = 16
    projection: PositiveInt = 512
    text_len: PositiveInt = 77


class ClipSettings(TrainingSettings, ClipShape):
    """The reranker: trained on the clean pairs, or a pretrained one by hub name or folder."""

    pretrained: InputPathOrName = ""
    fit: UnscaledFit = FitSettings(
        steps=30_000,
        batch_size=1_024,
        learning_rate=5e-4,
        learning_rate_end=5e-6,
        warmup_share=0.03,
        beta2=0.98,
        weight_decay=0.2,
        clip_norm=1.0,
        ema_share=0.01,
        precision="bfloat16",
    )


class PromptSettings(Config):
    """Which prompts are drawn."""

    kind: Literal["validation", "file", "world"] = "validation"
    path: InputPath = Field("", description="one prompt a line")
    count: PositiveInt = Field(
        64, description="validation captions that are drawn; of the world's, so many of each set"
    )

    @model_validator(mode="after")
    def _a_file_is_named(self) -> Self:
        if self.kind == "file" and not self.path:
            raise ValueError(
                "prompts.kind=file wants prompts.path, found none; name a file of prompts, one a "
                "line, such as --set sample.prompts.path=my.txt"
            )
        return self


class SampleSettings(Config):
    """How pictures are drawn (section 2.6)."""

    prompts: PromptSettings = PromptSettings()
    candidates: PositiveInt = 512
    keep: PositiveInt | None = Field(
        8, description="best pictures of a prompt written as loose PNGs; null for all"
    )
    forget: bool = Field(
        False, description="leave the pixels of those not kept out of the table; their rows stay"
    )
    temperature: PositiveFloat = 1.0
    top_k: NonNegativeInt = Field(0, description="0 keeps all codes, as the paper does")
    top_p: float = Field(1.0, gt=0, le=1, description="1 keeps all codes, as the paper does")
    guidance: NonNegativeFloat = Field(1.0, description="1 is the model's own, as in the paper")
    precision: Literal["float32", "bfloat16"] = "float32"
    given_rows: NonNegativeInt = Field(
        0, description="of codes, kept of each prompt's picture, which is completed; 0: none"
    )
    seed: int = 0
    tile: PositiveInt | None = Field(
        None, description="candidates at a time, always this many; null for what memory holds"
    )
    prompts_per_shard: PositiveInt = Field(
        1, description="drawn together; a killed run goes on with the first shard not finished"
    )
    run: ComputeRun = ComputeRun()


class EvaluateRun(How):
    """How evaluate runs."""

    threads: PositiveInt = Field(2, description="processor threads")


class EvaluateSettings(Config):
    """What the report measures."""

    judge: Literal["none", "shapes"] = "none"
    pictures: PositiveInt = Field(1_000, description="validation pictures behind dVAE numbers")
    run: EvaluateRun = EvaluateRun()


class Settings(Config):
    """The whole tree; `--set path=value` reaches any leaf. The defaults are the paper's."""

    tokens: TokenSpec = TokenSpec()
    crawl: CrawlSettings = CrawlSettings()
    filter: FilterSettings = FilterSettings()
    bpe: BpeSettings = BpeSettings()
    dvae: DvaeSettings = DvaeSettings()
    encode: EncodeSettings = EncodeSettings()
    prior: PriorSettings = PriorSettings()
    clip: ClipSettings = ClipSettings()
    sample: SampleSettings = SampleSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="after")
    def _guidance_was_trained_for(self) -> Self:
        if self.sample.guidance != 1 and self.prior.caption_dropout == 0:
            raise ValueError(
                f"sample.guidance={self.sample.guidance} wants a prior that is trained with some "
                "captions left out; set prior.caption_dropout to 0.1, or guidance to 1"
            )
        return self

    @model_validator(mode="after")
    def _the_judge_sees_all_pictures(self) -> Self:
        if self.evaluate.judge != "none" and self.sample.forget:
            raise ValueError(
                f"evaluate.judge={self.evaluate.judge} wants the pixels of every candidate, found "
                "sample.forget=true; set it to false, or evaluate.judge to none"
            )
        return self

    @model_validator(mode="after")
    def _there_is_something_to_complete(self) -> Self:
        if self.sample.given_rows >= self.tokens.grid:
            raise ValueError(
                f"sample.given_rows={self.sample.given_rows} leaves nothing to draw of "
                f"tokens.grid={self.tokens.grid} rows; the paper gives 15 of 32"
            )
        if self.sample.given_rows and self.sample.prompts.kind == "world":
            raise ValueError(
                f"sample.given_rows={self.sample.given_rows} wants prompts with pictures, and the "
                "world's have none; use sample.prompts.kind=validation, or a file that names them"
            )
        return self

    @model_validator(mode="after")
    def _the_worlds_prompts_are_of_the_crawled_world(self) -> Self:
        if self.sample.prompts.kind == "world" and self.crawl.source.kind != "world":
            raise ValueError(
                "sample.prompts.kind=world wants crawl.source.kind=world, found "
                f"{self.crawl.source.kind}; use validation or file"
            )
        return self


class CrawlJob(CrawlSettings):
    """What crawl depends on."""

    side: PositiveInt


class FilterJob(FilterSettings):
    """What filter depends on; `side` is the smallest picture worth keeping (listing 1)."""

    side: PositiveInt


class BpeJob(BpeSettings):
    """What train_bpe depends on."""

    text_vocab: PositiveInt


class DvaeJob(DvaeSettings):
    """What train_dvae depends on."""

    image_vocab: PositiveInt
    side: PositiveInt


class EncodeJob(EncodeSettings):
    """What encode depends on."""

    tokens: TokenSpec


class PriorJob(PriorSettings):
    """What train_prior depends on."""

    tokens: TokenSpec


class ClipJob(ClipSettings):
    """What train_clip depends on."""

    text_vocab: PositiveInt
    side: PositiveInt


def job(cls: type[Any], own: Config, **shared: Any) -> Any:
    """Join a stage's own settings with the shared ones it depends on."""
    fields: Mapping[str, Any] = {name: getattr(own, name) for name in type(own).model_fields}
    return cls(**fields, **shared)
