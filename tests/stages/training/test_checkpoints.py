"""A checkpoint is whole or does not exist, and any number of workers can read what others wrote."""

import errno
import io
import json
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from infra.store import LocalFolder, open_folder
from schemas.errors import SchemaMismatch, UserError
from stages.training import checkpoint_files, checkpoints
from stages.training.checkpoint_files import LocalShard
from stages.training.distributed import DistributedContext, parallelize
from stages.training.state import State
from stages.training.trainer import Trainer
from tests import s3
from tests.stages.training.toy import ALONE, Deep, Line, settings, silent
from tests.stages.training.workers import each, saved

NEWEST, BEFORE = "checkpoints/step-00000012", "checkpoints/step-00000008"
PART = "/part-00000-of-00001-0000.safetensors"
COPIES, PARTS = settings(), settings(shard=True)


def run(out, cfg=COPIES, **changes):
    said = []

    def say(step, line, *, alarm=False):
        said.append(line)

    Trainer(Line(cfg, **changes), cfg, out, ALONE, say).fit()
    return said


def contents(out):
    """All that does not say when it was made."""
    return {name: out.open(name).read() for name in [*out.list("checkpoints/"), "weights"]}


def test_the_newest_two_steps_are_kept(folder):
    run(folder)
    names = [f"{step}{name}" for step in (BEFORE, NEWEST) for name in ("/index.json", PART)]
    assert folder.list("checkpoints/") == names
    assert saved(folder.path)["step"] == 12


def missing(out, name):
    out.remove(name)


def truncated(out, name):
    out.commit(name, out.open(name).read()[:-1])


def empty(out, name):
    out.commit(name, b"")


def flipped(out, name):
    data = bytearray(out.open(name).read())
    data[-9] ^= 1
    out.commit(name, bytes(data))


def another_number(out, name):
    data = json.loads(out.open(name).read())
    data["numbers"]["skipped"] = 3
    out.commit(name, json.dumps(data).encode())


DAMAGES = [
    *[(PART, how) for how in (missing, truncated, empty, flipped)],
    *[("/index.json", how) for how in (truncated, empty, another_number)],
]


@pytest.mark.parametrize(("file", "damage"), DAMAGES)
def test_a_damaged_step_is_passed_over_for_the_one_before(folder, file, damage):
    run(folder)
    whole = contents(folder)
    damage(folder, NEWEST + file)
    said = run(folder)
    assert said[0].startswith(f"{folder.url}/{NEWEST} cannot be used, going back one: ")
    assert said[1] == "toy  resumes from step 8/12"
    assert contents(folder) == whole


def test_a_step_without_its_index_does_not_exist(folder):
    run(folder)
    folder.remove(f"{NEWEST}/index.json")
    assert run(folder)[0] == "toy  resumes from step 8/12"


def test_a_part_of_another_run_is_not_taken_for_ones_own(folder, tmp_path):
    run(folder)
    other = open_folder(tmp_path / "other")
    run(other, settings(seed=1))
    folder.commit(NEWEST + PART, other.open(NEWEST + PART).read())
    assert "is not what was written" in run(folder)[0]


def test_checkpoints_of_another_model_are_refused_with_a_sentence(folder):
    run(folder)
    task = Deep(COPIES)
    with pytest.raises(UserError, match=r"wanted model/0.weight as \(7, 3\) of .* nothing of that"):
        Trainer(task, COPIES, folder, ALONE, silent).fit()

    class Wider(Line):
        def build(self):
            return nn.Linear(3, 2)

    with pytest.raises(UserError, match=r"\(2, 3\) of torch.float32, found \(1, 3\) of .* delete"):
        Trainer(Wider(COPIES), COPIES, folder, ALONE, silent).fit()


def test_what_an_older_version_left_is_ignored_and_goes(folder):
    folder.commit("checkpoints/step-00000099.pt", b"anything")
    said = run(folder)
    assert said[0].startswith("toy  step 3/12")
    assert all(name.startswith((BEFORE, NEWEST)) for name in folder.list("checkpoints/"))


def test_an_object_store_holds_them_too(folder):
    run(folder)
    with s3.served("runs"):
        store = open_folder("s3://runs/prior")
        run(store, settings(steps=12, save_every=8))
        assert checkpoints.steps(store) == [NEWEST, BEFORE]
        store.remove(NEWEST + PART)
        assert run(store)[1] == "toy  resumes from step 8/12"
        assert contents(store)["weights"] == contents(folder)["weights"]
        checkpoints.remove(store)
        assert store.list("checkpoints/") == []


