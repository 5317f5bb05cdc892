"""Keep a private Ray from asking 169.254.169.254 and its like which cloud this is.

The process of Ray's dashboard, which is there without a dashboard too, wants to know it for the
usage statistics, and asks although these are off: Azure's and AWS's agent by number, Google's by
name. It does not where `~/ray_bootstrap_config.yaml` describes a cluster, so for this process, and
no other, home is Ray's own folder of the session, with such a file that says nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ASKED_BY = "dashboard"  # as Ray calls this process
FOLDER = "--session-dir="  # in its command line


@contextmanager
def no_cloud_detection() -> Iterator[None]:
    """Let a Ray that is started in the block ask nobody.

    Who has turned Ray's usage statistics on gets them whole.
    """
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
