"""One training: what decides its result, and how it runs."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import (
    ComputeRun,
    Config,
    Count,
    CountFrom0,
    NonNegative,
    Positive,
    Precision,
    Seed,
    Share,
)


class FitSettings(Config):
    """What decides a training's result. Shares are of `steps`: schedules stretch with the run."""

    steps: Count = Field(description="updates of the weights")
    batch_size: Count = Field(description="rows per update, over all workers")
    learning_rate: Positive = Field(description="the highest, after warm-up")
    learning_rate_end: Positive = Field(description="the lowest it falls to")
    warmup_share: Share = Field(0.0, description="share of steps in which the learning rate rises")
    decay: Literal["cosine", "plateau"] = Field(
        "cosine",
        description="how the learning rate falls; plateau: halved when the loss stops falling",
    )
    decay_share: Share = Field(
        1.0, description="cosine: share of steps, warm-up included, until it is lowest"
    )
    patience_share: Share = Field(
        0.04, description="plateau: share of steps without a lower mean loss before the rate halves"
    )
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: for matrices inside layers, AdamW for the rest"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the first moment")
    beta2: float = Field(0.999, ge=0, lt=1, description="AdamW's decay of the second moment")
    weight_decay: NonNegative = Field(0.0, description="AdamW's, not of biases and gains")
    variance_clip: Positive | None = Field(
        None, description="bound of the second moment (appendix B.2); null: none"
    )
    clip_norm: Positive | None = Field(None, description="bound of the gradient's norm; null: none")
    ema_share: Share = Field(description="horizon of the weights' moving average (EMA)")
    ema_every: Count = Field(1, description="steps between two updates of the EMA")
    best_of: Count = Field(
        1,
        description="validations, evenly over the run, the best of which says what EMA is kept; "
        "1: the last",
    )
    stop_after: Count | None = Field(
        None,
        description="validations of best_of in a row without a better one end the run; "
        "null: none does",
    )
    precision: Precision = Field(
        "float32", description="of matrix products; auto: bfloat16 on a GPU that has it"
    )
    powersgd_rank: Count | None = Field(
        None, description="compress gradients between copies to this rank (section 2.5); null: no"
    )
    powersgd_parts: Count = Field(
        1, description="parts of a compressed matrix: run.shard_size where weights are sharded"
    )
    seed: Seed = Field(0, description="random seed")

    @model_validator(mode="after")
    def _schedules_and_parts_are_consistent(self) -> Self:
        if self.powersgd_rank is not None and self.powersgd_rank % self.powersgd_parts:
            raise ValueError(
                "powersgd_rank must be a multiple of powersgd_parts, which share it evenly, found "
                f"{self.powersgd_rank} and {self.powersgd_parts}; change one of the two"
            )
        if self.stop_after is not None and self.best_of == 1:
            raise ValueError(
                f"stop_after={self.stop_after} counts the validations of best_of, found best_of=1; "
                "set best_of to 2 or more, or stop_after to null"
            )
        if self.learning_rate_end > self.learning_rate:
            raise ValueError(
                f"learning_rate_end ({self.learning_rate_end}) must not exceed learning_rate "
                f"({self.learning_rate})"
            )
        if self.ema_every > self.steps:
            raise ValueError(
                f"ema_every ({self.ema_every}) must not exceed steps ({self.steps}): what is kept "
                "of a run is the average, and it would stay at its random start"
            )
        if self.warmup_share > self.decay_share:
            raise ValueError(
                f"warmup_share ({self.warmup_share}) must not exceed "
                f"decay_share ({self.decay_share})"
            )
        return self

    @model_validator(mode="after")
    def _plateaus_are_long_enough_and_fit_in(self) -> Self:
        if self.decay != "plateau":
            return self
        if self.decay_share != 1:
            raise ValueError(
                f"decay_share ({self.decay_share}) is the cosine's: with decay=plateau leave it at "
                "1, for the loss says when the learning rate falls"
            )
        if self.stop_after is not None and self.best_of == 1:
            raise ValueError(
                f"stop_after={self.stop_after} counts the validations of best_of, found best_of=1; "
                "set best_of to 2 or more, or stop_after to null"
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
                f"{halvings} plateaus of patience_share ({self.patience_share}) do not fit into "
                f"the run after its warm-up; set it to {room:.2g} or less, or raise "
                "learning_rate_end"
            )
        return self


class TrainingRun(ComputeRun):
    """How a training runs."""

    workers_min: Count | None = Field(
        None,
        description="keep going with this many after a node is lost; null waits until there is "
        "room for all",
    )
    gpu_memory_gib: Positive = Field(
        80, description="memory of one GPU, for --plan where there is none to ask"
    )
    micro_batch_size: Count | None = Field(
        None,
        description="rows of a worker per forward pass (gradient accumulation), so that a large "
        "batch fits; null takes all at once",
    )
    activation_checkpointing: bool = Field(
        False, description="compute blocks again in the backward pass: slower, less memory"
    )
    compile: bool = Field(False, description="compile blocks: minutes at first, then quicker steps")
    shard: bool = Field(
        False, description="shard weights, gradients and optimizer state over the workers (FSDP)"
    )
    shard_size: Count | None = Field(
        None, description="workers that share one copy of the weights; null: all"
    )
    log_every: Count = Field(50, description="steps between two lines of metrics")
    save_every: Count = Field(1_000, description="steps between two checkpoints")
    validate_every: Count = Field(1_000, description="steps between two validations")
    restarts: CountFrom0 = Field(3, description="attempts after a worker or node is lost")

    @property
    def shard_group_size(self) -> int:
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
    def _muon_has_whole_matrices(self) -> Self:
        if self.fit.optimizer == "muon" and self.run.shard:
            raise ValueError(
                "fit.optimizer=muon wants whole matrices on every worker, and run.shard gives each "
                "a part; set run.shard to false, or fit.optimizer to adamw"
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
                f"fit.powersgd_rank={fit.powersgd_rank} compresses gradients between copies of the "
                "weights, and workers that share one have none; set run.shard_size, or run.shard "
                "to false"
            )
        if run.shard_group_size != fit.powersgd_parts:
            raise ValueError(
                "fit.powersgd_parts must be the number of workers that share one copy of the "
                f"weights, {run.shard_group_size}, found {fit.powersgd_parts}; set it to that, or "
                "change run.shard_size"
            )
        return self


def for_any_model(fit: FitSettings) -> FitSettings:
    """Refuse float16 for a model without scales, and to choose for one without a loss."""
    if fit.best_of > 1:
        raise ValueError(
            "best_of chooses by the validation loss, which only the prior has; set it to 1, "
            f"found {fit.best_of}"
        )
    if fit.precision == "float16":
        raise ValueError(
            "float16 wants a scale for the gradients of each residual branch, which only the prior "
            "has; set precision to bfloat16, or to float32"
        )
    return fit
