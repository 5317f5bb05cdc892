"""What people put into RAY_ADDRESS: it names a head, or one sentence comes before anything runs."""

import os
import subprocess
import sys

import pytest

from infra.ray_address import cluster_address
from schemas.errors import ConfigError
from tests.pipelines.runs import ROOT


@pytest.mark.parametrize("said", [None, "", " ", "local", "LOCAL"])
def test_without_an_address_a_private_ray_is_started_whatever_else_runs(said, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if said is not None:
        monkeypatch.setenv("RAY_ADDRESS", said)
    assert cluster_address() is None


@pytest.mark.parametrize(
    "said", ["10.0.0.1:6379", "head.example.org:6379", "localhost:1", "[::1]:6379", " h:65535 "]
)
def test_the_host_and_port_of_a_head(said, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", said)
    assert cluster_address() == said.strip()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("http://10.0.0.1:8265", "ray job submit --address http://10.0.0.1:8265"),
        ("https://ray.example.org", "the dashboard, which takes jobs"),
        ("HTTP://10.0.0.1:8265", "the dashboard"),
        ("ray://10.0.0.1:10001", "Ray Client, which cannot train"),
        ("redis://10.0.0.1:6379", "something else"),
        ("anyscale://cluster", "something else"),
        ("10.0.0.1", "must be the host:port"),
        ("head", "must be the host:port"),
        ("10.0.0.1:", "must be the host:port"),
        (":6379", "must be the host:port"),
        ("10.0.0.1:0", "must be the host:port"),
        ("10.0.0.1:65536", "must be the host:port"),
        ("10.0.0.1:port", "must be the host:port"),
        ("10.0.0.1:6379,10.0.0.2:6379", "must be the host:port"),
        ("10.0.0.1 6379", "must be the host:port"),
        ("10.0.0.1:6379/", "must be the host:port"),
        ("::1:6379", "must be the host:port"),
    ],
)
def test_what_no_driver_can_join_is_one_sentence(said, sentence, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", said)
    with pytest.raises(ConfigError) as caught:
        cluster_address()
    assert sentence in str(caught.value)
    assert "unset RAY_ADDRESS to start a private Ray" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_head_that_is_not_there_or_something_else_is_one_quick_sentence():
    """In a process of its own, as Ray reads its environment once."""
    program = """
import socket, sys, threading
from infra.ray_address import require_head
from schemas.errors import ConfigError
silent = socket.create_server(("127.0.0.1", 0))
talks = socket.create_server(("127.0.0.1", 0))
def talk():
    while True:
        one, _ = talks.accept()
        one.sendall(b"SSH-2.0-OpenSSH_9\\r\\n")
threading.Thread(target=talk, daemon=True).start()
import infra.ray_address as module
module.SECONDS = 1.0
closed = socket.create_server(("127.0.0.1", 0)); port = closed.getsockname()[1]; closed.close()
for where in (f"127.0.0.1:{port}", f"127.0.0.1:{silent.getsockname()[1]}",
              f"127.0.0.1:{talks.getsockname()[1]}", "nobody.invalid:6379"):
    try:
        require_head(where)
    except ConfigError as error:
        print(error)
"""
    lines = run(program, RAY_AUTH_MODE="disabled").splitlines()
    assert len(lines) == 4
    for line in lines:
        assert "wanted the head of a Ray cluster, found" in line


def test_a_token_that_is_wanted_and_not_there_is_one_sentence(tmp_path):
    program = """
from infra.ray_address import require_head
from schemas.errors import ConfigError
try:
    require_head("127.0.0.1:1")
except ConfigError as error:
    print(error)
"""
    said = run(program, RAY_AUTH_MODE="token", HOME=str(tmp_path))
    assert "RAY_AUTH_MODE=token needs the cluster's token" in said
    assert said.count("\n") == 1


def run(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
