"""`dvae.pretrained`: weights from elsewhere become the artifact, measured and untrained."""

import pytest
import torch

from infra.store import Store, open_folder
from pipelines.full import dalle
from pipelines.options import resolve
from pipelines.planner import Selection, plan
from schemas.errors import ConfigError
from stages import pictures, train_dvae, weights
from stages.train_dvae.pretrained import measured
from stages.train_dvae.task import DvaeTask
from tests.stages.test_train_dvae import settings, task_of
from tests.stages.training.pairs import SIZES, clean_pairs, inputs
from tests.stages.weights.test_published import agree, equal, publish, released

SIZE = {"n_hid": 4, "n_init": 8, "vocab_size": 16}  # that of `settings`


def pretrained(path, **changes):
    return settings().model_copy(update={"pretrained": str(path)} | changes)


def fingerprints(root, *assignments):
    cfg = resolve("tiny", None, [f"dvae.{text}" for text in assignments])
    steps = plan(dalle(cfg), Store(str(root)), Selection())
    return {step.stage.name: step.fingerprint for step in steps}


def test_the_fingerprint_is_of_the_weights_not_of_their_path(tmp_path):
    size = SIZE | {"vocab_size": 32}
    here, there = (publish(tmp_path / name, *released(**size)) for name in ("here", "there"))
    other = publish(tmp_path / "other", *released(**size, seed=1))
    nothing, first, moved, changed = (
        fingerprints(tmp_path, f"pretrained={path}") for path in ("", here, there, other)
    )
    assert nothing == fingerprints(tmp_path)
    assert first == moved
    made = {name for name in first if first[name] != changed[name]}
    assert made == {name for name in first if first[name] != nothing[name]}
    assert made == {"train_dvae", "encode", "train_prior", "sample", "evaluate"}


def test_weights_of_other_sizes_are_refused_with_the_settings_that_take_them(tmp_path):
    path = publish(tmp_path / "release", *released(n_hid=8, n_init=8, vocab_size=40))
    with pytest.raises(
        ConfigError,
        match=r"--set dvae.width=8 --set tokens.image_vocab=40 takes them \(now 4, 16\)",
    ):
        train_dvae.outside(pretrained(path))
    assert set(train_dvae.outside(pretrained(path, width=8, image_vocab=40))) == {"pretrained"}
    deep = publish(tmp_path / "release", *released(**SIZE | {"n_init": 12}, n_blk_per_group=2))
    with pytest.raises(
        ConfigError, match=r"--set dvae.blocks=2 --set dvae.codebook_width=12 takes"
    ):
        train_dvae.outside(pretrained(deep))


def test_an_artifact_of_another_side_is_refused(tmp_path):
    cfg = settings()
    task = DvaeTask(cfg, None, None)
    task.export(task.build(), open_folder(tmp_path))
    assert set(train_dvae.outside(pretrained(tmp_path))) == {"pretrained"}
    with pytest.raises(ConfigError, match=r"--set tokens.grid=2 takes them \(now 4\)"):
        train_dvae.outside(pretrained(tmp_path, side=32))


def test_an_artifact_of_finer_codes_is_taken_with_its_patch(tmp_path):
    task = DvaeTask(settings().model_copy(update={"patch": 4}), None, None)
    task.export(task.build(), open_folder(tmp_path))
    assert set(train_dvae.outside(pretrained(tmp_path, patch=4))) == {"pretrained"}
    with pytest.raises(ConfigError, match=r"--set tokens.patch=4 --set tokens.grid=4 takes them"):
        train_dvae.outside(pretrained(tmp_path))


def test_a_path_without_weights_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="found neither"):
        fingerprints(tmp_path, f"pretrained={tmp_path}/nowhere")


def test_the_plan_says_that_nothing_is_trained(tmp_path):
    path = publish(tmp_path / "release", *released(**SIZE | {"vocab_size": 32}))
    stages = dalle(resolve("tiny", None, [f"dvae.pretrained={path}"]))
    (cost,) = (stage.forecast().cost for stage in stages if stage.name == "train_dvae")
    assert cost.endswith("weights, copied")


def test_it_is_measured_as_after_a_training(tmp_path):
    task, out = task_of(tmp_path, settings()), open_folder(tmp_path / "out")
    torch.manual_seed(0)
    model = task.build().eval()
    task.export(model, out)
    found = measured(task, out)
    with torch.no_grad():
        wanted, drawn, _ = task.validate(model, task.cfg.fit.steps)
    assert found == pytest.approx(wanted, rel=1e-5)
    with out.open("pictures/reconstructions-00000000.png") as file:
        sheet = file.read()
    assert pictures.decode(sheet).shape == pictures.decode(drawn["reconstructions"]).shape


@pytest.mark.ray
def test_the_stage_takes_the_release_over_and_trains_nothing(tmp_path, ray_cluster):
    clean_pairs(tmp_path)
    encoder, decoder = released(**SIZE)
    cfg = pretrained(publish(tmp_path / "release", encoder, decoder))
    out = open_folder(tmp_path / "out")
    result = train_dvae.run(inputs(tmp_path), out, cfg)
    assert (result.rows_in, result.rows_out) == (SIZES["train"], 0)
    assert {"psnr_db", "psnr_gap_db", "codes_used", "perplexity"} <= set(result.health)
    assert result.health["alarm"] is None  # advice on training would be of no use
    agree(weights.load_dvae(out), encoder, decoder)
    assert out.list("checkpoints/") == []

    again = open_folder(tmp_path / "again")  # an artifact can be taken over as well
    train_dvae.run(inputs(tmp_path), again, pretrained(tmp_path / "out"))
    equal(weights.load_dvae(again).state_dict(), weights.load_dvae(out).state_dict())


@pytest.mark.ray
def test_weights_that_changed_since_the_plan_are_refused_in_a_sentence(tmp_path, ray_cluster):
    clean_pairs(tmp_path)
    path = publish(tmp_path / "release", *released(**SIZE | {"vocab_size": 32}))
    with pytest.raises(ConfigError, match=r"tokens.image_vocab=32"):
        train_dvae.run(inputs(tmp_path), open_folder(tmp_path / "out"), pretrained(path))
