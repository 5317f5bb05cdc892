"""`ray job submit`, on a cluster that the test starts and stops."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.pipelines.runs import ROOT, statuses

pytestmark = [pytest.mark.slow, pytest.mark.ray]
BIN = Path(sys.executable).parent


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


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
            try:
                os.kill(pid, kill)
            except ProcessLookupError:
                continue
        time.sleep(3)


@pytest.fixture(scope="module")
def cluster():
    folder = tempfile.mkdtemp(prefix="r-")  # short: sockets live below it
    ports = [free_port() for _ in range(4)]
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{ports[1]}",
    }
    environment.pop("RAY_ADDRESS", None)
    command = [BIN / "ray", "start", "--head", f"--port={ports[0]}",
               f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}",
               f"--dashboard-agent-listen-port={ports[3]}",  # others on this machine have the usual
               f"--temp-dir={folder}", "--num-cpus=8", "--object-store-memory=536870912",
               "--disable-usage-stats"]  # fmt: skip
    try:
        subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
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
        time.sleep(2)
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


def test_a_whole_run_by_an_uploaded_working_directory(cluster, tmp_path):
    code, log = submit(cluster, "--working-dir", ".", "--", "pipelines/full.py",
                       "--preset", "tiny", "--root", tmp_path)  # fmt: skip
    assert code == 0, log[-6000:]
    assert set(statuses(tmp_path).values()) == {"done"}

    code, log = submit(cluster, "--", "pipelines/full.py", "--preset", "tiny", "--root", tmp_path,
                       "--set", "encode.seed=1", "--set", "encode.min_psnr_db=99")  # fmt: skip
    assert code == 1
    assert statuses(tmp_path)["encode"] == "failed"
    last = [line for line in log.splitlines() if line.startswith(("error:", "stage encode"))]
    assert "dB" in last[0], log[-3000:]


def test_a_relative_root_in_an_uploaded_copy_fails_in_a_sentence(cluster):
    code, log = submit(cluster, "--working-dir", ".", "--", "pipelines/full.py", "--preset", "tiny")
    assert code == 1
    assert "wants an absolute path or an object-store address" in log


def test_the_bare_command_works_from_the_repositorys_root(cluster):
    code, log = submit(cluster, "--", "pipelines/full.py", "--plan")
    assert code == 0, log[-3000:]
    assert "train_prior" in log
