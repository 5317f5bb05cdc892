"""Every setting there is: one frozen tree, checked when it is made.

A field marked `How` says how fast or where, never what comes out: it is left out of fingerprints,
so that changing it restarts nothing. The `...Job` classes are what one stage sees: its own
settings and the few shared ones it depends on, so that nothing else can make it run again.
"""

import codecs
import hashlib
import json
import math
import re
from collections.abc import Mapping
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

How = "how"  # Annotated[type, How]: not part of the fingerprint
# What is a path is made absolute by the command, so that it means the same wherever workers run.
Place = "place"
Places = "places"  # several, with commas between
PlaceOrName = "place or name"  # a folder, or a name on a hub
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
        for name, field in type(self).model_fields.items():
            if How not in field.metadata:
                value = getattr(self, name)
                tree[name] = value.what() if isinstance(value, Config) else value
        return tree

    @property
    def digest(self) -> str:
        """Return hex digits that change when, and only when, a *what* setting changes."""
        text = json.dumps(self.what(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


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
    # The content of the path is in crawl's fingerprint, the path itself is not.
    path: Annotated[str, How, Places] = ""
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
    # Its content is in crawl's fingerprint, the path itself is not.
    earlier: Annotated[str, How, Place] = ""
    contact: Annotated[str, How] = ""  # an address that is told to servers with our name
    host_connections: Annotated[PositiveInt, How] = 8  # to one host at a time, by one worker
    host_pause_seconds: Annotated[NonNegativeFloat, How] = 0.0  # between requests to one host
    # host:port pairs that need not be public; host:port=address:port says where that host is.
    allow_hosts: Annotated[tuple[AllowedHost, ...], How] = ()
    workers: Annotated[PositiveInt, How] = 1
    threads: Annotated[PositiveInt, How] = 32


class MeasureSettings(Config):
    """Scores that cost more than the others and are off unless asked for."""

    nsfw: bool = Field(False, description="score how unsafe pictures are (extra `nsfw`)")
    writing: bool = Field(False, description="find text and watermarks in pictures (extra `ocr`)")
    # What it holds is in measure's fingerprint, the name itself is not.
    clip: Annotated[str, How, PlaceOrName] = Field(
        "", description="folder or hub name of a CLIP that compares picture and caption; empty: no"
    )
    workers: Annotated[PositiveInt, How] = 1


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
    max_nsfw: Share = Field(0.5, description="score of an unsafe picture, where measure.nsfw is on")
    max_writing: Share = Field(
        0.2, description="share of the picture under letters, where measure.writing is on"
    )
    watermarks: bool = Field(
        True, description="drop pictures with an agency's name, where measure.writing is on"
    )
    min_clip_score: float = Field(
        0.28, ge=-1, le=1, description="where measure.clip is set; LAION took 0.28 to 0.3"
    )
    # Evaluation sets, folders of pictures or Parquet files, whose pictures must not be learned.
    decontaminate: Annotated[tuple[str, ...], How, Place] = ()
    near_bits: int | None = Field(
        3, ge=0, le=8, description="of 64, by which near duplicates may differ; null: no search"
    )
    validation_share: Share = 606_000 / 250_000_000  # section 2.2, of the 250 M pairs
    buckets: PositiveInt = Field(16, description="files per split, or more where they grow large")
    seed: int = 0
    workers: Annotated[PositiveInt, How] = 1


class BpeSettings(Config):
    """How the text alphabet is learned."""

    captions: PositiveInt = Field(10_000_000, description="at most so many are read")


class FitSettings(Config):
    """One training run. Shares are of `steps`, so a schedule stretches with the run."""

    steps: PositiveInt
    batch_size: PositiveInt = Field(description="rows per update, over all workers")
    lr: PositiveFloat
    lr_end: PositiveFloat
    warmup_share: Share = 0.0
    decay: Literal["cosine", "plateau"] = Field(
        "cosine",
        description="how the step size falls; plateau: halved when the loss no longer does",
    )
    decay_share: Share = Field(1.0, description="step size falls until here, then stays")
    patience_share: Share = Field(0.04, description="without a better loss: a plateau")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 0.0
    variance_clip: PositiveFloat | None = None
    clip_norm: PositiveFloat | None = None
    ema_share: Share = Field(description="horizon of the average of the weights")
    ema_every: PositiveInt = 1
    precision: Precision = Field("float32", description="of products; auto looks at the device")
    compress_rank: PositiveInt | None = Field(
        None, description="of gradients between copies of the weights (PowerSGD); null: all is sent"
    )
    seed: int = 0
    # Of weights: what is saved or measured on the way changes none of them.
    save_every: Annotated[PositiveInt, How] = 1_000
    validate_every: Annotated[PositiveInt, How] = 1_000
    # Rows of a worker per forward pass, so that a large batch fits; null takes all at once.
    micro_batch: Annotated[PositiveInt | None, How] = None
    recompute: Annotated[bool, How] = False  # blocks in the backward pass: slower, less memory
    compile: Annotated[bool, How] = False  # blocks: minutes at first, then quicker steps
    shard: Annotated[bool, How] = False  # weights and all that belongs to them, over the workers
    machine: Annotated[PositiveInt | None, How] = None  # workers that share one copy; null: all
    log_every: Annotated[PositiveInt, How] = 50
    workers: Annotated[PositiveInt, How] = 1
    # So few are enough to go on with where a node is lost; null waits until there is room for all.
    workers_min: Annotated[PositiveInt | None, How] = None
    threads: Annotated[PositiveInt, How] = 2
    gpu: Annotated[bool, How] = False
    gpu_memory_gib: Annotated[PositiveFloat, How] = 80  # for --plan where there is no GPU to ask
    restarts: Annotated[NonNegativeInt, How] = 3

    @model_validator(mode="after")
    def _machines_are_whole(self) -> Self:
        if self.machine is not None and not self.shard:
            raise ValueError(
                f"machine={self.machine} says how many workers share one copy of the weights, and "
                "without sharding each has its own; set shard to true, or machine to null"
            )
        if self.machine is not None and self.workers % self.machine:
            raise ValueError(
                f"workers must be a multiple of machine, found {self.workers} workers in machines "
                f"of {self.machine}; change one of the two"
            )
        if self.compress_rank is not None and self.shard:
            if self.machine is None:
                raise ValueError(
                    f"compress_rank={self.compress_rank} is about gradients between copies of the "
                    "weights, and workers that share one have none; set machine, or shard to false"
                )
            if self.compress_rank % self.machine:
                raise ValueError(
                    f"compress_rank must be a multiple of machine, whose workers share it evenly, "
                    f"found {self.compress_rank} and {self.machine}; change one of the two"
                )
        return self

    @model_validator(mode="after")
    def _no_more_workers_needed_than_wanted(self) -> Self:
        if self.workers_min is not None and self.workers_min > self.workers:
            raise ValueError(
                f"workers_min ({self.workers_min}) must not exceed workers ({self.workers})"
            )
        if self.machine is not None and self.workers_min not in (None, self.workers):
            raise ValueError(
                f"workers_min={self.workers_min} lets a run go on with any number of workers, and "
                f"machine={self.machine} wants whole machines; set one of the two to null"
            )
        return self

    @model_validator(mode="after")
    def _every_worker_has_rows(self) -> Self:
        if self.workers > self.batch_size:
            raise ValueError(
                f"workers ({self.workers}) must not exceed batch_size ({self.batch_size}): those "
                "without rows would only wait for the others"
            )
        return self

    @model_validator(mode="after")
    def _step_size_falls(self) -> Self:
        if self.lr_end > self.lr:
            raise ValueError(f"lr_end ({self.lr_end}) must not exceed lr ({self.lr})")
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
                "1, for the loss says when the step size falls"
            )
        if self.lr_end > self.lr / 2:
            raise ValueError(
                f"decay=plateau halves lr ({self.lr}) down to lr_end: wanted at most half of lr, "
                f"found {self.lr_end}"
            )
        if self.patience_share * self.steps < 1:
            raise ValueError(
                f"patience_share ({self.patience_share}) of {self.steps} steps is less than one "
                f"update; set it to {1 / self.steps:.2g} or more"
            )
        halvings = math.ceil(math.log2(self.lr / self.lr_end))
        room = (1 - self.warmup_share) / halvings
        if self.patience_share > room:
            raise ValueError(
                f"{halvings} plateaux of patience_share ({self.patience_share}) do not fit into "
                f"the run after its warm-up; set it to {room:.2g} or less, or raise lr_end"
            )
        return self

    def what(self) -> dict[str, Any]:
        """Leave patience out where nothing waits, and a rank where nothing is compressed.

        Where it is, the workers of a machine count: each compresses a part with a part of the rank.
        """
        tree = super().what()
        unused = {"patience_share"} if self.decay != "plateau" else set()
        unused |= {"compress_rank"} if self.compress_rank is None else set()
        parts = {"machine": self.machine} if self.compress_rank is not None else {}
        return {name: value for name, value in tree.items() if name not in unused} | parts


def _not_in_float16(fit: FitSettings) -> FitSettings:
    if fit.precision == "float16":
        raise ValueError(
            "float16 wants a scale for the gradients of each residual branch, which only the prior "
            "has; set precision to bfloat16, or to float32"
        )
    return fit


def _not_compressed(fit: FitSettings) -> FitSettings:
    if fit.compress_rank is not None:
        raise ValueError(
            "compress_rank is for matrices, and the dVAE's weights are convolutions; leave it null"
        )
    return fit


UnscaledFit = Annotated[FitSettings, AfterValidator(_not_in_float16)]
DvaeFit = Annotated[UnscaledFit, AfterValidator(_not_compressed)]


class DvaeShape(Config):
    """Size of the encoder and decoder (appendix A.1; the released code's names in brackets)."""

    width: PositiveInt = Field(256, ge=4, description="channels at full resolution (n_hid)")
    blocks: PositiveInt = Field(2, description="residual blocks per group (n_blk_per_group)")
    codebook_width: PositiveInt = Field(128, description="decoder's first channels (n_init)")


class DvaeSettings(DvaeShape):
    """Appendix A.2."""

    # A folder or file of weights, such as the released ones, that are taken over in place of a
    # training. Their content is in train_dvae's fingerprint, the path itself is not.
    pretrained: Annotated[str, How, Place] = ""
    beta: NonNegativeFloat = Field(6.6, description="weight of the KL at the end of its ramp")
    beta_ramp_share: Share = 5_000 / 3_000_000
    temperature_start: PositiveFloat = 1.0
    temperature_end: PositiveFloat = 1 / 16
    temperature_share: Share = 150_000 / 3_000_000
    fit: DvaeFit = FitSettings(
        steps=3_000_000,
        batch_size=512,
        lr=1e-4,
        lr_end=1.25e-6,
        decay_share=0.4,
        weight_decay=1e-4,
        ema_share=1_000 / 3_000_000,
        precision="bfloat16",
        save_every=5_000,
        validate_every=5_000,
    )


class EncodeSettings(Config):
    """How clean pairs become tokens, and how good the dVAE must be for it to be worth while."""

    rows_per_shard: PositiveInt = 16_384
    seed: int = 0
    crops: PositiveInt = Field(1, description="of each picture to learn from; each is a row")
    codes: Literal["argmax", "sampled"] = Field(
        "argmax", description="sampled: by their probability, which works like label smoothing"
    )
    precision: EncodePrecision = "float32"
    # How good the dVAE must be on validation pictures; `force` encodes with a worse one.
    min_codes_used: Annotated[NonNegativeInt, How] = 2_048
    min_perplexity: Annotated[NonNegativeFloat, How] = 512.0
    min_psnr_db: Annotated[NonNegativeFloat, How] = 20.0
    max_psnr_gap_db: Annotated[PositiveFloat, How] = 1.0  # lost by single codes against mixtures
    force: Annotated[bool, How] = False
    tile: PositiveInt = Field(32, description="pictures per forward pass, always this many")
    workers: Annotated[PositiveInt, How] = 1
    threads: Annotated[PositiveInt, How] = 2
    decoders: Annotated[NonNegativeInt, How] = Field(
        0, description="processes that crop pictures beside the encoder; 0: a thread does"
    )
    gpu: Annotated[bool, How] = False


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


class PriorSettings(PriorShape):
    """Section 2.2 and appendix B.2."""

    bpe_dropout: Share = 0.1
    caption_dropout: Share = Field(0.0, description="of captions left out, for sample.guidance")
    text_weight: Share = 1 / 8
    fit: FitSettings = FitSettings(
        steps=430_000,
        batch_size=1_024,
        lr=4.5e-4,
        lr_end=4.5e-4 / 2**5,  # five halvings
        decay="plateau",
        warmup_share=5_000 / 430_000,
        beta2=0.96,
        weight_decay=4.5e-2,
        variance_clip=5.0,
        clip_norm=4.0,
        ema_share=2_500 / 430_000,
        ema_every=25,
        precision="bfloat16",
        save_every=1_000,
        validate_every=2_000,
    )


class ClipShape(Config):
    """Size of the two towers of a CLIP trained here."""

    width: PositiveInt = 512
    layers: PositiveInt = 12
    heads: PositiveInt = 8
    patch: PositiveInt = 16
    projection: PositiveInt = 512
    text_len: PositiveInt = 77


class ClipSettings(ClipShape):
    """The reranker: trained on the clean pairs, or a pretrained one by hub name or folder."""

    # What it holds is in train_clip's fingerprint, the name itself is not.
    pretrained: Annotated[str, How, PlaceOrName] = ""
    fit: UnscaledFit = FitSettings(
        steps=30_000,
        batch_size=1_024,
        lr=5e-4,
        lr_end=5e-6,
        warmup_share=0.03,
        beta2=0.98,
        weight_decay=0.2,
        clip_norm=1.0,
        ema_share=0.01,
        precision="bfloat16",
        save_every=1_000,
        validate_every=1_000,
    )


class PromptSettings(Config):
    """Which prompts are drawn."""

    kind: Literal["validation", "file", "world"] = "validation"
    # One prompt a line. Its content is in sample's fingerprint, the path itself is not.
    path: Annotated[str, How, Place] = ""
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
    workers: Annotated[PositiveInt, How] = 1
    threads: Annotated[PositiveInt, How] = 2
    gpu: Annotated[bool, How] = False


class EvaluateSettings(Config):
    """What the report measures."""

    judge: Literal["none", "shapes"] = "none"
    pictures: PositiveInt = Field(1_000, description="validation pictures behind dVAE numbers")
    threads: Annotated[PositiveInt, How] = 2


class Settings(Config):
    """The whole tree; `--set path=value` reaches any leaf. The defaults are the paper's."""

    tokens: TokenSpec = TokenSpec()
    crawl: CrawlSettings = CrawlSettings()
    measure: MeasureSettings = MeasureSettings()
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