@dataclass(frozen=True)
class Failing(LocalFolder):
    """A folder in which committing a file fails at the last moment."""

    name: str = ""
    error: BaseException = field(default_factory=lambda: KeyboardInterrupt())

    def commit(self, name, data):
        if name.endswith(self.name):
            raise self.error
        return super().commit(name, data)


@pytest.mark.parametrize("name", [NEWEST + PART, f"{NEWEST}/index.json"])
def test_a_run_killed_while_it_saves_goes_on_from_the_step_before(folder, tmp_path, name):
    whole = open_folder(tmp_path / "whole")
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(Failing(folder.path, name))
    assert checkpoints.steps(folder)[0] == BEFORE
    assert run(folder)[0] == "toy  resumes from step 8/12"
    assert contents(folder) == contents(whole)


def test_what_a_killed_run_left_of_a_step_goes_with_the_steps_before(folder):
    run(folder, settings(steps=6, save_every=4))
    folder.commit("checkpoints/step-00000004/part-00002-of-00003-0000.safetensors", b"of three")
    folder.commit("checkpoints/step-00000005/part-00002-of-00003-0000.safetensors", b"of three")
    run(folder)
    assert all(name.startswith((BEFORE, NEWEST)) for name in folder.list("checkpoints/"))


def test_indices_go_before_the_files_they_name(folder):
    gone = []

    @dataclass(frozen=True)
    class Watched(LocalFolder):
        def remove(self, name):
            gone.append(name.rpartition("/")[2])
            super().remove(name)

    run(Watched(folder.path))
    checkpoints.remove(Watched(folder.path))
    assert gone == ["index.json", PART[1:], "index.json", "index.json", PART[1:], PART[1:]]
    assert folder.list("checkpoints/") == []


def test_a_full_disk_is_one_sentence(folder):
    full = OSError(errno.ENOSPC, "No space left on device")
    said = r"wanted to save step 8 in \S+, found: \[Errno 28\] No space left on device"
    with pytest.raises(UserError, match=said):
        run(Failing(folder.path, BEFORE + PART, full))
    with pytest.raises(UserError, match=r"found: .* No space left on device"):
        run(Failing(folder.path, "metrics.jsonl", full))


# Rows of several workers, without any: what each of them would hold is cut out by hand.

TREE = {
    "matrix": torch.arange(35.0).reshape(7, 5),
    "vector": torch.arange(11, dtype=torch.bfloat16),
    "number": torch.tensor([0.1], dtype=torch.float64),
    "cube": torch.arange(24, dtype=torch.int16).reshape(2, 3, 4),
}


