"""What Ray does in training: it starts workers, restarts them, and shows what they log.

`train` runs in the driver. Ray Train starts `run.workers` processes, each with a GPU if `run.gpu`,
and runs `train_worker` in each, which makes a `Trainer` and calls its `fit`. Checkpoints go through
the artifact's folder, so Ray's own storage holds nothing, and a run resumes whether a worker, the
driver or the whole cluster was killed (`checkpoints` says how).
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
from stages.cpu_threads import use_threads
from stages.training import checkpoints
from stages.training.distributed import DistributedContext
from stages.training.divergence import Diverged
from stages.training.task import Scalars, Task
from stages.training.trainer import Trainer
from stages.training.watch import Watch, log_to_driver

FINISHED = "trained.json"  # the stage's result: where it is, nothing is left to train
SECONDS_BETWEEN_RESIZES = 60.0  # of an elastic run: is there room for more workers by now?
WORKER_CPUS = 0.5  # logical: a worker that asks for a whole CPU can starve what feeds it

# Read by Ray Train: fewer helper processes, ends noticed sooner, working directory left alone.
ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}

LOG = logging.getLogger(__name__)


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


def train_worker(job: dict[str, Any]) -> Scalars | Diverged:
    """Train on one worker; what rank 0 returns comes back to the driver."""
    import ray.train.torch  # here, because a stage is imported where Ray is not needed

    cfg: TrainingSettings = job["cfg"]
    use_threads(cfg.run.threads)  # Ray says 1 in OMP_NUM_THREADS
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    ray_context, device = ray.train.get_context(), ray.train.torch.get_device()
    context = DistributedContext(ray_context.get_world_rank(), ray_context.get_world_size(), device)
    try:
        return Trainer(job["task"], cfg, job["out"], context, log_to_driver(job["key"])).fit()
    except Diverged as error:  # on all workers at once, and again after a restart: no use retrying
        return error


def _run(task: Task, cfg: TrainingSettings, out: Folder) -> Scalars:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray.train

    run = cfg.run
    watch = Watch(task.name, cfg.fit)
    with tempfile.TemporaryDirectory(prefix="ray-train-") as nothing, watch as key:
        ray_trainer = _ray_trainer_class()(
            train_worker,
            train_loop_config={"task": task, "cfg": cfg, "out": out, "key": key},
            scaling_config=ray.train.ScalingConfig(
                num_workers=(run.workers_min, run.workers) if run.workers_min else run.workers,
                elastic_resize_monitor_interval_s=SECONDS_BETWEEN_RESIZES,
                use_gpu=run.gpu,
                resources_per_worker={"CPU": WORKER_CPUS} | ({"GPU": 1} if run.gpu else {}),
            ),
            run_config=ray.train.RunConfig(
                name=task.name,
                storage_path=nothing,
                failure_config=ray.train.FailureConfig(max_failures=run.restarts),
                logging_config=ray.train.LoggingConfig(log_level="WARNING"),
            ),
        )
        try:
            returned = ray_trainer.fit().return_value
        except ray.train.WorkerGroupError as error:
            raise _user_error_in(error) or error from error
    if isinstance(returned, Diverged):
        raise returned
    return returned


def _ray_trainer_class() -> Any:
    """Return Ray's trainer without two habits of it that do harm here."""
    import ray.train.torch

    class RayTrainer(ray.train.torch.TorchTrainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            # Each starts a process: one that gives out Ray's data sets, of which we use none, and a
            # cleaner, which fills the log where no dashboard answers it.
            unwanted = {"DatasetsCallback", "PlacementGroupCleanerCallback"}
            callbacks = super()._create_default_callbacks()
            return [one for one in callbacks if type(one).__name__ not in unwanted]

        def _register_sigint_handler(self, controller: Any) -> None:
            """Leave Ctrl-C as it is: Ray's handler exits with 0, and stays after the run."""

    return RayTrainer


def _user_error_in(error: Any) -> UserError | None:
    """Find the UserError that ended a worker, if one did."""
    for failure in error.worker_failures.values():
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, UserError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    return None
