import json
import os
import subprocess
import sys
import time

import pytest

from infra import session
from infra.session import ROOT
from stages.cpu_threads import ROOM, cores_of_others

CORES = os.cpu_count() or 1

# Prints, again and again: how many threads the process has, and the share of parallel regions
# after which a thread went to sleep while the main thread worked on for a moment.
PROGRAM = f"""
import json, os, resource, time
from stages.cpu_threads import use_threads
import torch
use_threads({CORES})
numbers = torch.ones(200_000)

def regions(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    for _ in range(count):
        numbers.add_(1)
        end = time.perf_counter() + 1e-4
        while time.perf_counter() < end:
            pass
    return (resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before) / count

while True:
    threads = len(os.listdir("/proc/self/task"))
    print(json.dumps([threads, regions(200), float(numbers.sum())]), flush=True)
    time.sleep(0.2)
"""


@pytest.mark.skipif(sys.platform != "linux" or CORES < 2, reason="libgomp on several cores")
def test_threads_sleep_while_they_wait_if_other_programs_are_busy():
    if cores_of_others(2.0) > ROOM:
        pytest.skip("this machine is busy already")
    environment = os.environ | session.ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment
    )
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
    try:
        few = json.loads(program.stdout.readline())[0]
        many, _ = until(program, lambda threads, sleeps: threads > few)
        assert many >= few + CORES
        assert until(program, lambda threads, sleeps: sleeps > 0.7)
        while others:
            others.pop().kill()
        assert until(program, lambda threads, sleeps: threads < many)
    finally:
        for other in (program, *others):
            other.kill()
            other.wait()


def until(program, seen, seconds=60):
    """Read the program's lines until one is as wanted; return its threads and its sleeps."""
    end, line = time.monotonic() + seconds, []
    while time.monotonic() < end:
        line = json.loads(program.stdout.readline())
        if seen(*line[:2]):
            return line[:2]
    raise AssertionError(f"not seen in {seconds} s; last: {line}")
