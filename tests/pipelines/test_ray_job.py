"""`ray job submit`, on a cluster that the test starts and stops.

The cluster is another user's, in other surroundings than the test's, with other numbers of workers:
the artifacts of its run are those of `tiny_run` byte for byte, but for what only people read and
what resuming needs (schemas.artifacts.ASIDE).
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.store import Store
from schemas.artifacts import ASIDE, BPE, CLEAN_PAIRS, DVAE, MEASURED, PAIRS, TOKEN_PAIRS
from schemas.manifest import MANIFEST
from tests.pipelines.runs import ROOT, statuses
from tests.stages.training.workers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.ray]
BIN = Path(sys.executable).parent
COMPARED = (PAIRS, MEASURED, CLEAN_PAIRS, BPE, DVAE, TOKEN_PAIRS)
OTHERWISE = (
    "crawl.run.workers=2", "crawl.run.threads=5", "filter.run.workers=2", "encode.run.workers=2",
    "encode.run.threads=1", "encode.run.decoders=1", "crawl.run.host_connections=3",
)  # fmt: skip


def processes_of(folder):
    """Every process whose command line names the cluster's own folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if folder.encode() in (process / "cmdline").read_bytes():
                yield int(process.name)
        except (FileNotFoundError, ProcessLookupError):
            continue


def end_all(folder):
    for kill in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, kill)
        end = time.monotonic() + 3
        while any(processes_of(folder)) and time.monotonic() < end:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tempfile.mkdtemp(prefix="r-")  # short: sockets live below it
    ports = [free_port() for _ in range(4)]
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{ports[1]}",
    }
    environment.pop("RAY_ADDRESS", None)
    home = tmp_path_factory.mktemp("an other home")
    around = environment | {
        "HOME": str(home), "TMPDIR": str(home), "USER": "somebody", "LOGNAME": "somebody",
        "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "COLUMNS": "40",
        "OMP_NUM_THREADS": "2", "NO_PROXY": "*",
    }  # fmt: skip
    command = [BIN / "ray", "start", "--head", f"--port={ports[0]}",
               f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}",
               f"--dashboard-agent-listen-port={ports[3]}",  # others on this machine have the usual
               f"--temp-dir={folder}", "--num-cpus=8", "--object-store-memory=536870912",
               "--disable-usage-stats"]  # fmt: skip
    try:
        subprocess.run(command, check=True, cwd=ROOT, env=around, umask=0o077, capture_output=True)
        wait_for_agent(environment)
        yield environment
    finally:
        end_all(folder)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_agent(environment):
    """`ray start` returns before the process that takes jobs is up."""
    deadline = time.monotonic() + 60
    code, log = submit(environment, "--", "true")
    while code and "No available agent" in log and time.monotonic() < deadline:
        time.sleep(0.5)
        code, log = submit(environment, "--", "true")
    assert code == 0, log[-3000:]


def submit(environment, *arguments):
    done = subprocess.run(
        [BIN / "ray", "job", "submit", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere") / "and another root"


@pytest.fixture(scope="module")
def jobs(cluster, root):
    """Exit code and log of three jobs that run at the same time."""
    settings = [argument for setting in OTHERWISE for argument in ("--set", setting)]
    tiny = ("--working-dir", ".", "--", "pipelines/full.py", "--preset", "tiny")
    asked = {
        "whole run": (*tiny, "--root", root, *settings),
        "relative root": tiny,
        "bare command": ("--", "pipelines/full.py", "--plan"),
    }
    with ThreadPoolExecutor() as pool:
        ended = pool.map(lambda arguments: submit(cluster, *arguments), asked.values())
        return dict(zip(asked, ended, strict=True))


@pytest.fixture(scope="module")
def submitted(jobs, root):
    """The root of a whole run by an uploaded working directory."""
    code, log = jobs["whole run"]
    assert code == 0, log[-6000:]
    return root


def content(root, artifact):
    """The bytes and permissions of every file that a reader depends on."""
    store = Store(str(root))
    folder = store.newest(artifact)
    return {
        name: (file.read_bytes(), file.stat().st_mode & 0o777)
        for name in folder.list()
        if not name.startswith((*ASIDE, MANIFEST))
        for file in [folder.path / name]
    }


@pytest.mark.parametrize("artifact", COMPARED, ids=lambda artifact: artifact.name)
def test_two_runs_are_equal_byte_for_byte(tiny_run, submitted, artifact):
    one, two = content(tiny_run, artifact), content(submitted, artifact)
    assert one
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == []


def test_no_row_names_a_place_of_this_machine(submitted):
    folder = Store(str(submitted)).newest(PAIRS)
    for name in folder.list("shard-"):
        for row in pq.read_table(folder.open(name)).drop_columns("image").to_pylist():
            for word in (str(submitted), "127.0.0.1:", "somebody", "/tmp"):
                assert word not in str(row)


def test_a_failed_stage_ends_the_job_with_its_reason(cluster, submitted):
    assert set(statuses(submitted).values()) == {"done"}
    code, log = submit(cluster, "--", "pipelines/full.py", "--preset", "tiny", "--root", submitted,
                       "--set", "encode.seed=1", "--set", "encode.gate.min_psnr_db=99")  # fmt: skip
    assert code == 1
    assert statuses(submitted)["encode"] == "failed"
    last = [line for line in log.splitlines() if line.startswith(("error:", "stage encode"))]
    assert "dB" in last[0], log[-3000:]


def test_a_relative_root_in_an_uploaded_copy_fails_in_a_sentence(jobs):
    code, log = jobs["relative root"]
    assert code == 1
    assert "must be an absolute path or an object-store address" in log


def test_the_bare_command_works_from_the_repositorys_root(jobs):
    code, log = jobs["bare command"]
    assert code == 0, log[-3000:]
    assert "train_prior" in log
