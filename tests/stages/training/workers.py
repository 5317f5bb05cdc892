"""Training in several processes of this machine, joined by gloo."""

import itertools
import json
import os
import socket
from contextlib import suppress

import safetensors.torch
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from infra.store import open_folder
from stages.training import checkpoints
from stages.training.distributed import DistributedContext, local
from stages.training.trainer import Trainer
from tests.stages.training.toy import ALONE, silent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fit(cfg, task, path, context):
    """Train until the end, or until the task stops as if it were killed."""
    with suppress(KeyboardInterrupt):
        Trainer(task, cfg, open_folder(path), context, silent).fit()


def work(rank, world, port, do, arguments):
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    do(DistributedContext(rank, world), *arguments)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the group, and abort an orderly end


def each(world, do, *arguments):
    """Call do(context, *arguments) in so many processes, or here if that is one."""
    if world > 1:
        how = {"nprocs": world, "start_method": "forkserver"}  # conftest.py says from what
        processes.start_processes(work, (world, free_port(), do, arguments), **how)
    else:
        do(ALONE, *arguments)


def fit_all(context, *jobs):
    for job in jobs:
        fit(*job, context)


def learn(world, *jobs):
    """Do (settings, task, path) one after the other."""
    each(world, fit_all, *jobs)


def saved(path):
    """Return the newest checkpoint as {"model": {name: whole tensor}, ..., "step": number}."""
    out = open_folder(path)
    folder = checkpoints.steps(out)[0]
    with out.open(f"{folder}/index.json") as file:
        index = json.load(file)
    files = {name: safetensors.torch.load(out.open(name).read()) for name in index["files"]}
    tree = dict(index["numbers"])
    for path, tensor in index["tensors"].items():
        *parents, leaf = path.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        spans = tensor["spans"]
        cut = int(spans[-1]["column"] > 0)  # across rows, or across columns
        branch[leaf] = torch.cat([files[span["file"]][path] for span in spans], dim=cut)
    return tree


def bytes_sent(power):
    """What a worker sends of its gradients in an update, each number in four bytes."""
    sketches = itertools.chain.from_iterable(power.sketches.values())
    pairs = zip(power._matrices(power.errors), sketches, strict=True)
    factors = sum(random.shape[1] * sum(matrix.shape) for matrix, random in pairs)
    return 4 * (factors + sum(local(weight).numel() for weight in power.whole))


def same(found, wanted, **tolerance):
    """Compare all that is learned of two runs."""
    tolerance = {"rtol": 1e-4, "atol": 1e-6} | tolerance
    for part in ("model", "average", "optimizer"):
        torch.testing.assert_close(found[part], wanted[part], **tolerance)
    assert found["step"] == wanted["step"]


WITHOUT_EFFECT = ("k_proj.bias", "qkv.bias")  # of keys: their gradient is rounding alone


def nearly_same(found, wanted):
    """Compare the weights, and their averages, of two runs that sum in other orders."""
    for part in ("model", "average"):
        for name, value in wanted[part].items():
            if not name.endswith(WITHOUT_EFFECT):
                torch.testing.assert_close(found[part][name], value, rtol=1e-3, atol=2e-5)


def gradients_differ(found, wanted):
    """Return by how much at most, of their size, seen in the optimizer's first moments.

    What has no effect, as a key's bias, has a gradient of rounding alone: some size is added.
    """
    found, wanted = (run["optimizer"] for run in (found, wanted))
    largest = max(state["exp_avg"].norm() for state in wanted.values())
    return max(
        (found[name]["exp_avg"] - state["exp_avg"]).norm().item()
        / (state["exp_avg"].norm() + largest / 100).item()
        for name, state in wanted.items()
    )
