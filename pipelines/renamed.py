"""Settings that had another name before 0.3: whoever uses the old one is told the new one."""

_TRAININGS = ("dvae", "prior", "clip")

# Kept their last name, and moved into a node of their own.
_MOVED = {
    "crawl.run": "allow_hosts contact host_connections host_pause_seconds threads workers",
    "encode.gate": "force max_psnr_gap_db min_codes_used min_perplexity min_psnr_db",
    "encode.run": "decoders gpu threads workers",
    "evaluate.run": "threads",
    "filter.run": "workers",
    "sample.run": "gpu threads workers",
}
_OF_TRAININGS = {
    "compress_rank": "fit.powersgd_rank",
    "lr": "fit.learning_rate",
    "lr_end": "fit.learning_rate_end",
    "machine": "run.shard_size",
    "micro_batch": "run.micro_batch_size",
    "recompute": "run.activation_checkpointing",
} | {
    name: f"run.{name}"
    for name in "compile gpu gpu_memory_gib log_every restarts save_every shard threads "
    "validate_every workers workers_min".split()
}
RENAMED = {  # old -> new, dotted
    f"{node.partition('.')[0]}.{name}": f"{node}.{name}"
    for node, names in _MOVED.items()
    for name in names.split()
} | {f"{one}.fit.{old}": f"{one}.{new}" for one in _TRAININGS for old, new in _OF_TRAININGS.items()}
