"""Keep a private Ray from asking cloud metadata services (169.254.169.254) which cloud this is.

Ray's dashboard process, which runs even without a dashboard, asks them for the usage statistics
although these are off. It does not if `~/ray_bootstrap_config.yaml` exists, so this process alone
gets Ray's session folder as its home, with an empty file of that name.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ASKED_BY = "dashboard"  # Ray's name of this process
FOLDER = "--session-dir="  # in its command line


@contextmanager
def no_cloud_detection() -> Iterator[None]:
    """Start Ray in the block without the requests, unless its usage statistics are turned on."""
    from ray._private import services

    start = services.start_ray_process

    def start_at_home(command: list[str], process_type: str, *args: Any, **options: Any) -> Any:
        if process_type == ASKED_BY and os.environ.get("RAY_USAGE_STATS_ENABLED") == "0":
            (home,) = (Path(a.removeprefix(FOLDER)) for a in command if a.startswith(FOLDER))
            (home / "ray_bootstrap_config.yaml").write_text("{}\n")
            options["env_updates"] = {**(options.get("env_updates") or {}), "HOME": str(home)}
        return start(command, process_type, *args, **options)

    services.start_ray_process = start_at_home
    try:
        yield
    finally:
        services.start_ray_process = start
