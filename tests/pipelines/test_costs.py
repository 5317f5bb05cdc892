import pytest
import torch

from pipelines.costs import cost_of, parameters
from pipelines.full import dalle
from pipelines.options import resolve
from pipelines.planner import Selection, plan
from pipelines.presets import PRESETS
from schemas.artifacts import PRIOR


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_planned_and_costed_before_there_is_data(name, tmp_path):
    from infra.store import Store

    settings = resolve(name)
    steps = plan(dalle(settings), Store(str(tmp_path)), Selection())
    costs = {step.stage.name: cost_of(step, settings) for step in steps}
    assert "FLOP" in costs["train_dvae"]
    assert "FLOP" in costs["train_prior"]


def test_the_papers_prior_costs_what_the_paper_says():
    settings = resolve("paper")
    step = next(
        s for s in plan(dalle(settings), _nowhere(), Selection()) if s.stage.writes == PRIOR
    )
    assert cost_of(step, settings).startswith("12.")
    assert "4." in cost_of(step, settings)  # 4.06e22 by six operations a weight and token
    assert parameters(torch.nn.Linear(3, 2)) == 8


def _nowhere():
    from infra.store import Store

    return Store("/nonexistent/root")
