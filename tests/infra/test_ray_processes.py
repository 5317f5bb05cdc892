"""A private Ray starts what it needs, and asks nobody which cloud this is."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.ray
# Answers on the address where clouds keep credentials, while the program after it runs.
RUN = """
    import http.server, os, pathlib, subprocess, sys, threading, time

    class Agent(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            print("asked for", self.path, flush=True)
            self.send_error(404)
        do_PUT = do_GET

    agent = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Agent)
    threading.Thread(target=agent.serve_forever, daemon=True).start()
    from infra import session
    session.start(temp_dir=sys.argv[1])
    import ray
    seen = ray.remote(num_cpus=0)(lambda: (os.environ["HOME"], os.environ["PYTHONPATH"]))
    print("a worker has", *ray.get(seen.remote()), ray.get_runtime_context().runtime_env)
    logs = pathlib.Path(sys.argv[1], "session_latest", "logs")
    print(*sorted(log.stem for log in logs.glob("*.out") if not log.stem.startswith("worker-")))
    session.stop()
    print("stopped")
"""


@pytest.fixture
def network():
    """A network namespace in which 169.254.169.254 is this machine, and nothing else is there."""
    if shutil.which("ip") is None:
        pytest.skip("no iproute2 on this machine")
    name = f"dalle-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        pytest.skip("this user may make no network namespace")
    try:
        for command in (
            ["link", "set", "lo", "up"],
            ["addr", "add", "169.254.169.254", "dev", "lo"],
        ):
            subprocess.run(["ip", "-n", name, *command], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_run_asks_no_clouds_agent(network, tmp_path_factory):
    told = subprocess.run(
        ["ip", "netns", "exec", network, sys.executable, "-c", textwrap.dedent(RUN),
         str(tmp_path_factory.mktemp("r"))],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
        env={name: value for name, value in os.environ.items()
             if not name.startswith(("RAY_", "PYTHONPATH"))},
    )  # fmt: skip
    assert told.stdout.splitlines() == [
        f"a worker has {os.environ['HOME']} {ROOT} {{}}",
        "dashboard_agent gcs_server raylet runtime_env_agent",
        "stopped",
    ], told
