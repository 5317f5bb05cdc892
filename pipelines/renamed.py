"""Settings that had another name before 0.3: whoever uses the old one is told the new one."""

RENAMED = {
    "crawl.allow_hosts": "crawl.run.allow_hosts",
    "crawl.contact": "crawl.run.contact",
    "crawl.host_connections": "crawl.run.host_connections",
    "crawl.host_pause_seconds": "crawl.run.host_pause_seconds",
    "crawl.threads": "crawl.run.threads",
    "crawl.workers": "crawl.run.workers",
    "encode.decoders": "encode.run.decoders",
    "encode.force": "encode.gate.force",
    "encode.gpu": "encode.run.gpu",
    "encode.max_psnr_gap_db": "encode.gate.max_psnr_gap_db",
    "encode.min_codes_used": "encode.gate.min_codes_used",
    "encode.min_perplexity": "encode.gate.min_perplexity",
    "encode.min_psnr_db": "encode.gate.min_psnr_db",
    "encode.threads": "encode.run.threads",
    "encode.workers": "encode.run.workers",
    "evaluate.threads": "evaluate.run.threads",
    "filter.clip.min_score": "filter.min_clip_score",
    "filter.clip.path": "measure.clip",
    "filter.nsfw.max_score": "filter.max_nsfw",
    "filter.nsfw.measure": "measure.nsfw",
    "filter.writing.max_share": "filter.max_writing",
    "filter.writing.measure": "measure.writing",
    "filter.writing.watermarks": "filter.watermarks",
    "filter.workers": "filter.run.workers",
    "sample.gpu": "sample.run.gpu",
    "sample.threads": "sample.run.threads",
    "sample.workers": "sample.run.workers",
}
_OF_A_TRAINING = {
    "compile": "run.compile",
    "compress_rank": "fit.powersgd_rank",
    "gpu": "run.gpu",
    "gpu_memory_gib": "run.gpu_memory_gib",
    "log_every": "run.log_every",
    "lr": "fit.learning_rate",
    "lr_end": "fit.learning_rate_end",
    "machine": "run.shard_size",
    "micro_batch": "run.micro_batch_size",
    "recompute": "run.activation_checkpointing",
    "restarts": "run.restarts",
    "save_every": "run.save_every",
    "shard": "run.shard",
    "threads": "run.threads",
    "validate_every": "run.validate_every",
    "workers": "run.workers",
    "workers_min": "run.workers_min",
}
RENAMED |= {
    f"{training}.fit.{old}": f"{training}.{new}"
    for training in ("dvae", "prior", "clip")
    for old, new in _OF_A_TRAINING.items()
}
