"""Start Ray the same way everywhere: join the cluster of RAY_ADDRESS, or start a private one."""

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.machines import require_seen
from infra.ray_address import cluster_address, require_head
from infra.ray_processes import needed_processes
from infra.ray_scratch import own_folder
from schemas.errors import SessionFailed

ROOT = Path(__file__).resolve().parents[1]

# Ray reads these at import, so none of our modules imports it before `start`.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # half-enabled by default in 2.60; users may set "token"
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_USE_DATASOURCE_V2": "0",  # the new reader takes seconds per pipeline
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # stages draw their own
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it warns of every actor pool, harmlessly
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "GOMP_SPINCOUNT": "10000",  # half a millisecond; beside other programs less (cpu_threads.py)
    "RAY_worker_niceness": "0",  # at Ray's low priority, workers hardly run beside other programs
}
OBJECT_STORE_BYTES = 512 * 2**20  # only small rows are sent; pictures stay inside the actors
LOGICAL_CPUS = 8  # actors mostly wait for the network, so more of them than cores may run


def uploaded_working_dir() -> bool:
    """Whether this process runs in the temporary copy that `ray job submit` unpacks."""
    return any(part.startswith("_ray_pkg_") for part in Path.cwd().parts)


def start(
    temp_dir: str | None = None, *, sees: Sequence[str] = (), root: str | None = None
) -> None:
    """Join the cluster named by RAY_ADDRESS, or start a private one that ends with this process.

    Raises UserError if neither is possible, or if a machine of the cluster does not see the paths
    in `sees` or the root.
    """
    # Variables that the user or the job has set stay: Ray refuses to be given them twice.
    missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(missing)
    address = cluster_address()
    import ray

    if ray.is_initialized():
        return
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # Workers report with their results; their logs are in Ray's own folder.
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is not None:
        require_head(address)
        # Ray puts an uploaded copy on the path by itself.
        workers = missing if uploaded_working_dir() else missing | {"PYTHONPATH": path}
        _init(address=address, runtime_env={"env_vars": workers}, **quiet)
        if root is not None:
            require_seen(sees, root)
    else:
        # Its workers inherit the environment; for one of their own, Ray would start each twice.
        with needed_processes(), _python_path(path):
            _init(
                address="local",  # even if another Ray runs on this machine
                **quiet,
                num_cpus=max(LOGICAL_CPUS, os.cpu_count() or 1),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=temp_dir or _scratch(),
            )


@contextmanager
def _python_path(path: str) -> Iterator[None]:
    """Set PYTHONPATH within the block."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


_own: list[str] = []  # folders to remove with the private Ray


def _scratch() -> str | None:
    folder = own_folder()
    if folder is not None:
        _own.append(folder)
    return folder


def _init(**how: Any) -> None:
    """Call ray.init, turn its many kinds of errors into one, and restore SIGTERM's handler."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**how)
    except Exception as error:
        said = " ".join(str(error).split())
        wanted = "to start Ray" if how["address"] == "local" else f"to join {how['address']}"
        raise SessionFailed(
            f"wanted {wanted}, found {type(error).__name__}: {said[:400]}; mend that and run "
            "the same command again"
        ) from error
    finally:
        # Ray's own handler exits with code 15; only the main thread can set one.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def stop() -> None:
    """Leave the cluster, or end the private one; do nothing if none was started."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
    while _own:
        shutil.rmtree(_own.pop(), ignore_errors=True)
