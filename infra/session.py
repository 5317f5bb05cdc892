"""Ray, started the same way everywhere: join the cluster that is there, or start a private one."""

import logging
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Ray reads these when it is imported, so nothing of ours imports it before `start`.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # half-enabled by default in 2.60; users may set "token"
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_USE_DATASOURCE_V2": "0",  # the new reader costs seconds for each pipeline
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # stages draw their own
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it warns of every actor pool, which is harmless
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Where other programs want the processors, threads that spin while they wait for each other
    # keep out the very one they wait for, and a worker at Ray's low priority hardly runs at all.
    "OMP_WAIT_POLICY": "passive",
    "RAY_worker_niceness": "0",
    "NO_ALBUMENTATIONS_UPDATE": "1",  # img2dataset's dependency asks PyPI at import otherwise
}
OBJECT_STORE_BYTES = 512 * 2**20  # only small rows travel; pictures stay inside the actors
LOGICAL_CPUS = 8  # actors wait for the network more than they compute: never starve a reader


def uploaded_working_dir() -> bool:
    """Say whether this process runs in the throw-away copy that `ray job submit` unpacks."""
    return any(part.startswith("_ray_pkg_") for part in Path.cwd().parts)


def start(temp_dir: str | None = None) -> None:
    """Join the cluster named by RAY_ADDRESS, or start a private one that ends with this process."""
    # What is set already came from the user, or from the job: Ray refuses to be told it twice.
    missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(missing)
    import ray

    if ray.is_initialized():
        return
    workers = dict(missing)
    if not uploaded_working_dir():  # Ray puts an uploaded copy on the path by itself
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        workers["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # What workers have to say comes back with their results; their logs are in Ray's own folder.
    common = {
        "runtime_env": {"env_vars": workers},
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**common)
    else:
        ray.init(
            **common,
            num_cpus=max(LOGICAL_CPUS, os.cpu_count() or 1),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            _temp_dir=temp_dir,
        )


def stop() -> None:
    """Leave the cluster; a private one ends."""
    import ray

    ray.shutdown()
