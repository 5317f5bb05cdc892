"""However the rows of a batch are dealt out, with none for some workers: one gradient."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch

from infra.store import open_folder
from schemas.artifacts import METRICS
from schemas.errors import SchemaMismatch
from schemas.rows import CLEAN_PAIR
from stages.data import augment
from stages.data.table import open_table
from stages.models.dvae import Upsample
from stages.pictures import to_tensor
from stages.train_clip import ClipTask
from stages.train_dvae import DvaeTask
from stages.train_prior.task import PriorTask
from stages.training.divergence import Diverged
from stages.training.trainer import Trainer
from tests.stages import test_train_clip, test_train_dvae, test_train_prior
from tests.stages.training.pairs import clean_pairs, clean_row
from tests.stages.training.toy import ALONE, silent
from tests.stages.training.workers import learn, saved

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


MAKE = {
    "dvae": (DealtDvae, test_train_dvae.settings),
    "prior": (DealtPrior, test_train_prior.settings),
    "clip": (DealtClip, test_train_clip.settings),
}
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


def tables(root):
    """Rows to learn from, and one row to measure with: fewer than there are workers."""
    clean = clean_pairs(root)
    with clean.open("val/shard-00000.parquet") as file:
        pq.write_table(pq.read_table(file).slice(0, 1), root / "clean_pairs/one.parquet")
    return open_table(clean, "train/", CLEAN_PAIR), open_table(clean, "one", CLEAN_PAIR)


def job(root, kind, name, **changes):
    cls, settings = MAKE[kind]
    common = {"learning_rate": 1e-4, "learning_rate_end": 1e-4, "batch_size": 7,
              "steps": STEPS, "save_every": STEPS,
              "clip_norm": None, "validate_every": 3, "ema_share": 0.5}  # fmt: skip
    cfg = settings(**(common | changes))
    data = root / kind
    data.mkdir(exist_ok=True)
    if kind == "prior":
        made = test_train_prior.task_of(data, cfg)
        task = cls(cfg, made.train, made.held_out, made.bpe, made.dvae)
    elif kind == "clip":
        made = test_train_clip.task_of(data, cfg)
        task = cls(cfg, made.train, tables(data)[1], made.bpe)
    else:
        task = cls(cfg, *tables(data))
    return cfg, task, root / f"{kind}, {name}"


def unreadable(root, kind, name):
    """Batches of three rows, one for each worker; of ten pictures five cannot be read."""
    data = root / f"unreadable {kind}"
    data.mkdir(exist_ok=True)
    bad = [clean_row(n, image=b"no picture") for n in range(50, 90)]
    table = open_table(clean_pairs(data, *bad), "train/", CLEAN_PAIR)
    cls, settings = {"dvae": (DvaeTask, MAKE["dvae"][1]), "clip": (ClipTask, MAKE["clip"][1])}[kind]
    cfg = settings(
        learning_rate=1e-4,
        learning_rate_end=1e-4,
        batch_size=3,
        steps=12,
        save_every=12,
        clip_norm=None,
    )
    more = [test_train_clip.task_of(data / "x", cfg).bpe] if kind == "clip" else []
    return cfg, cls(cfg, table, table, *more), root / f"unreadable {kind}, {name}"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("uneven")
    learn(1, *[job(root, kind, "one") for kind in MAKE],
          job(root, "prior", "one, thin", powersgd_rank=3),
          *[unreadable(root, kind, "one") for kind in ("dvae", "clip")])  # fmt: skip
    learn(3, *[job(root, kind, run, **RUNS[run]) for kind, run in CASES],
          *[unreadable(root, kind, "three") for kind in ("dvae", "clip")])  # fmt: skip
    return root


def same(found, wanted):
    """Compare weights, their average, and gradients by the optimizer's first moments."""
    largest = max(state["exp_avg"].norm() for state in wanted["optimizer"].values())
    for name, state in wanted["optimizer"].items():
        error = found["optimizer"][name]["exp_avg"] - state["exp_avg"]
        assert error.norm() <= 1e-3 * state["exp_avg"].norm() + 1e-5 * largest, name
        if not name.endswith("k_proj.bias"):  # without effect: its gradient is rounding alone
            for part in ("model", "average"):
                torch.testing.assert_close(
                    found[part][name], wanted[part][name], rtol=1e-3, atol=2e-5
                )
    for number in ("step", "skipped", "without_rows"):
        assert found[number] == wanted[number]


@pytest.mark.parametrize(("kind", "run"), CASES)
def test_any_split_of_the_rows_gives_the_gradient_of_all_rows_on_one_worker(root, kind, run):
    found = saved(root / f"{kind}, {run}")
    same(found, saved(root / f"{kind}, {ALIKE.get(run, 'one')}"))
    assert (found["skipped"], found["without_rows"]) == (1, 1)


@pytest.mark.parametrize("kind", ["dvae", "clip"])
def test_a_worker_without_a_readable_picture_waits_for_the_others(root, kind):
    found, wanted = (saved(root / f"unreadable {kind}, {n}") for n in ("three", "one"))
    same(found, wanted)
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
    good = task.train
    none = open_table(only(tmp_path / "none", bad), "train/", CLEAN_PAIR)
    with pytest.raises(Diverged, match=r"12 of the 12 updates .* no row .* run filter again"):
        Trainer(replace(task, train=none), fit, open_folder(path), ALONE, silent).fit()
    assert not open_folder(path).exists("model.safetensors")
    assert saved_steps(path) == []
    with pytest.raises(SchemaMismatch, match=r"wanted pictures to measure with, found none .*10"):
        Trainer(
            replace(task, train=good, held_out=none),
            fit,
            open_folder(path),
            ALONE,
            silent,
        ).fit()


def saved_steps(path):
    return open_folder(path).list("checkpoints/")


def only(root, found):
    import pyarrow as pa

    from stages.data.parquet import PICTURE_FILE, parquet_bytes

    out = open_folder(root)
    table = pa.Table.from_pylist(found, schema=CLEAN_PAIR)
    out.commit("train/shard-00000.parquet", parquet_bytes(table, dict(PICTURE_FILE)))
    return out


@pytest.mark.parametrize("side", [8, 16, 24])
def test_pictures_none_of_which_can_be_read_are_no_rows(side):
    pixels, places = augment.decode_crops([b"", b"no picture"], lambda place, found: found, side)
    assert (tuple(pixels.shape), places) == ((0, side, side, 3), [])
    assert to_tensor(pixels).shape == (0, 3, side, side)
    assert augment.decode_crops([], lambda place, found: found, side)[0].shape == (0, side, side, 3)


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (1, 3, 2, 2), (5, 1, 1, 1)])
def test_doubling_any_number_of_pictures(shape):
    assert Upsample()(torch.zeros(shape)).shape == (*shape[:2], 2 * shape[2], 2 * shape[3])
