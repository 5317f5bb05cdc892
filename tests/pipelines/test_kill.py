"""kill -9 of a whole run in each stage, then the same command again."""

import random
import shutil
import signal
import subprocess
import time

import pyarrow.parquet as pq
import pytest

from infra.store import Store
from pipelines.full import dalle
from schemas.artifacts import CLEAN_PAIRS, PAIRS, TOKEN_PAIRS
from schemas.settings import Settings
from tests.pipelines.runs import command, full, statuses

pytestmark = pytest.mark.soak
STAGES = [stage.name for stage in dalle(Settings())]


def rows_of(root, artifact):
    """All rows in order; urls name the port of the run's own server, so they may differ."""
    folder = Store(str(root)).newest(artifact)
    names = [n for n in folder.list() if n.endswith(".parquet") and not n.startswith("input/")]
    tables = [pq.read_table(folder.open(name)) for name in names]
    return [
        table.drop_columns([c for c in ("url", "detail") if c in table.column_names])
        for table in tables
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_in_a_stage_ends_with_the_same_rows(stage, tiny_run, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(tiny_run / "world", root / "world")
    for name in STAGES[: STAGES.index(stage)]:
        address = Store(str(tiny_run)).summary().stages[name].artifact
        shutil.copytree(tiny_run / address, root / address)
    with (tmp_path / "log.txt").open("w") as log:
        run = subprocess.Popen(command(root=root), stdout=log, stderr=log, cwd=tmp_path)
        while statuses(root).get(stage) not in ("running", "done"):  # some take a blink
            assert run.poll() is None, (tmp_path / "log.txt").read_text()[-3000:]
            time.sleep(0.1)
        time.sleep(random.Random(stage).uniform(0, 8))
        run.send_signal(signal.SIGKILL)
        run.wait()
    log = full(root=root)
    assert set(statuses(root).values()) <= {"done", "skipped"}
    for artifact in (PAIRS, CLEAN_PAIRS, TOKEN_PAIRS):
        mine, theirs = rows_of(root, artifact), rows_of(tiny_run, artifact)
        for one, other in zip(mine, theirs, strict=True):
            assert one.equals(other), (artifact.name, log[-3000:])
