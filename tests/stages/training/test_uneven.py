"""However the rows of a batch are dealt out, with none for some workers: one gradient."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import METRICS
from schemas.errors import SchemaMismatch
from schemas.rows import CLEAN_PAIR
from stages.data import augment
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.data.table import open_table
from stages.models.dvae_networks import Upsample
from stages.pictures.tensors import to_tensor
from stages.train_clip import ClipTask
from stages.train_dvae import DvaeTask
from stages.train_prior.task import PriorTask
from stages.training.divergence import Diverged
from stages.training.trainer import Trainer
from tests.stages.training.pairs import clean_row, tables
from tests.stages.training.test_trainers import KINDS
from tests.stages.training.toy import ALONE, silent
from tests.stages.training.workers import gradients_differ, learn, nearly_same, saved

# How many of seven rows each of three workers has, update by update.
DEALT = [(7, 0, 0), (0, 3, 4), (2, 2, 3), (0, 0, 7), (0, 0, 0), (1, 0, 6)]
STEPS = len(DEALT)


class Dealt:
    """Its rows are dealt as DEALT says; one worker alone has them all."""

    def batches(self, step, context):
        whole = super().batches(step, ALONE)
        for k, batch in enumerate(whole, start=step):
            dealt = DEALT[k % STEPS]
            if context.world_size == 1:
                yield {name: values[: sum(dealt)] for name, values in batch.items()}
            else:
                start = sum(dealt[: context.rank])
                stop = start + dealt[context.rank]
                yield {name: values[start:stop] for name, values in batch.items()}


class DealtDvae(Dealt, DvaeTask):
    pass


class DealtPrior(Dealt, PriorTask):
    pass


class DealtClip(Dealt, ClipTask):
    pass


DEALT_TASKS = {"dvae": DealtDvae, "prior": DealtPrior, "clip": DealtClip}
RUNS = {
    "copies": {},
    "parts": {"shard": True, "activation_checkpointing": True},
    "parts, row by row": {"micro_batch_size": 1, "shard": True},
    "thin": {"powersgd_rank": 3},
}
CASES = [
    ("dvae", "copies"), ("dvae", "parts, row by row"),
    ("prior", "copies"), ("prior", "parts, row by row"), ("prior", "thin"),
    ("clip", "copies"), ("clip", "parts"),
]  # fmt: skip
ALIKE = {"thin": "one, thin"}  # what one worker is to be compared with


def job(root, kind, name, **changes):
    """Of pictures, one row is to measure with: fewer than there are workers."""
    common = {"learning_rate": 1e-4, "learning_rate_end": 1e-4, "batch_size": 7,
              "steps": STEPS, "save_every": STEPS,
              "clip_norm": None, "validate_every": 3, "ema_share": 0.5}  # fmt: skip
    cfg = KINDS[kind].settings(**(common | changes))
    data = root / kind
    data.mkdir(exist_ok=True)
    made = vars(KINDS[kind].task_of(data, cfg))
    if kind != "prior":
        clean = open_folder(data / "clean_pairs")
        with clean.open("val/shard-00000.parquet") as file:
            pq.write_table(pq.read_table(file).slice(0, 1), clean.path / "one.parquet")
        made = made | {"held_out": open_table(clean, "one", CLEAN_PAIR)}
    return cfg, DEALT_TASKS[kind](**made), root / f"{kind}, {name}"


def unreadable(root, kind, name):
    """Batches of three rows, one for each worker; of ten pictures five cannot be read."""
    data = root / f"unreadable {kind}"
    data.mkdir(exist_ok=True)
    small = {"learning_rate": 1e-4, "learning_rate_end": 1e-4, "batch_size": 3}
    cfg = KINDS[kind].settings(**small, steps=12, save_every=12, clip_norm=None)
    task = KINDS[kind].task_of(data, cfg)
    table, _ = tables(data, *[clean_row(n, image=b"no picture") for n in range(50, 90)])
    return cfg, replace(task, train=table, held_out=table), data.with_name(f"{data.name}, {name}")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("uneven")
    learn(1, *[job(root, kind, "one") for kind in KINDS],
          job(root, "prior", "one, thin", powersgd_rank=3),
          *[unreadable(root, kind, "one") for kind in ("dvae", "clip")])  # fmt: skip
    learn(3, *[job(root, kind, run, **RUNS[run]) for kind, run in CASES],
          *[unreadable(root, kind, "three") for kind in ("dvae", "clip")])  # fmt: skip
    return root


def require_same(found, wanted):
    nearly_same(found, wanted)
    assert gradients_differ(found, wanted) <= 1e-3
    for number in ("step", "skipped", "without_rows"):
        assert found[number] == wanted[number]


@pytest.mark.parametrize(("kind", "run"), CASES)
def test_any_split_of_the_rows_gives_the_gradient_of_all_rows_on_one_worker(root, kind, run):
    found = saved(root / f"{kind}, {run}")
    require_same(found, saved(root / f"{kind}, {ALIKE.get(run, 'one')}"))
    assert (found["skipped"], found["without_rows"]) == (1, 1)


@pytest.mark.parametrize("kind", ["dvae", "clip"])
def test_a_worker_without_a_readable_picture_waits_for_the_others(root, kind):
    found, wanted = (saved(root / f"unreadable {kind}, {n}") for n in ("three", "one"))
    require_same(found, wanted)
    assert found["step"] == 12


def test_an_update_without_any_row_is_said_and_counted(tmp_path):
    fit, task, path = job(tmp_path, "dvae", "said", log_every=3)
    said = []
    Trainer(task, fit, open_folder(path), ALONE,
             lambda step, line, *, alarm=False: said.append((step, line, alarm))).fit()  # fmt: skip
    (alarm,) = [line for step, line, aloud in said if aloud and "no row of" in line]
    assert "no row of 1 of 3 batches can be used, and so many updates were skipped" in alarm
    lines = open_folder(path).open(METRICS).read().splitlines()
    assert b"NaN" not in b"".join(lines)


@pytest.mark.parametrize("kind", ["dvae", "clip"])
def test_a_run_without_any_readable_picture_ends_with_a_sentence(tmp_path, kind):
    fit, task, path = unreadable(tmp_path, kind, "none")
    bad = [clean_row(n, image=b"no picture") for n in range(50, 60)]
    clean = open_folder(tmp_path / "none")
    table = pa.Table.from_pylist(bad, CLEAN_PAIR)
    clean.commit("train/shard-00000.parquet", parquet_bytes(table, PICTURE_FILE))
    none = open_table(clean, "train/", CLEAN_PAIR)
    with pytest.raises(Diverged, match=r"12 of the 12 updates .* no row .* run filter again"):
        Trainer(replace(task, train=none), fit, open_folder(path), ALONE, silent).fit()
    assert not open_folder(path).exists("model.safetensors")
    assert open_folder(path).list("checkpoints/") == []
    with pytest.raises(SchemaMismatch, match=r"wanted pictures to measure with, found none .*10"):
        Trainer(replace(task, held_out=none), fit, open_folder(path), ALONE, silent).fit()


@pytest.mark.parametrize("side", [8, 16, 24])
def test_pictures_none_of_which_can_be_read_are_no_rows(side):
    pixels, places = augment.decode_crops([b"", b"no picture"], lambda place, found: found, side)
    assert (tuple(pixels.shape), places) == ((0, side, side, 3), [])
    assert to_tensor(pixels).shape == (0, 3, side, side)
    assert augment.decode_crops([], lambda place, found: found, side)[0].shape == (0, side, side, 3)


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (1, 3, 2, 2), (5, 1, 1, 1)])
def test_doubling_any_number_of_pictures(shape):
    assert Upsample()(torch.zeros(shape)).shape == (*shape[:2], 2 * shape[2], 2 * shape[3])
