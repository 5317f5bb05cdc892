"""A checkpoint is whole or does not exist: damage, a kill and a full disk cost at most one step."""

import errno
import json
from dataclasses import dataclass, field

import pytest
from torch import nn

from infra.store import LocalFolder, open_folder
from schemas.errors import UserError
from stages.training import checkpoints
from stages.training.state import State
from stages.training.trainer import Trainer
from tests import s3
from tests.stages.training.toy import ALONE, Deep, Line, settings, silent
from tests.stages.training.workers import saved

NEWEST, BEFORE = "checkpoints/step-00000012", "checkpoints/step-00000008"
PART = "/part-00000-of-00001-0000.safetensors"
COPIES = settings()


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


def test_numbers_that_are_not_finite_survive(folder):
    state = State.fresh(nn.Linear(2, 1), COPIES.fit)
    state.first_loss, state.late_loss = float("inf"), float("-inf")
    checkpoints.save(folder, state, ALONE)
    other = State.fresh(nn.Linear(2, 1), COPIES.fit)
    checkpoints.load(folder, other, ALONE, silent)
    assert (other.first_loss, other.late_loss) == (float("inf"), float("-inf"))
