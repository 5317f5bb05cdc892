"""kill -9 while a stage runs: its driver, a worker, a whole Ray node."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from infra import session
from infra.store import open_folder
from schemas.folder import Folder
from stages.training import checkpoints

# A driver with a Ray of its own.
ONE_NODE = """
import importlib, pickle, sys
from infra import session
from infra.store import open_folder
stage, inputs, out, cfg = pickle.load(open(sys.argv[1], "rb"))
session.start(temp_dir=sys.argv[2])
importlib.import_module(stage).run(inputs, open_folder(out), cfg)
"""

# Of Ray: a node that refuses three checks is lost. (Its own: five, three seconds apart.)
NOTICED_SOON = {"RAY_health_check_period_ms": "300", "RAY_health_check_failure_threshold": "3"}
# A head and a second node on this machine; the second is killed in the middle.
TWO_NODES = """
import importlib, os, pickle, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from infra import session
from infra.ray_processes import needed_processes
from infra.store import open_folder
from tests.stages import killing
os.environ.update(session.ENVIRONMENT | killing.NOTICED_SOON)
from ray.cluster_utils import Cluster

stage, inputs, out, cfg, moment, nodes = pickle.loads(Path(sys.argv[1]).read_bytes())
stage, out = importlib.import_module(stage), open_folder(out)
node = {"object_store_memory": 100 * 2**20, "temp_dir": sys.argv[2]}
head = node | {"num_cpus": nodes.head, "include_dashboard": False}
with needed_processes():
    cluster = Cluster(initialize_head=True, head_node_args=head)
second = cluster.add_node(**node, num_cpus=nodes.second)
raylet = second.all_processes["raylet"][0].process.pid
os.environ["RAY_ADDRESS"] = cluster.address
session.start()
with ThreadPoolExecutor(1) as pool:  # a node can only be added by the main thread
    running = pool.submit(stage.run, inputs, out, cfg)
    done = moment.wait(out, alive=lambda: not running.done())
    dead = killing.kill(killing.a_node(raylet)) if done is not None else []
    if nodes.third:
        cluster.add_node(**node, num_cpus=nodes.third)
    result = running.result()
Path(sys.argv[1]).write_bytes(pickle.dumps((result, dead, done)))
session.stop()
cluster.shutdown()
"""


def shards_done(out):
    """Count the shards that a data stage has finished."""
    return len(out.list("stats/"))


def step_saved(out):
    """Return the step from which a training run would go on."""
    steps = checkpoints.steps(out)
    return int(steps[0].rpartition("-")[2]) if steps else 0


class Moment(NamedTuple):
    """When to kill: so many shards are done, and so many seconds have passed since."""

    done: int = 2
    seconds: float = 0.0
    count: Callable[[Folder], int] = shards_done

    def wait(self, out, alive=lambda: True):
        """Return how much is done when it has come, or None if `alive` says that it never will."""
        while self.count(out) < self.done:
            if not alive():
                return None
            time.sleep(0.01)
        time.sleep(self.seconds)
        return self.count(out)


class Nodes(NamedTuple):
    """The CPUs of the head, of the node that is killed, and of one that comes in its place."""

    head: float = 1
    second: float = 1
    third: float = 0


SOON, TWO_EQUAL = Moment(), Nodes()


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


def one_worker(kind="_Actor"):
    """Return an actor of this process's own Ray that makes shards, or of another kind."""
    workers = {n: title for n, title in below(os.getpid()).items() if kind in title}
    return dict([min(workers.items())])


def a_node(raylet):
    """Return a raylet and all that it started."""
    return {raylet: "raylet"} | below(raylet)


def kill(victims):
    """Kill processes; return their titles."""
    for number in victims:
        os.kill(number, signal.SIGKILL)
    return list(victims.values())


class InTheMiddle:
    """While the block runs, kill what `victims` names when the moment has come."""

    def __init__(self, out, victims, moment=SOON):
        self.out, self.victims, self.moment = out, victims, moment
        self.dead, self.done = [], 0
        self.thread = threading.Thread(target=self.kill)

    def kill(self):
        self.done = self.moment.wait(self.out)
        self.dead = kill(self.victims())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(timeout=1)


def kill_the_driver(stage, inputs, out, cfg, moment=SOON):
    """Run the stage in a process of its own until the moment has come, then kill that.

    Return when each shard that was done by then was.
    """
    watched = open_folder(out)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        task, log = Path(short) / "task", Path(short) / "log"
        task.write_bytes(pickle.dumps((stage.__name__, inputs, str(out), cfg)))
        with log.open("w") as said:
            program = [sys.executable, "-c", ONE_NODE, str(task), short]
            process = subprocess.Popen(program, cwd=session.ROOT, stdout=said, stderr=said)
        done = moment.wait(watched, alive=lambda: process.poll() is None)
        assert done is not None, log.read_text()[-3000:]
        process.kill()
        process.wait()
        time.sleep(1)  # orphaned workers may still commit what they were at
    return {n: (watched.path / n).stat().st_mtime_ns for n in watched.list("stats/")}


def run_and_lose_a_node(stage, inputs, out, cfg, moment=SOON, nodes=TWO_EQUAL):
    """Run the stage on two nodes and kill one of them; return its result, the dead, shards done."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        task = Path(short) / "task"
        task.write_bytes(pickle.dumps((stage.__name__, inputs, str(out), cfg, moment, nodes)))
        program = [sys.executable, "-c", TWO_NODES, str(task), short]
        done = subprocess.run(
            program, cwd=session.ROOT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return pickle.loads(task.read_bytes())
