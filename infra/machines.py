"""Check that every machine of a joined cluster sees the run's paths, before rows are written."""

import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from infra.folders import open_folder
from infra.paths import is_remote
from infra.roots import PROBE, require_root
from schemas.errors import ConfigError, SessionFailed, UserError

LOG = logging.getLogger(__name__)
SHARED = "put it where all machines see it, or on an object store"


def require_seen(places: Sequence[str], root: str) -> None:
    """Raise ConfigError unless every machine sees the paths and can write to the root.

    The check reserves no CPU, so a busy cluster answers too.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode

    if ray.available_resources().get("CPU", 0) < 1:
        total = ray.cluster_resources().get("CPU", 0)
        LOG.info("none of the cluster's %.0f CPUs is free: stages wait until one is", total)
    probe = f"{PROBE}{uuid.uuid4().hex}"
    folder = open_folder(root)
    folder.commit(probe, b"")
    look = ray.remote(num_cpus=0)(unseen)
    try:
        answers = [
            (
                node["NodeManagerHostname"],
                look.options(scheduling_strategy=OnNode(node["NodeID"], soft=False)).remote(
                    list(places), root, probe
                ),
            )
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU")
        ]
        for host, answer in answers:
            if sentence := _answer(answer, host):
                raise ConfigError(f"machine {host} of the cluster {sentence}")
    finally:
        folder.remove(probe)


def _answer(answer: object, host: str) -> str:
    import ray

    try:
        return str(ray.get(answer))
    except ray.exceptions.RayError as error:  # such as a machine without our code
        last = str(error).strip().splitlines()[-1][:300]
        raise SessionFailed(
            f"wanted machine {host} of the cluster to run our code, found {last}; install the same "
            "environment there, or use `ray job submit --working-dir . -- pipelines/full.py ...`"
        ) from None


def unseen(places: Sequence[str], root: str, probe: str) -> str:
    """Describe what this machine does not see; empty if it sees everything."""
    for place in places:
        if not os.path.exists(place):
            return f"does not see {place}; {SHARED}"
    try:
        if not is_remote(root) and not (Path(root) / probe).exists():
            return f"has another folder at --root {root}; {SHARED}"
        require_root(root, writes=True)
    except UserError as error:
        return f"cannot use the root: {error}"
    return ""
