"""A shard is made once, whatever is killed; a poisonous one is set aside and named."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial

import pytest
import ray

from infra.store import LocalFolder, open_folder
from schemas.errors import ConfigError, ShardsFailed, UserError
from schemas.process import Process
from stages.shards import ATTEMPTS, Made, Shard, run_shards
from stages.shards.actors import Pool, _Actor
from stages.shards.records import evenly

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _workers_know_this_module(ray_cluster):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class Squares:
    """Writes the square of its number; some numbers raise, kill the worker, or fail at first."""

    scratch: str
    broken: bool = False
    deadly: bool = False

    def __post_init__(self):
        if self.broken:
            raise RuntimeError("no such device")
        if self.deadly:
            os._exit(9)

    def __call__(self, number):
        with open(f"{self.scratch}/{number}.log", "a") as log:
            log.write("x")
        if number == 13:
            raise ValueError("thirteen")
        if number == 66:
            os._exit(9)
        if number == 7 and os.path.getsize(f"{self.scratch}/7.log") < 3:
            raise OSError("try again")
        if number == 99:
            raise ConfigError("set another number")
        return Made(
            files={f"data-{number}": str(number**2).encode()},
            rows_in=number,
            rows_out=number - 1,
            rejects={"one": 1},
        )


@dataclass(frozen=True)
class Zeros:
    """Stands in for a number's square, with nothing; for 66 that kills the worker, too."""

    scratch: str
    fatal: tuple[int, ...] = ()

    def __call__(self, payload):
        number, why = payload
        if number in self.fatal:
            os._exit(9)
        return Made(files={f"data-{number}": why.encode()}, rows_in=number, rows_out=0)


def made(numbers, tmp_path, workers=2, instead=None, **extra):
    (tmp_path / "log").mkdir(exist_ok=True)
    shards = [Shard(f"{n:03d}", n) for n in numbers]
    kwargs = {"scratch": str(tmp_path / "log"), **extra}
    out = open_folder(tmp_path / "out")
    return run_shards(
        Squares, kwargs, shards, out, what="squares", workers=workers, instead=instead
    )


def tries(tmp_path, number):
    return len((tmp_path / "log" / f"{number}.log").read_text())


def test_each_shard_is_made_once_and_a_second_run_makes_nothing(tmp_path):
    outcome = made([3, 4, 5], tmp_path)
    assert (outcome.rows_in, outcome.rows_out, outcome.rejects) == (12, 9, {"one": 3})
    out = open_folder(tmp_path / "out")
    assert [out.open(f"data-{n}").read() for n in (3, 4, 5)] == [b"9", b"16", b"25"]
    assert sorted(outcome.files) == out.list()

    started = time.monotonic()
    assert made([3, 4, 5], tmp_path) == outcome
    assert time.monotonic() - started < 0.5
    assert [tries(tmp_path, n) for n in (3, 4, 5)] == [1, 1, 1]


def test_a_shard_that_fails_twice_is_made_at_the_third_try(tmp_path):
    assert made([6, 7], tmp_path).rows_out == 11
    assert tries(tmp_path, 7) == 3


def test_poisonous_shards_are_named_after_the_others_are_made(tmp_path):
    with pytest.raises(ShardsFailed, match=r"2 of 4 shards failed.*013.*thirteen.*066"):
        made([5, 13, 66, 8], tmp_path)
    out = open_folder(tmp_path / "out")
    assert out.list("data-") == ["data-5", "data-8"]
    assert out.list(ATTEMPTS) == []
    assert tries(tmp_path, 13) == tries(tmp_path, 66) == 3

    with pytest.raises(ShardsFailed, match=r"1 of 2 shards failed"):
        made([5, 13], tmp_path)  # tried anew, in case the cause was mended
    assert tries(tmp_path, 5) == 1
    assert tries(tmp_path, 13) == 6


def test_where_something_can_stand_in_for_poisonous_shards_the_rest_goes_on(tmp_path):
    outcome = made([5, 13, 66, 8], tmp_path, instead=Zeros)
    assert outcome.quarantined == ("013", "066")
    assert (outcome.rows_in, outcome.rows_out) == (92, 11)
    out = open_folder(tmp_path / "out")
    assert b"thirteen" in out.open("data-13").read()
    assert out.open("data-66").read() == b"its worker died or failed 3 times"
    assert tries(tmp_path, 13) == tries(tmp_path, 66) == 3
    assert out.list(ATTEMPTS) == []
    assert made([5, 13, 66, 8], tmp_path, instead=Zeros) == outcome  # and it is remembered
    assert tries(tmp_path, 66) == 3


@pytest.mark.soak
def test_what_stands_in_may_itself_kill_its_worker(tmp_path):
    with pytest.raises(ShardsFailed, match=r"1 of 3 shards failed.*066") as caught:
        made([5, 13, 66], tmp_path, instead=partial(Zeros, fatal=(66,)))
    assert caught.value.shards == ("066",)
    assert open_folder(tmp_path / "out").list("data-") == ["data-13", "data-5"]


def test_where_no_shard_can_be_made_the_fault_is_not_theirs(tmp_path):
    with pytest.raises(ShardsFailed, match=r"1 of 1 shards failed"):
        made([13], tmp_path, instead=Zeros)


def test_a_sentence_for_the_user_ends_the_run_at_once(tmp_path):
    with pytest.raises(ConfigError, match="set another number"):
        made([99], tmp_path)
    with pytest.raises(Exception, match=r"workers cannot start: RuntimeError: no such device"):
        made([1], tmp_path, broken=True)


def test_workers_that_die_while_they_start_end_the_run(tmp_path):
    with pytest.raises(UserError, match="workers die while they start"):
        made([1], tmp_path, workers=1, deadly=True)


def test_a_worker_whose_run_was_killed_commits_nothing(tmp_path):
    """What it made may be wrong: the demo's web server, for one, dies with the run."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    out, work = open_folder(tmp_path / "out"), {"scratch": str(tmp_path)}
    shard = Shard(name="4", payload=4, rows=1)
    replies = []
    for driver in (Process.here(pid=gone.pid), Process.here()):
        pool = Pool(Squares, work, out, 1, 0.25, 0.0, {}, driver)
        replies.append(_Actor(pool, "run").reply(shard))
        replies.append(len(out.list("stats/")))
    assert "was killed" in str(replies[0].stop)
    assert replies[1] == 0
    assert replies[2].stats is not None
    assert replies[3] == 1


def test_a_disk_that_cannot_be_written_to_is_the_fault_of_no_shard(ray_cluster, tmp_path):
    """Promise 1: what the disk refuses must not turn shards into quarantined rows."""
    out, shards = LocalFolder(tmp_path / "out"), [Shard("s9", "too-long" * 40), *SHARDS]
    said = r"wanted to write .*File name too long.*run the same command again: finished work"
    with pytest.raises(UserError, match=said):
        run_shards(Write, {}, shards, out, what="test", workers=1, instead=Write)
    assert "stats/s9.json" not in out.list("stats/")


class Write:
    def __call__(self, payload):
        return Made(files={f"shard-{payload}": b"x"}, rows_in=1, rows_out=1)


SHARDS = [Shard(f"s{n}", n) for n in range(3)]


@pytest.mark.parametrize(
    ("rows", "shards", "each"),
    [
        (7, 3, [2, 2, 3]),
        (3_786, 8, [473] * 3 + [474] + [473] * 3 + [474]),
        (2, 3, [0, 1, 1]),
        (0, 0, []),
    ],
)
def test_rows_divided_among_shards_add_up(rows, shards, each):
    assert evenly(rows, shards) == each
