"""Residual dropout of the prior: what it leaves out, when, and that each update draws anew."""

import json

import pytest
import torch
from torch.nn import functional

from infra.store import open_folder
from schemas.settings import PriorShape
from stages import weights
from stages.models.masks import SequenceLayout, make_mask, masked_attention
from stages.models.prior import Block
from stages.train_prior.task import PriorTask
from stages.training.trainer import Trainer
from tests.stages.test_train_prior import settings, task_of
from tests.stages.training.workers import each, learn, saved

CFG = settings(dropout=0.0, learning_rate=1e-2).model_copy(update={"dropout": 0.5})


def block(dropout):
    torch.manual_seed(0)
    made = Block(PriorShape(layers=1, heads=2, head_dim=8, conv_kernel=3), dropout)
    made.reset_parameters(1)
    return made


def attend(q, k, v):
    return masked_attention(q, k, v, make_mask("row", SequenceLayout(5, 2, 3)))


X = torch.randn(3, 8, 16, generator=torch.Generator().manual_seed(1))


def test_a_share_of_what_a_block_adds_is_left_out_and_the_rest_is_larger():
    made = block(0.25)
    torch.manual_seed(2)
    found = made(X, attend)
    torch.manual_seed(2)
    x = X + functional.dropout(made.attention(X, attend), 0.25)
    torch.testing.assert_close(found, x + functional.dropout(made.mlp(x), 0.25), rtol=0, atol=0)
    assert torch.equal(made.eval()(X, attend), block(0.0)(X, attend))


def test_without_it_a_block_draws_nothing():
    before = torch.get_rng_state()
    made = block(0.0)
    torch.set_rng_state(before)
    assert torch.equal(made(X, attend), made.eval()(X, attend))
    assert torch.equal(torch.get_rng_state(), before)


def note_what_is_left_out(context, root):
    """Make two updates; write which numbers the first block left out of its attention."""
    trainer = Trainer(task_of(root / str(context.rank), CFG), CFG, open_folder(root), context)
    left_out = []
    dropout = trainer.state.model.blocks[0].dropout
    dropout.register_forward_hook(lambda module, x, y: left_out.append(y.eq(0).flatten().tolist()))
    batches = trainer.task.batches(0, context)
    for _ in range(2):
        trainer.timed_step(batches)
    (root / f"left out {context.rank}").write_text(json.dumps(left_out))


def test_workers_and_updates_leave_out_different_numbers(tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    each(2, note_what_is_left_out, tmp_path)
    found = [json.loads((tmp_path / f"left out {rank}").read_text()) for rank in range(2)]
    masks = found[0] + found[1]
    assert len(masks) == 8  # of attention and feed-forward, in two updates of two workers
    assert len({tuple(mask) for mask in masks}) == 8
    assert sum(map(sum, masks)) / sum(map(len, masks)) == pytest.approx(0.5, abs=0.03)


class Stopped(PriorTask):
    def loss_sums(self, model, batch, step):
        if step == 6:
            raise KeyboardInterrupt
        return super().loss_sums(model, batch, step)


def test_a_stopped_run_leaves_out_what_an_uninterrupted_one_does(tmp_path):
    task = task_of(tmp_path, CFG)
    stopped = Stopped(**vars(task))
    learn(1, (CFG, task, tmp_path / "whole"))
    learn(1, (CFG, stopped, tmp_path / "stopped"), (CFG, task, tmp_path / "stopped"))
    whole = saved(tmp_path / "whole")
    torch.testing.assert_close(saved(tmp_path / "stopped"), whole, rtol=0, atol=0)
    found = weights.load_prior(open_folder(tmp_path / "whole")).train()
    torch.testing.assert_close(found.state_dict(), whole["average"], rtol=0, atol=0)
    assert all(block.dropout.p == 0 for block in found.blocks)  # what is left draws with all
