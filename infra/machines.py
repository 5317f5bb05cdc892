"""Do the machines of a joined cluster see what this one sees? Asked before rows are written."""

import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from infra.addresses import is_remote
from infra.roots import PROBE, require_root
from infra.store import open_folder
from schemas.errors import ConfigError, SessionFailed, UserError

LOG = logging.getLogger(__name__)
SHARED = "put it where all machines see it, or on an object store"


def require_seen(places: Sequence[str], root: str) -> None:
    """Raise ConfigError unless every machine that will work sees the paths, and writes to the root.

    Asks for no CPU, so that a cluster that is busy answers as well.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode

    _say_if_busy()
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
            if sentence := _heard(answer, host):
                raise ConfigError(f"machine {host} of the cluster {sentence}")
    finally:
        folder.remove(probe)


def _heard(answer: object, host: str) -> str:
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
    """Say, on the machine that is asked, what it does not see; empty if all is there."""
    for place in places:
        if not os.path.exists(place):
            return f"does not see {place}; {SHARED}"
    try:
        if not is_remote(root) and not (Path(root) / probe).exists():
            return f"sees another folder than this one at --root {root}; {SHARED}"
        require_root(root, writes=True)
    except UserError as error:
        return f"has trouble with the root: {error}"
    return ""


def _say_if_busy() -> None:
    """Say that the run will wait, where all is in use."""
    import ray

    if ray.available_resources().get("CPU", 0) < 1:
        total = ray.cluster_resources().get("CPU", 0)
        LOG.info(
            "the cluster has none of its %.0f CPUs free: stages wait until there is one", total
        )
