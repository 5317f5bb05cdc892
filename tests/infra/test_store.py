import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from infra.claim import OWNER, claimed, owner_of
from infra.store import (
    BEGUN,
    LocalFolder,
    ObjectFolder,
    Store,
    content_of,
    digest,
    digest_all,
    open_folder,
    publish,
)  # fmt: skip
from schemas.artifacts import PRIOR
from schemas.errors import ArtifactMissing, ArtifactOwned, SchemaMismatch
from schemas.machine_speed import SPEED, MachineSpeed
from schemas.manifest import MANIFEST, Manifest
from tests import s3
from tests.stages.finished import manifest


@pytest.fixture(scope="module")
def bucket():
    with s3.served("bucket") as address:
        yield address


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path):
    if request.param == "local":
        return str(tmp_path)
    return request.getfixturevalue("bucket") + f"/{tmp_path.name}"


@pytest.fixture
def folder(root):
    return open_folder(root)


def test_a_committed_file_reads_back_and_is_listed_by_prefix(root):
    folder = open_folder(root)
    assert folder.list() == []
    folder.commit("train/b", b"2")
    folder.commit("train/a", b"1")
    folder.commit("other", b"")
    assert folder.list("train/") == ["train/a", "train/b"]
    assert folder.list() == ["other", "train/a", "train/b"]
    with folder.open("train/b") as file:
        assert file.read() == b"2"
    folder.commit("train/b", b"3")
    with pickle.loads(pickle.dumps(folder)).open("train/b") as file:
        assert file.read() == b"3"
    folder.remove("train/b")
    folder.remove("never there")
    assert not folder.exists("train/b")
    with pytest.raises(FileNotFoundError):
        folder.open("train/b")
    folder.clear()
    assert folder.list() == []


def test_of_two_first_commits_the_first_one_stays(folder):
    folder.commit_new("speed", b"1")
    folder.commit_new("speed", b"2")
    with folder.open("speed") as file:
        assert file.read() == b"1"
    assert folder.list() == ["speed"]


def test_a_root_has_one_speed_and_a_broken_one_is_a_sentence(root):
    store, speed = Store(root), MachineSpeed(training_gflops=9, threads=2, precision="float32")
    assert store.speed() is None
    assert store.record_speed(speed) == speed
    assert store.record_speed(speed.model_copy(update={"training_gflops": 5})) == speed
    store.top.commit(SPEED, b"{}")
    with pytest.raises(SchemaMismatch, match=r"wanted a machine's speed.json"):
        store.speed()


def test_clearing_that_is_interrupted_leaves_nothing_that_looks_finished(root, monkeypatch):
    folder = open_folder(root)
    folder.commit("data", b"1")
    folder.commit(MANIFEST, manifest().model_dump_json().encode())

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("os.walk", interrupt)
        patched.setattr(ObjectFolder, "list", interrupt)
        with pytest.raises(KeyboardInterrupt):
            folder.clear()
    assert folder.list() == ["data"]


def test_a_commit_cut_short_leaves_no_file(tmp_path):
    folder = open_folder(tmp_path)
    (tmp_path / ".uncommitted-x").write_bytes(b"half")
    assert folder.list() == []


def test_without_its_manifest_an_artifact_does_not_exist(root):
    store = Store(root)
    folder = store.folder("prior", "f")
    folder.commit("model.safetensors", b"weights")
    assert store.manifest("prior", "f") is None
    with pytest.raises(ArtifactMissing, match=r"no summary.json there"):
        store.newest(PRIOR)
    publish(folder, manifest())
    assert store.manifest("prior", "f") == manifest()


def test_a_very_long_list_of_files_stands_beside_the_manifest(tmp_path):
    folder = open_folder(tmp_path)
    publish(folder, manifest(files={f"f{i}": digest(b"") for i in range(1_001)}))
    assert folder.exists("files.parquet")
    assert Manifest.model_validate_json((tmp_path / MANIFEST).read_text()).files is None


def test_content_counts_what_readers_read_and_nothing_else(tmp_path):
    folder = open_folder(tmp_path)
    folder.commit("model.safetensors", b"weights")
    before = content_of(digest_all(folder, {}))
    folder.commit("metrics.jsonl", b"seconds differ from run to run")
    assert content_of(digest_all(folder, {})) == before
    folder.commit("model.safetensors", b"other weights")
    assert content_of(digest_all(folder, {})) != before


def test_a_second_run_is_refused_and_the_claim_ends_with_the_block(root):
    folder = open_folder(root)
    with claimed(folder):
        with pytest.raises(ArtifactOwned, match="being made by process"), claimed(folder):
            pass
        assert owner_of(folder) is not None
    assert not folder.exists(OWNER)


def test_the_claim_of_a_killed_process_is_taken_over(tmp_path):
    program = (
        "import sys, time; from infra.claim import claimed; from infra.store import open_folder\n"
        "with claimed(open_folder(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "mine\n"
    folder = open_folder(tmp_path)
    with pytest.raises(ArtifactOwned), claimed(folder):
        pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    with claimed(folder):
        assert owner_of(folder).pid == os.getpid()


def test_a_claim_from_another_machine_dies_of_age(tmp_path):
    folder = open_folder(tmp_path)
    with claimed(folder):
        text = (tmp_path / OWNER).read_text()
        mine = owner_of(folder)
    elsewhere = mine.model_copy(update={"machine": "elsewhere", "seen": time.time()})
    folder.commit(OWNER, elsewhere.model_dump_json().encode())
    assert owner_of(folder) is not None
    stale = elsewhere.model_copy(update={"seen": time.time() - 60})
    folder.commit(OWNER, stale.model_dump_json().encode())
    assert owner_of(folder) is None
    folder.commit(OWNER, text[:10].encode())
    assert owner_of(folder) is None


def test_a_listing_looks_into_the_named_folder_alone(folder, monkeypatch):
    """A shard asks for its own few files; a walk through all of them would be quadratic."""
    for name in ("attempts/run/s1.0", "attempts/run/s2.0", "train/a", "train/b"):
        folder.commit(name, b"")
    if isinstance(folder, LocalFolder):
        walked = []
        walk = os.walk
        monkeypatch.setattr(os, "walk", lambda top, **how: walked.append(top) or walk(top, **how))
        assert folder.list("attempts/run/s1.") == ["attempts/run/s1.0"]
        assert [str(top).rpartition("attempts/")[2] for top in walked] == ["run"]
    assert folder.list("attempts/run/s1.") == ["attempts/run/s1.0"]
    assert folder.list("tra") == ["train/a", "train/b"]


def test_a_clearing_starts_with_what_says_that_something_is_finished(folder, monkeypatch):
    for name in (MANIFEST, BEGUN, "stats/one.json", "shard-one"):
        folder.commit(name, b"")
    removed, remove = [], type(folder).remove
    monkeypatch.setattr(
        type(folder), "remove", lambda self, name: removed.append(name) or remove(self, name)
    )
    folder.clear()
    assert removed[:3] == [MANIFEST, BEGUN, "stats/one.json"]
    assert folder.list() == []
