"""Settings that had another name before 0.3: whoever uses the old one is told the new one."""

_MOVED = {  # by the node that they are in now, under the name that they had
    "crawl.run": "allow_hosts contact host_connections host_pause_seconds threads workers",
    "encode.gate": "force max_psnr_gap_db min_codes_used min_perplexity min_psnr_db",
    "encode.run": "decoders gpu threads workers",
    "evaluate.run": "threads",
    "filter.run": "workers",
    "sample.run": "gpu threads workers",
}
_OF_THE_FILTER = {
    "filter.clip.min_score": "filter.min_clip_score",
    "filter.clip.path": "measure.clip",
    "filter.nsfw.max_score": "filter.max_nsfw",
    "filter.nsfw.measure": "measure.nsfw",
    "filter.writing.max_share": "filter.max_writing",
    "filter.writing.measure": "measure.writing",
    "filter.writing.watermarks": "filter.watermarks",
}
_OF_A_TRAINING = {
    "compress_rank": "fit.powersgd_rank",
    "lr": "fit.learning_rate",
    "lr_end": "fit.learning_rate_end",
    "machine": "run.shard_size",
    "micro_batch": "run.micro_batch_size",
    "recompute": "run.activation_checkpointing",
}
_HOW_A_TRAINING_RUNS = (
    "compile gpu gpu_memory_gib log_every restarts save_every shard threads validate_every workers "
    "workers_min"
)


def _renamed() -> dict[str, str]:
    moved = {
        f"{node.partition('.')[0]}.{name}": f"{node}.{name}"
        for node, names in _MOVED.items()
        for name in names.split()
    }
    how = {name: f"run.{name}" for name in _HOW_A_TRAINING_RUNS.split()}
    trained = {
        f"{training}.fit.{old}": f"{training}.{new}"
        for training in ("dvae", "prior", "clip")
        for old, new in (_OF_A_TRAINING | how).items()
    }
    return moved | _OF_THE_FILTER | trained


RENAMED = _renamed()  # old -> new, dotted
