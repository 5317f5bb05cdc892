"""kill -9 while a data stage runs: its driver, a worker, a whole Ray node."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from infra import session
from infra.store import open_folder

# A driver with a Ray of its own.
ONE_NODE = """
import importlib, pickle, sys
from infra import session
from infra.store import open_folder
stage, inputs, out, cfg = pickle.load(open(sys.argv[1], "rb"))
session.start(temp_dir=sys.argv[2])
importlib.import_module(stage).run(inputs, open_folder(out), cfg)
"""

# A head and a second node on this machine; the second is killed in the middle.
TWO_NODES = """
import importlib, os, pickle, sys
from pathlib import Path
from infra import session
os.environ.update(session.ENVIRONMENT)
from ray.cluster_utils import Cluster
from infra.store import open_folder
from tests.stages import killing

stage, inputs, out, cfg, moment = pickle.loads(Path(sys.argv[1]).read_bytes())
node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "temp_dir": sys.argv[2]}
cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
second = cluster.add_node(**node)
raylet = second.all_processes["raylet"][0].process.pid
os.environ["RAY_ADDRESS"] = cluster.address
session.start()
with killing.InTheMiddle(open_folder(out), lambda: killing.a_node(raylet), moment) as kill:
    result = importlib.import_module(stage).run(inputs, open_folder(out), cfg)
Path(sys.argv[1]).write_bytes(pickle.dumps((result, kill.dead, kill.done)))
session.stop()
cluster.shutdown()
"""


class Moment(NamedTuple):
    """When to kill: so many shards are done, and so many seconds have passed since."""

    done: int = 2
    seconds: float = 0.0


SOON = Moment()


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
    """While the block runs, kill what `victims` names when the moment has come."""

    def __init__(self, out, victims, moment=SOON):
        self.out, self.victims, self.moment = out, victims, moment
        self.dead, self.done = [], 0
        self.thread = threading.Thread(target=self.kill)

    def kill(self):
        while len(self.out.list("stats/")) < self.moment.done:
            time.sleep(0.01)
        time.sleep(self.moment.seconds)
        self.done = len(self.out.list("stats/"))
        for number, title in self.victims().items():
            os.kill(number, signal.SIGKILL)
            self.dead.append(title)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(timeout=1)


def kill_the_driver(stage, inputs, out, cfg, moment=SOON, watched=None):
    """Run the stage in a process of its own until the moment has come, then kill that.

    The shards are watched in `out`, or in the folder where the stage keeps its measurements.
    Return when each shard that was done by then was.
    """
    watched = watched or open_folder(out)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        task, log = Path(short) / "task", Path(short) / "log"
        task.write_bytes(pickle.dumps((stage.__name__, inputs, str(out), cfg)))
        with log.open("w") as said:
            program = [sys.executable, "-c", ONE_NODE, str(task), short]
            process = subprocess.Popen(program, cwd=session.ROOT, stdout=said, stderr=said)
        while len(watched.list("stats/")) < moment.done:
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.01)
        time.sleep(moment.seconds)
        process.kill()
        process.wait()
        time.sleep(1)  # orphaned workers may still commit what they were at
    return {n: (watched.path / n).stat().st_mtime_ns for n in watched.list("stats/")}


def run_and_lose_a_node(stage, inputs, out, cfg, moment=SOON):
    """Run the stage on two nodes and kill one of them; return its result, the dead, shards done."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        task = Path(short) / "task"
        task.write_bytes(pickle.dumps((stage.__name__, inputs, str(out), cfg, moment)))
        program = [sys.executable, "-c", TWO_NODES, str(task), short]
        done = subprocess.run(
            program, cwd=session.ROOT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return pickle.loads(task.read_bytes())
