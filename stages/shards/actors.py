"""The actors that process shards: attempt marker, work, data files, then the statistics."""

import logging
import pickle
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas.errors import UserError, worded
from schemas.folder import Folder
from schemas.process import Process
from stages.shards.records import ATTEMPTS, MAX_ATTEMPTS, Made, Shard, ShardStats, stats_file

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """What the actors are made from."""

    work: Callable[..., Callable[[Any], Made]]
    kwargs: dict[str, Any]
    out: Folder
    size: int
    cpus: float
    gpus: float
    env: dict[str, str]
    driver: Process  # gives out the shards
    quarantines: bool = False  # makes the substitutes of shards that no worker could make


@dataclass(frozen=True)
class ShardReply:
    """What an actor says about one shard: its stats file, or what went wrong."""

    name: str
    stats: bytes | None = None
    error: str = ""
    spent: bool = False  # begun so often that it is not begun again
    stop: UserError | None = None  # no shard can succeed, so do not try


def one_round(pool: Pool, todo: Sequence[Shard], run_id: str) -> Iterator[ShardReply]:
    """Give each shard to an actor once and yield what they say, as they finish."""
    import ray.data  # here, because a stage is imported where Ray is not needed

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler).__module__.startswith("ray."):  # others may be the root logger's too
            handler.setLevel(logging.ERROR)  # its chatter about every execution
    options = {"runtime_env": {"env_vars": pool.env}} if pool.env else {}
    replies = ray.data.from_items(
        [{"shard": pickle.dumps(shard)} for shard in todo], override_num_blocks=len(todo)
    ).map_batches(
        _Actor,
        fn_constructor_args=(pool, run_id),
        batch_size=1,
        batch_format="pyarrow",
        # One shard at a time on one actor: a second one waiting could not go to an idle actor.
        compute=ray.data.ActorPoolStrategy(
            size=min(pool.size, len(todo)), max_tasks_in_flight_per_actor=1
        ),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        **options,
    )
    for batch in replies.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0):
        yield pickle.loads(batch["reply"][0].as_py())


class _Actor:
    """Makes shards in a worker process: attempt marker, work, data files, stats file."""

    def __init__(self, pool: Pool, run_id: str) -> None:
        self.out, self.run_id, self.driver = pool.out, run_id, pool.driver
        self.quarantines = pool.quarantines
        self.stop: UserError | None = None
        starts = f"{ATTEMPTS}{run_id}/starts/"
        if len(self.out.list(starts)) >= MAX_ATTEMPTS * pool.size:  # Ray would go on for ever
            self.stop = UserError("workers die while they start; see Ray's logs of the workers")
            return
        marker = f"{starts}{uuid.uuid4().hex}"
        self.out.commit(marker, b"")
        try:
            self.work = _guarded(pool.work, **pool.kwargs)
        except UserError as error:
            self.stop = error
        except _Failed as error:
            self.stop = UserError(f"workers cannot start: {error}; see the log above")
        self.out.remove(marker)

    def __call__(self, batch: pa.Table) -> pa.Table:
        shard: Shard = pickle.loads(batch["shard"][0].as_py())
        return pa.table({"reply": [pickle.dumps(self.reply(shard))]})

    def reply(self, shard: Shard) -> ShardReply:
        """Make the shard, unless it is finished or was begun too often, and say how it went."""
        if self.stop is not None:
            return ShardReply(shard.name, stop=self.stop)
        if self.out.exists(stats_file(shard.name)):  # Ray repeats what a lost worker had finished
            with self.out.open(stats_file(shard.name)) as file:
                return ShardReply(shard.name, stats=file.read())
        prefix = f"{ATTEMPTS}{self.run_id}/{shard.name}."
        attempts = len(self.out.list(prefix))
        if attempts >= MAX_ATTEMPTS:
            error = f"its worker died or failed {attempts} times"
            return ShardReply(shard.name, error=error, spent=True)
        try:
            stats = _guarded(self.make, shard, f"{prefix}{attempts}")
        except UserError as error:
            return ShardReply(shard.name, stop=error)
        except _Failed as error:
            return ShardReply(shard.name, error=str(error))
        clear(self.out, prefix)
        return ShardReply(shard.name, stats=stats)

    def make(self, shard: Shard, marker: str) -> bytes:
        """Leave the marker, do the work, commit its files, then the statistics; return these.

        An orphan of a driver on this machine commits nothing: what that driver served (the demo's
        web) died with it.
        """
        self.out.commit(marker, b"")
        made = self.work(shard.payload)
        if self.driver.is_gone:
            raise UserError("the run that asked for this shard was killed")
        files = {name: self.out.commit(name, data) for name, data in made.files.items()}
        about = {"name": shard.name, "files": files, "quarantined": self.quarantines}
        stats = ShardStats.model_validate(vars(made) | about)
        data = stats.model_dump_json().encode()
        self.out.commit(stats_file(shard.name), data)
        return data


class _Failed(Exception):
    """What went wrong, in words that can be sent."""


def _guarded(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `work` and turn all that it may raise, but sentences for the user, into _Failed."""
    try:
        return work(*args, **kwargs)
    except UserError:
        raise
    except Exception as error:
        LOG.error("%s", traceback.format_exc())
        raise _Failed(worded(error)[:300]) from error


def clear(out: Folder, prefix: str) -> None:
    for name in out.list(prefix):
        out.remove(name)
