"""Run the real command in a process of its own, as a user does."""

import os
import re
import subprocess
import sys
from pathlib import Path

from infra.store import Store

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments, root):
    return [sys.executable, str(ROOT / "pipelines/full.py"), "--preset", "tiny", "--root",
            str(root), *map(str, arguments)]  # fmt: skip


def full(*arguments, root, code=0, timeout=400):
    """Run to the end and return what was printed; fail with it on another exit code."""
    done = subprocess.run(
        command(*arguments, root=root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, done.stdout[-6000:]
    return done.stdout


def statuses(root):
    return {name: s.status for name, s in Store(str(root)).summary().stages.items()}


def plan_states(text):
    """Read the plan table back: stage -> state."""
    rows = re.findall(r"^(\w+) +\w+/[0-9a-f]{12} +(.*?)(?: {2,}.*)?$", text, re.MULTILINE)
    return {stage: state.strip() for stage, state in rows}
