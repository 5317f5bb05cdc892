"""Training in several processes of this machine, joined by gloo."""

import os
import socket
from contextlib import suppress

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from infra.store import open_folder
from stages.training import checkpoints, loop
from stages.training.task import Place
from tests.stages.training.toy import silent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fit(cfg, task, path, place):
    """Train until the end, or until the task stops as if it were killed."""
    with suppress(KeyboardInterrupt):
        loop.fit(task, cfg, open_folder(path), place, silent)


def work(rank, world, port, jobs):
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    for job in jobs:
        fit(*job, Place(rank, world))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the group, and abort an orderly end


def learn(world, *jobs):
    """Do (settings, task, path) one after the other."""
    if world > 1:
        processes.spawn(work, (world, free_port(), jobs), nprocs=world)
    else:
        for job in jobs:
            fit(*job, Place())


def saved(path):
    """Return the newest checkpoint."""
    found = checkpoints.newest(open_folder(path))
    assert found is not None
    return found
