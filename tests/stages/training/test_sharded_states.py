"""What several workers save, any number of workers can read, to the bit."""

import errno
import io
import json
from dataclasses import dataclass

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
from tests.stages.training.test_checkpoints import COPIES, NEWEST, Failing, flipped
from tests.stages.training.toy import ALONE, Deep, settings, silent
from tests.stages.training.workers import each, saved

PARTS = settings(shard=True)

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
        found = cut(readers, rank, torch.zeros_like, reads)
        wanted = cut(readers, rank, across=reads)
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


def test_a_tensor_that_was_not_saved_is_named(folder):
    tensors = written(folder, 1)
    with (
        checkpoint_files.CheckpointReader(folder, tensors) as reader,
        pytest.raises(SchemaMismatch, match="wanted errors"),
    ):
        reader.fill("errors", cut(1, 0)["matrix"])
