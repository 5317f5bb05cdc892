"""Several processes, joined by gloo, must learn exactly what one process learns."""

import pytest
import torch

from tests.stages.training.toy import Line, settings
from tests.stages.training.workers import learn, saved


def test_two_workers_learn_what_one_learns(tmp_path):
    task = Line(settings(), noise=0.0)
    learn(1, (task.cfg, task, tmp_path / "one"))
    learn(2, (task.cfg, task, tmp_path / "two"))
    alone, together = saved(tmp_path / "one"), saved(tmp_path / "two")
    torch.testing.assert_close(together["model"], alone["model"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(together["average"], alone["average"], rtol=1e-5, atol=1e-6)


class Keep(Line):
    """One process that learns from the rows that two uneven workers would have."""

    def batches(self, step, context):
        from tests.stages.training.toy import points

        size = self.cfg.fit.batch_size
        for k in range(step, self.cfg.fit.steps):
            start = k * size
            rows = [*range(start, start + size, 2), *range(start + 1, start + size, 2)[::3]]
            yield points(sorted(rows))


def test_workers_with_different_numbers_of_rows_weigh_every_row_the_same(tmp_path):
    task = Line(settings(steps=4), noise=0.0, keep=(1, 3))  # 4 rows here, 2 rows there
    learn(2, (task.cfg, task, tmp_path / "two"))
    learn(1, (task.cfg, Keep(task.cfg, noise=0.0), tmp_path / "one"))
    alone, together = saved(tmp_path / "one"), saved(tmp_path / "two")
    torch.testing.assert_close(together["model"], alone["model"], rtol=1e-5, atol=1e-6)
    assert together["step"] == pytest.approx(alone["step"])
