"""Process many shards on Ray Data actors, so that a kill at any moment loses little.

A shard is finished when `stats/<name>.json` is committed, after its data files; a run skips the
finished ones. A shard that raises is retried in a later round. One that kills its worker would be
retried by Ray for ever, so each attempt leaves a marker *before* it starts, and a shard with three
markers of this run is quarantined: if the stage has a substitute (`instead`), the run goes on with
that, else the stage fails after all other shards. Workers that die while they start are counted in
the same way. The driver holds only the statistics of each shard.
"""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schemas.artifacts import STATS
from schemas.errors import ShardsFailed
from schemas.folder import Folder
from schemas.manifest import FileDigest, digest
from schemas.process import Process
from stages.progress import Progress
from stages.shards.actors import Pool, clear, one_round
from stages.shards.records import (
    ATTEMPTS,
    MAX_ATTEMPTS,
    Made,
    Outcome,
    Shard,
    ShardStats,
    stats_file,
)
from stages.threads import in_threads

LOG = logging.getLogger(__name__)

_Finished = dict[str, tuple[ShardStats, FileDigest]]


def run_shards(
    work: Callable[..., Callable[[Any], Made]],
    kwargs: Mapping[str, Any],
    shards: Sequence[Shard],
    out: Folder,
    *,
    what: str,
    workers: int,
    instead: Callable[..., Callable[[Any], Made]] | None = None,
    cpus: float = 0.25,
    gpus: float = 0.0,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Make every shard that is not finished yet and return what all of them left.

    Each of `workers` actors calls `work(**kwargs)` once and the result once per shard. `cpus` is
    what Ray reserves, small so that a job on few CPUs cannot deadlock. `env` is set before the
    actor imports anything. If some shards fail but others do not, `instead(**kwargs)` is called
    with each one's (payload, error), and its result is the shard. Raises ShardsFailed after the
    other shards if some fail without a substitute, and at once any UserError from the work.
    """
    finished = _read_stats(out, [shard.name for shard in shards])
    todo = [shard for shard in shards if shard.name not in finished]
    if todo:
        before = sum(shard.rows for shard in shards if shard.name in finished)
        pool = Pool(work, dict(kwargs), out, workers, cpus, gpus, dict(env or {}), Process.here())
        with Progress(what, before + sum(shard.rows for shard in todo), done=before) as progress:
            made, failed = _make(pool, todo, progress)
            finished |= made
            if failed and finished and instead is not None:  # else the fault is no shard's own
                made, failed = _quarantine(replace(pool, work=instead), todo, failed, progress)
                finished |= made
        clear(out, ATTEMPTS)
        if failed:
            raise _failure(what, failed, len(shards))
    files: dict[str, FileDigest] = {}
    for stats, content in finished.values():
        files |= stats.files
        files[stats_file(stats.name)] = content
    return Outcome(tuple(finished[shard.name][0] for shard in shards), files)


def run_once(work: Callable[..., Any], *args: Any, gpus: float = 0.0) -> Any:
    """Call `work(*args)` in one task on the cluster, away from the driver, and return its result.

    It must be idempotent: a killed run calls it again.
    """
    import ray

    return ray.get(ray.remote(num_cpus=0.25, num_gpus=gpus)(work).remote(*args))


def _make(
    pool: Pool, todo: Sequence[Shard], progress: Progress
) -> tuple[_Finished, dict[str, str]]:
    """Run rounds until every shard is finished or has failed too often; return both kinds."""
    made: _Finished = {}
    failed: dict[str, str] = {}
    rows = {shard.name: shard.rows for shard in todo}
    run_id = uuid.uuid4().hex[:8]
    for _ in range(MAX_ATTEMPTS):
        again = set()
        for reply in one_round(pool, todo, run_id):
            if reply.stop is not None:
                raise reply.stop
            if reply.stats is None:
                failed[reply.name] = reply.error
                LOG.warning("shard %s failed: %s", reply.name, reply.error)
                if not reply.spent:
                    again.add(reply.name)
            else:
                failed.pop(reply.name, None)
                made[reply.name] = _parse(reply.stats)
                progress.advance(rows[reply.name])
        todo = [shard for shard in todo if shard.name in again]
        if not todo:
            break
    return made, failed


def _quarantine(
    pool: Pool, todo: Sequence[Shard], failed: Mapping[str, str], progress: Progress
) -> tuple[_Finished, dict[str, str]]:
    """Make what stands in for the shards that failed; return both kinds as `_make` does."""
    for name, error in failed.items():
        LOG.error("shard %s is quarantined: %s", name, error)
    shards = [
        replace(shard, payload=(shard.payload, failed[shard.name]))
        for shard in todo
        if shard.name in failed
    ]
    return _make(replace(pool, quarantines=True), shards, progress)


def _failure(what: str, failed: Mapping[str, str], total: int) -> ShardsFailed:
    some = "; ".join(f"{name}: {error}" for name, error in sorted(failed.items())[:5])
    return ShardsFailed(
        f"{what}: {len(failed)} of {total} shards failed {MAX_ATTEMPTS} times and were set aside "
        f"({some}); the others are kept: mend the cause and run the same command again",
        shards=tuple(sorted(failed)),
    )


def _read_stats(out: Folder, names: Sequence[str]) -> _Finished:
    committed = set(out.list(STATS))
    done = [name for name in names if stats_file(name) in committed]

    def read(name: str) -> tuple[ShardStats, FileDigest]:
        with out.open(stats_file(name)) as file:
            return _parse(file.read())

    return dict(zip(done, in_threads(read, done), strict=True))


def _parse(data: bytes) -> tuple[ShardStats, FileDigest]:
    return ShardStats.model_validate_json(data), digest(data)