def cut(world, rank, make=torch.Tensor.clone, across=0):
    """Return what a worker holds of TREE, as FSDP2 cuts it: equal rows, fewer on the last.

    Or equal columns, of what has any.
    """
    found = {}
    for name, whole in TREE.items():
        way = across if whole.ndim > 1 else 0
        size = -(-whole.shape[way] // world)
        first = min(rank * size, whole.shape[way])
        part = make(whole.narrow(way, first, min(size, whole.shape[way] - first)))
        begins = (0, first) if way else (first, 0)
        found[name] = LocalShard(tuple(whole.shape), begins[0], part, True, begins[1])
    return found


def written(out, world, across=0):
    """Save TREE as so many workers do; return where all its rows are."""
    every = [
        checkpoint_files.write(
            out, "s/", cut(world, r, across=across), DistributedContext(r, world)
        )
        for r in range(world)
    ]
    return checkpoints._joined(every)["tensors"]


@pytest.mark.parametrize(("wrote", "reads"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("writers", [1, 2, 3, 8])
@pytest.mark.parametrize("readers", [1, 2, 3, 8])
def test_any_number_of_workers_reads_what_any_number_wrote(folder, writers, readers, wrote, reads):
    tensors = written(folder, writers, wrote)
    for rank in range(readers):
        found, wanted = (
            cut(readers, rank, torch.zeros_like, reads),
            cut(readers, rank, across=reads),
        )
        with checkpoint_files.CheckpointReader(folder, tensors) as reader:
            for name, piece in found.items():
                reader.fill(name, piece)
                assert torch.equal(piece.rows, wanted[name].rows), (name, rank)


def test_a_file_holds_no_more_than_it_should(folder, monkeypatch):
    monkeypatch.setattr(checkpoint_files, "FILE_BYTES", 60)
    tensors = written(folder, 1)
    assert len(folder.list("s/")) == 3  # of 140 bytes, of 22 and 8, of 48
    with checkpoint_files.CheckpointReader(folder, tensors) as reader:
        for name, piece in cut(1, 0, torch.zeros_like).items():
            reader.fill(name, piece)
            assert torch.equal(piece.rows, TREE[name])


def test_a_worker_reads_the_rows_it_needs_and_no_others(folder):
    read = []

    class Counted(io.FileIO):
        def readinto(self, data):
            read.append(len(data))
            return super().readinto(data)

    @dataclass(frozen=True)
    class Watched(LocalFolder):
        def open(self, name):
            return Counted(self.path / name)

    tensors = written(folder, 2)  # rows 0 to 3, 4 to 6
    with checkpoint_files.CheckpointReader(Watched(folder.path), tensors) as reader:
        reader.fill("matrix", cut(3, 1, torch.zeros_like)["matrix"])  # rows 3 to 5
    assert read == [1 * 5 * 4, 2 * 5 * 4]


# Workers that are processes.


class Scaled(nn.Sequential):
    """A model with a weight that is a single number."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.scale * super().forward(x)


class ScaledDeep(Deep):
    def build(self):
        return Scaled(*super().build())


def move(context, cfg, source, target):
    """Load a checkpoint and save it again."""
    task = ScaledDeep(cfg, noise=0.0)
    model = task.build()
    parallelize(model, task.layers(model), cfg, context)
    state = State.fresh(model, cfg.fit)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    checkpoints.load(open_folder(source), state, context, silent)
    checkpoints.save(open_folder(target), state, context)


def test_a_state_passes_through_all_numbers_of_workers_to_the_bit(tmp_path):
    Trainer(ScaledDeep(COPIES), COPIES, open_folder(tmp_path / "0"), ALONE, silent).fit()
    ways = [(2, PARTS), (3, COPIES), (3, PARTS), (2, COPIES), (1, PARTS)]
    for number, (world, cfg) in enumerate(ways):
        each(world, move, cfg, tmp_path / str(number), tmp_path / str(number + 1))
        index = json.loads((tmp_path / str(number + 1) / f"{NEWEST}/index.json").read_text())
        assert len(index["files"]) == world
    torch.testing.assert_close(
        saved(tmp_path / str(len(ways))), saved(tmp_path / "0"), rtol=0, atol=0
    )


def fill_the_disk(context, cfg, root):
    full = OSError(errno.ENOSPC, "No space left on device")
    out = Failing(root / "out", "part-00001-of-00002-0000.safetensors", full)
    try:
        Trainer(Deep(cfg), cfg, out, context, silent).fit()
    except UserError as error:
        (root / f"said by {context.rank}").write_text(str(error))


def test_a_disk_full_for_one_worker_ends_both_with_its_sentence(tmp_path):
    each(2, fill_the_disk, PARTS, tmp_path)
    said = [(tmp_path / f"said by {rank}").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("wanted to save step 4 in ")
    assert said[0].endswith("found: [Errno 28] No space left on device")
    assert checkpoints.steps(open_folder(tmp_path / "out")) == []


def train_spoil_load(context, cfg, root):
    """Train, flip a bit of what the other worker wrote, and load."""
    out = open_folder(root / "out")
    Trainer(Deep(cfg), cfg, out, context, silent).fit()
    if context.rank == 0:
        flipped(out, f"{NEWEST}/part-00001-of-00002-0000.safetensors")
    torch.distributed.barrier()
    model = Deep(cfg).build()
    parallelize(model, [], cfg, context)
    state = State.fresh(model, cfg.fit)
    checkpoints.load(out, state, context, silent)
    (root / f"step of {context.rank}").write_text(str(state.step))


def test_all_workers_go_back_where_one_of_them_finds_damage(tmp_path):
    each(2, train_spoil_load, PARTS, tmp_path)
    assert [(tmp_path / f"step of {rank}").read_text() for rank in range(2)] == ["8", "8"]


def test_numbers_that_are_not_finite_survive(folder, monkeypatch):
    from stages.training import state as module

    monkeypatch.setattr(module, "NUMBERS", (*module.NUMBERS, "best"))
    state = State.fresh(nn.Linear(2, 1), COPIES.fit)
    state.best = {"loss": float("inf"), "at": [1, 0.1]}
    checkpoints.save(folder, state, ALONE)
    other = State.fresh(nn.Linear(2, 1), COPIES.fit)
    checkpoints.load(folder, other, ALONE, silent)
    assert other.best == {"loss": float("inf"), "at": [1, 0.1]}


def test_a_tensor_that_was_not_saved_is_named(folder):
    tensors = written(folder, 1)
    with (
        checkpoint_files.CheckpointReader(folder, tensors) as reader,
        pytest.raises(SchemaMismatch, match="wanted errors"),
    ):
        reader.fill("errors", cut(1, 0)["matrix"])
