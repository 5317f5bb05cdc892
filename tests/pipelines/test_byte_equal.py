"""Two runs of one source are equal byte for byte: other roots, users, surroundings, other workers.

Only what people read and what resuming needs may differ (schemas.artifacts.ASIDE).
"""

import os
import subprocess

import pyarrow.parquet as pq
import pytest

from infra.store import Store
from schemas.artifacts import ASIDE, BPE, CLEAN_PAIRS, DVAE, MEASURED, PAIRS, TOKEN_PAIRS
from schemas.manifest import MANIFEST
from tests.pipelines.runs import command

pytestmark = pytest.mark.ray
COMPARED = (PAIRS, MEASURED, CLEAN_PAIRS, BPE, DVAE, TOKEN_PAIRS)
OTHERWISE = (
    "crawl.workers=2", "crawl.threads=5", "filter.workers=2", "encode.workers=2",
    "encode.threads=1", "encode.decoders=1", "crawl.host_connections=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A run up to the tokens, whose surroundings are all other than those of `tiny_run`."""
    home = tmp_path_factory.mktemp("an other home")
    root = home / "and another root"
    root.mkdir()
    around = {
        "HOME": str(home), "TMPDIR": str(home), "USER": "somebody", "LOGNAME": "somebody",
        "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "COLUMNS": "40",
        "OMP_NUM_THREADS": "2", "NO_PROXY": "*",
    }  # fmt: skip
    settings = [argument for setting in OTHERWISE for argument in ("--set", setting)]
    done = subprocess.run(
        command("--until", "encode", *settings, root=root),
        env={key: os.environ[key] for key in ("PATH", "RAY_TMPDIR") if key in os.environ} | around,
        cwd=home,
        umask=0o077,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return root


def content(root, artifact):
    """The bytes and permissions of every file that a reader depends on."""
    store = Store(str(root))
    folder = store.newest(artifact) if artifact != MEASURED else kept(store)
    return {
        name: (file.read_bytes(), file.stat().st_mode & 0o777)
        for name in folder.list()
        if not name.startswith((*ASIDE, MANIFEST))
        for file in [folder.path / name]
    }


def kept(store):
    (name,) = {name.split("/")[1] for name in store.top.list(f"{MEASURED.name}/")}
    return store.folder(MEASURED.name, name)


@pytest.mark.parametrize("artifact", COMPARED, ids=lambda artifact: artifact.name)
def test_two_runs_are_equal_byte_for_byte(tiny_run, other, artifact):
    one, two = content(tiny_run, artifact), content(other, artifact)
    assert one
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == []


def test_no_row_names_a_place_of_this_machine(other):
    folder = Store(str(other)).newest(PAIRS)
    for name in folder.list("shard-"):
        for row in pq.read_table(folder.open(name)).drop_columns("image").to_pylist():
            for word in (str(other), str(other.parent), "127.0.0.1:", "somebody", "/tmp"):
                assert word not in str(row)
