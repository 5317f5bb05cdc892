"""The Ray Train edge of all trainers: workers, restarts, and what they say.

Checkpoints go through the artifact's folder (see `checkpoints`), so Ray's own storage holds
nothing, and a run goes on whether a worker died, the driver, or the whole cluster.
"""

import logging
import os
import tempfile
from typing import Any

import torch

from schemas.errors import UserError
from schemas.folder import Folder
from schemas.manifest import Result
from schemas.settings import TrainingSettings
from stages.training import checkpoints, loop
from stages.training.task import Place, Task
from stages.training.verdict import Diverged
from stages.training.watch import Watch, tell

FINISHED = "trained.json"  # the stage's result: where it is, nothing is left to train
SECONDS_BETWEEN_COUNTS = 60.0  # of an elastic run: is there room for more workers by now?
WORKER_CPUS = 0.5  # logical: a worker that asks for a whole CPU can starve what feeds it

# Read by Ray Train: fewer helper processes, ends noticed sooner, working directory left alone.
ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}

LOG = logging.getLogger(__name__)


def trainer_class() -> Any:
    """Return Ray's trainer without two habits of it that do harm here."""
    import ray.train.torch

    class Trainer(ray.train.torch.TorchTrainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            # Its cleaner is one more process, and fills the log where no dashboard answers it.
            unwanted = "PlacementGroupCleanerCallback"
            return [c for c in super()._create_default_callbacks() if type(c).__name__ != unwanted]

        def _register_sigint_handler(self, controller: Any) -> None:
            """Leave Ctrl-C as it is: Ray's handler exits with 0, and stays after the run."""

    return Trainer


def train(task: Task, cfg: TrainingSettings, out: Folder, *, rows: int) -> Result:
    """Train `task` on Ray workers until its model is in `out`; safe to call again after a kill.

    `rows` is how many there are to learn from. Raises UserError if it is no use to go on.
    """
    if out.exists(FINISHED):
        with out.open(FINISHED) as file:
            result = Result.model_validate_json(file.read())
    else:
        health = _run(task, cfg, out)
        seen = min(rows, cfg.fit.steps * cfg.fit.batch_size)
        result = Result(rows_in=rows, rows_out=seen, health=health)
        out.commit(FINISHED, result.model_dump_json(indent=2).encode())
    checkpoints.remove(out)  # after the result: killed in between, nothing is trained again
    return result


def _run(task: Task, cfg: TrainingSettings, out: Folder) -> dict[str, Any]:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray.train  # here, because a stage is imported where Ray is not needed

    lowest = cfg.run.workers_min
    resources = {"CPU": WORKER_CPUS} | ({"GPU": 1} if cfg.run.gpu else {})
    watch = Watch(task.name, cfg.fit)
    with tempfile.TemporaryDirectory(prefix="ray-train-") as nothing, watch as key:
        trainer = trainer_class()(
            worker,
            train_loop_config={"task": task, "cfg": cfg, "out": out, "key": key},
            scaling_config=ray.train.ScalingConfig(
                num_workers=cfg.run.workers if lowest is None else (lowest, cfg.run.workers),
                elastic_resize_monitor_interval_s=SECONDS_BETWEEN_COUNTS,
                use_gpu=cfg.run.gpu,
                resources_per_worker=resources,
            ),
            run_config=ray.train.RunConfig(
                name=task.name,
                storage_path=nothing,
                failure_config=ray.train.FailureConfig(max_failures=cfg.run.restarts),
                logging_config=ray.train.LoggingConfig(log_level="WARNING"),
            ),
        )
        try:
            returned = trainer.fit().return_value
        except ray.train.WorkerGroupError as error:
            raise _sentence(error) or error from error
    if isinstance(returned, Diverged):
        raise returned
    return returned


def _sentence(error: Any) -> UserError | None:
    """Find what a worker had to say to the user, if that is what ended the run."""
    for failure in error.worker_failures.values():
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, UserError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    return None


def worker(job: dict[str, Any]) -> dict[str, Any] | Diverged:
    """Run on each training process; what rank 0 returns comes back to the driver."""
    import ray.train.torch

    cfg: TrainingSettings = job["cfg"]
    torch.set_num_threads(cfg.run.threads)  # Ray says 1 in OMP_NUM_THREADS
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    context = ray.train.get_context()
    place = Place(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    try:
        return loop.fit(job["task"], cfg, job["out"], place, tell(job["key"]))
    except Diverged as error:  # on all workers at once, and again after a restart: no use retrying
        return error
