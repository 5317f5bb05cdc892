"""What --plan says of the prior: what it costs, whether it fits, and what is advised if not."""

import re
import shlex

import pytest
import torch

from pipelines.full import dalle, main
from pipelines.options import resolve
from pipelines.presets import PRESETS
from schemas.settings import PriorSettings
from stages.train_prior.forecast import sent_between_copies
from stages.train_prior.memory import (
    alternatives,
    parameters_of,
)
from stages.training.forecast import parameter_count
from tests.stages.small_priors import job


def plan(capsys, tmp_path, *assignments, preset="paper"):
    sets = [word for assignment in assignments for word in ("--set", assignment)]
    code = main(["--preset", preset, "--plan", "--root", str(tmp_path), *sets])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    "assignments",
    [
        ["prior.run.workers=8"],
        ["prior.run.workers=1"],
        ["prior.run.shard=false"],
        ["prior.run.shard_size=2"],
        [
            "prior.run.shard_size=2",
            "prior.fit.powersgd_rank=896",
            "prior.fit.powersgd_parts=2",
            "prior.run.gpu_memory_gib=141",
        ],
        ["prior.run.workers=12", "prior.run.shard_size=4"],
        ["prior.run.shard=false", "prior.fit.powersgd_rank=896"],
        ["prior.run.activation_checkpointing=false", "prior.run.micro_batch_size=16"],
        ["prior.run.gpu_memory_gib=24", "prior.layers=24"],
    ],
)
def test_a_mesh_too_small_is_refused_and_what_is_advised_fits(capsys, tmp_path, assignments):
    code, table, error = plan(capsys, tmp_path, *assignments)
    assert code == 2
    assert "memory of a worker" in table
    wanted, found, advice = re.fullmatch(
        r"error: train_prior: wanted at most (\d+) GiB per GPU .*, found (\d+) GiB; "
        r"(--set .*) fits \(\d+ GiB\)\n",
        error,
    ).groups()
    assert int(found) > int(wanted)
    advised = [word for word in shlex.split(advice) if word != "--set"]
    code, table, error = plan(capsys, tmp_path, *assignments, *advised)
    assert (code, error) == (0, "")


def test_the_cheapest_change_is_advised(capsys, tmp_path):
    _, _, error = plan(capsys, tmp_path, "prior.run.micro_batch_size=64", "prior.run.workers=16")
    assert "; --set prior.run.micro_batch_size=32 fits" in error
    first, *rest = (cfg.run for cfg in alternatives(job(3, batch_size=4)))
    assert (first.micro_batch_size, first.activation_checkpointing, first.workers) == (4, False, 1)
    assert [(run.micro_batch_size, run.activation_checkpointing) for run in rest[:5]] == [
        (2, False), (1, False), (4, True), (2, True), (1, True),
    ]  # fmt: skip


def test_no_matrix_of_muons_is_cut():
    found = list(alternatives(job(3, optimizer="muon", batch_size=4)))
    assert {cfg.run.workers for cfg in found} == {1, 2, 4}
    assert not any(cfg.run.shard for cfg in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 12, "shard_size": 4},
        {"workers": 48, "shard_size": 4, "powersgd_rank": 904},
        {"workers": 6, "shard": False, "powersgd_rank": 4},
    ],
    ids=str,
)
def test_no_other_way_to_spread_a_run_would_be_refused_as_a_setting(changes):
    found = list(alternatives(job(3, **({"shard": True, "batch_size": 96} | changes))))
    assert len({(cfg.run.shard, cfg.run.shard_size) for cfg in found}) > 1
    for cfg in found:
        assert PriorSettings(**cfg.model_dump()) == cfg


@pytest.mark.parametrize(("machine", "rank"), [(None, None), (4, None), (4, 8), (2, 16)])
def test_what_is_counted_between_copies_is_what_powersgd_sends(machine, rank, monkeypatch):
    d, layers, machines = 64, 3, {"workers": 8, "shard": machine is not None, "shard_size": machine}
    cfg, part = job(layers, powersgd_rank=rank, **machines), machine or 1
    sent, whole = sent_between_copies(cfg, parameters_of(cfg))
    total = parameters_of(cfg).total
    assert whole == 4 * total // part
    if rank is None:
        assert sent == whole
        return
    # queries, keys, values, out; then up and down: rank of a part x (its height + its width)
    sides = 4 * (d / part + d) + 2 * (4 * d / part + d)
    left = total - layers * 12 * d**2
    assert sent == pytest.approx(4 * (layers * rank / part * sides + left / part), abs=4)


def test_the_papers_rank_saves_what_the_paper_says(capsys, tmp_path):
    sets = ("prior.run.shard_size=8", "prior.fit.powersgd_rank=896", "prior.fit.powersgd_parts=8",
            "prior.run.gpu_memory_gib=140")  # fmt: skip
    code, table, _ = plan(capsys, tmp_path, *sets)
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert code == 0
    assert any(line.startswith("between 8 copies") for line in lines)
    assert "rank 896, 84% less than all; paper: 86%" in lines  # theirs: of matrices alone


def test_where_nothing_fits_that_is_said(capsys, tmp_path):
    code, _, error = plan(capsys, tmp_path, "prior.run.gpu_memory_gib=4")
    assert code == 2
    assert "nor would any mesh of up to 1,024 GPUs do; make the model smaller" in error


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plan_is_80_columns_wide_and_says_what_the_prior_takes(capsys, tmp_path, preset):
    code, table, _ = plan(capsys, tmp_path, preset=preset)
    assert code == 0
    lines = table.splitlines()[1:]  # after the root
    assert all(len(line) <= 80 for line in lines)
    whats = [line[:21].strip() for line in lines]
    for what in ("weights", "operations of the run", "a checkpoint", "memory of a worker"):
        assert what in whats
    assert ("time" in whats) == (preset in ("h200", "paper"))


def test_the_papers_plan_has_its_figures_beside_ours(capsys, tmp_path):
    _, table, _ = plan(capsys, tmp_path)
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "matrices of layers 12,092,178,432 12 x 3,968² x 64" in lines
    assert "6 x weights x tokens 4.16e+22 FLOP paper: 4.06e+22" in lines
    assert "updates x rows 430,000 x 1,024 paper: 430,000 x 1,024" in lines
    assert any(line.startswith("weights 12,292,840,961 paper: 12.0 B, so +2.4%") for line in lines)
    assert any(line.startswith("operations of the run 4.15e+22 FLOP") for line in lines)
    days = 4 / 3 * 4.15e22 / (0.4 * 989e12 * 64) / 86_400  # a forward pass more: recomputed
    assert any(line.startswith(f"time {days:.1f} days at 40% of 989 TFLOP/s") for line in lines)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_cost_before_there_is_data(name):
    costs = {stage.name: stage.forecast().cost for stage in dalle(resolve(name))}
    assert "FLOP" in costs["train_dvae"]
    assert "FLOP" in costs["train_prior"]


def test_the_papers_prior_costs_what_the_paper_says():
    (cost,) = (s.forecast().cost for s in dalle(resolve("paper")) if s.name == "train_prior")
    assert cost.startswith("12.")
    assert "4." in cost  # 4.06e22 by six operations a weight and token
    assert parameter_count(torch.nn.Linear(3, 2)) == 8
