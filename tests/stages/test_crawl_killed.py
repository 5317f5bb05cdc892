"""kill -9 of a worker and of a whole Ray node in the middle of a crawl; and a poisonous shard."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from infra import session
from infra.store import open_folder
from schemas.folder import Inputs
from stages import crawl
from tests.stages import worlds

pytestmark = [pytest.mark.ray, pytest.mark.slow]
NOTHING = Inputs({})

# A head and a second node on this machine; the second is killed when two shards are done.
TWO_NODES = """
import os, pickle, sys, threading
from pathlib import Path
from infra import session
os.environ.update(session.ENVIRONMENT)
from ray.cluster_utils import Cluster
from infra.store import open_folder
from schemas.folder import Inputs
from stages import crawl
from tests.stages import test_crawl_killed as killed

out, cfg = pickle.loads(Path(sys.argv[1]).read_bytes())
node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "temp_dir": sys.argv[2]}
cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
second = cluster.add_node(**node)
raylet = second.all_processes["raylet"][0].process.pid
os.environ["RAY_ADDRESS"] = cluster.address
session.start()
with killed.InTheMiddle(open_folder(out), lambda: killed.a_node(raylet)) as kill:
    result = crawl.run(Inputs({}), open_folder(out), cfg)
assert any("_Actor" in title for title in kill.dead), kill.dead
assert kill.done < 20
Path(sys.argv[1]).write_bytes(pickle.dumps(result))
session.stop()
cluster.shutdown()
"""


def processes():
    """Return (number, parent's number, title) of every process there is."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        found.append((int(folder.name), int(parent), title))
    return found


def below(top):
    """Return the processes that `top` started, and those that they started: number -> title."""
    known, grew = {top: ""}, True
    every = processes()
    while grew:
        more = {n: title for n, parent, title in every if parent in known and n not in known}
        known, grew = known | more, bool(more)
    return {number: title for number, title in known.items() if number != top}


def one_worker():
    """Return an actor of this process's own Ray that makes shards."""
    workers = {n: title for n, title in below(os.getpid()).items() if "_Actor" in title}
    return dict([min(workers.items())])


def a_node(raylet):
    """Return a raylet and all that it started."""
    return {raylet: "raylet"} | below(raylet)


class InTheMiddle:
    """While the block runs, kill what `victims` names as soon as two shards are done."""

    def __init__(self, out, victims):
        self.out, self.victims = out, victims
        self.dead, self.done = [], 0
        self.thread = threading.Thread(target=self.kill)

    def kill(self):
        while len(self.out.list("stats/")) < 2:
            time.sleep(0.01)
        self.done = len(self.out.list("stats/"))
        for number, title in self.victims().items():
            os.kill(number, signal.SIGKILL)
            self.dead.append(title)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(timeout=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with worlds.served(tmp_path_factory.mktemp("world"), pictures=80, bad_share=0.3) as found:
        yield found


@pytest.fixture(scope="module")
def whole(ray_cluster, world, tmp_path_factory):
    """Return the result and the folder of an undisturbed run."""
    out = open_folder(tmp_path_factory.mktemp("whole"))
    return crawl.run(NOTHING, out, job(world)), out


def job(world):
    return world.job(rows_per_shard=4, threads=4, workers=2)


def rows_of(out):
    tables = [pq.read_table(out.open(name)) for name in out.list("shard-")]
    return pa.concat_tables(tables).drop_columns(["detail"])


def same(result, out, whole):
    expected, folder = whole
    assert rows_of(out).equals(rows_of(folder))
    assert out.list() == folder.list()
    assert (result.rows_in, result.rejects) == (expected.rows_in, expected.rejects)
    assert result.quarantined == ()


def test_a_crawl_whose_worker_is_killed_ends_with_the_same_rows(world, whole, tmp_path):
    out = open_folder(tmp_path)
    with InTheMiddle(out, one_worker) as kill:
        result = crawl.run(NOTHING, out, job(world))
    assert len(kill.dead) == 1
    assert kill.done < 20
    same(result, out, whole)


def test_a_crawl_that_loses_a_node_ends_with_the_same_rows(world, whole, tmp_path):
    task, out = tmp_path / "task", tmp_path / "out"
    task.write_bytes(pickle.dumps((str(out), job(world))))
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        program = [sys.executable, "-c", TWO_NODES, str(task), short]
        done = subprocess.run(
            program, cwd=session.ROOT, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    same(pickle.loads(task.read_bytes()), open_folder(out), whole)


class _Deadly(crawl._Fetch):
    """Dies of one piece, as of a decoder's crash."""

    def __call__(self, piece):
        if piece.index == 3:
            os._exit(9)
        return super().__call__(piece)


def test_a_piece_that_kills_its_workers_becomes_rows_with_a_reason(
    world, whole, tmp_path, monkeypatch
):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(crawl, "_Fetch", _Deadly)
    out = open_folder(tmp_path)
    result = crawl.run(NOTHING, out, job(world))
    assert result.quarantined == ("shard-00003",)
    assert result.rejects["quarantined"] == 4
    expected, mine = rows_of(whole[1]).to_pylist(), rows_of(out).to_pylist()
    for number, (row, undisturbed) in enumerate(zip(mine, expected, strict=True)):
        if number // 4 == 3:
            assert (row["reason"], row["status"], row["image"]) == ("quarantined", "failed", None)
            known = ("key", "url", "caption", "source")
            assert [row[name] for name in known] == [undisturbed[name] for name in known]
        else:
            assert row == undisturbed
