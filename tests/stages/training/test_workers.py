"""Several processes, joined by gloo, must learn exactly what one process learns."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from infra.store import open_folder
from stages.training import checkpoints, loop
from stages.training.task import Place
from tests.stages.training.toy import Line, settings


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def work(rank, world, port, path, task):
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    loop.fit(task, task.fit, open_folder(path), Place(rank, world), lambda step, line: None)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the group, and abort an orderly end


def weights_after(task, path, world):
    if world == 1:
        loop.fit(task, task.fit, open_folder(path), Place(), lambda step, line: None)
    else:
        processes.spawn(work, (world, free_port(), path, task), nprocs=world)
    saved = checkpoints.newest(open_folder(path))
    assert saved is not None
    return saved


def test_two_workers_learn_what_one_learns(tmp_path):
    task = Line(settings(), noise=0.0)
    alone = weights_after(task, tmp_path / "one", 1)
    together = weights_after(task, tmp_path / "two", 2)
    torch.testing.assert_close(together["model"], alone["model"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(together["average"], alone["average"], rtol=1e-5, atol=1e-6)


class Keep(Line):
    """One process that learns from the rows that two uneven workers would have."""

    def batches(self, step, place):
        from tests.stages.training.toy import points

        size = self.fit.batch_size
        for k in range(step, self.fit.steps):
            start = k * size
            rows = [*range(start, start + size, 2), *range(start + 1, start + size, 2)[::3]]
            yield points(sorted(rows))


def test_workers_with_different_numbers_of_rows_weigh_every_row_the_same(tmp_path):
    task = Line(settings(steps=4), noise=0.0, keep=(1, 3))  # 4 rows here, 2 rows there
    together = weights_after(task, tmp_path / "two", 2)
    alone = weights_after(Keep(settings(steps=4), noise=0.0), tmp_path / "one", 1)
    torch.testing.assert_close(together["model"], alone["model"], rtol=1e-5, atol=1e-6)
    assert together["step"] == pytest.approx(alone["step"])
