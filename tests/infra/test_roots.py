"""Where a run can live, and what is said of every place where it cannot."""

import os
from pathlib import Path

import pytest

from infra.machines import unseen
from infra.paths import normal
from infra.roots import require_root
from infra.store import Store, open_folder
from pipelines.full import absolute_root
from schemas.artifacts import BPE
from schemas.errors import ArtifactMissing, ConfigError, SchemaMismatch, StorageFailed
from tests import s3


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("runs/x", "runs/x"),
        ("/a/b/", "/a/b"),
        ("file:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("file://localhost/a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file:a/b", "a/b"),
        ("s3://bucket/run/", "s3://bucket/run"),
        ("S3://Bucket/Run", "s3://Bucket/Run"),
        ("s3://bucket", "s3://bucket"),
        ("with space", "with space"),
        ("a:b", "a:b"),
        ("~", os.path.expanduser("~")),
        ("bücher", "bücher"),
    ],
)
def test_one_form_of_each_place(said, means):
    assert normal(said) == means


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("", "found nothing"),
        ("  ", "found nothing"),
        ("s3:/bucket/run", "write s3://bucket/run"),
        ("GS:/bucket", "write gs://bucket"),
        ("s3://", "without a bucket"),
        ("s3:///run", "without a bucket"),
        ("file://host/run", "another machine"),
        ("C:\\runs", "a Windows path"),
        ("d:/runs", "a Windows path"),
        ("~nobody-of-that-name/x", "write it out"),
        ("a\0b", "from it"),
        ("a\nb", "from it"),
        ("a\udcff", "from it"),
        ("memory://x", "not in its workers"),
        ("simplecache::s3://b/x", "not in its workers"),
    ],
)
def test_a_slip_is_one_sentence(said, sentence):
    with pytest.raises(ConfigError) as caught:
        absolute_root(said, "tiny")
    assert str(caught.value).startswith("--root must be")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_root_is_the_presets_own_and_it_is_absolute():
    assert absolute_root(None, "tiny") == str(Path.cwd() / "runs/tiny")
    assert absolute_root("x/../y", "tiny") == str(Path.cwd() / "y")


@pytest.fixture
def places(tmp_path):
    """Make a file, links to nowhere and to itself, and a folder."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("/nosuch/disk")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    return tmp_path


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    "name",
    ["file", "file/run", "to-file", "to-file/run", "dangling", "dangling/run", "loop", "loop/run",
     "x" * 300, "y/" * 2_500],
    ids=lambda name: name[:12],
)  # fmt: skip
def test_a_path_that_is_no_place_is_one_sentence_in_a_plan_as_in_a_run(places, name, writes):
    with pytest.raises(ConfigError, match="--root") as caught:
        require_root(f"{places}/{name}", writes=writes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("root", ["/proc/nosuch", "/sys/nosuch", "/dev/null", "/dev/null/x"])
def test_a_place_of_the_kernels_own_is_one_sentence_in_a_run(root):
    with pytest.raises(ConfigError, match="--root"):
        require_root(root, writes=True)


@pytest.mark.parametrize("name", ["folder", "to-folder", "new", "new/er", "folder/new", "b ü"])
def test_a_good_place_is_left_as_it_was(places, name):
    root = f"{places}/{name}"
    require_root(root, writes=False)
    before = sorted(places.rglob("*"))
    require_root(root, writes=True)
    assert os.listdir(root) == []
    assert set(before) <= set(places.rglob("*"))


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    ("root", "sentence"),
    [("foo://bucket/run", "Protocol not known: foo"), ("gs://bucket/run", "gcsfs"),
     ("az://container/run", "adlfs")],
)  # fmt: skip
def test_a_store_without_its_package_is_one_sentence(root, sentence, writes):
    with pytest.raises(ConfigError, match=sentence) as caught:
        require_root(root, writes=writes)
    assert "\n" not in str(caught.value)


def test_buckets_that_are_there_and_one_that_is_not():
    with s3.served("bucket-of-roots") as address:
        for root in (address, f"{address}/run", f"{address}/run/deeper"):
            require_root(root, writes=False)
            require_root(root, writes=True)
        assert open_folder(address).list() == []
        for writes in (False, True):
            with pytest.raises(ConfigError, match="no 'elsewhere'"):
                require_root("s3://elsewhere/run", writes=writes)


def test_a_store_that_cannot_be_asked_is_no_store_without_files(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nosuch")
    for name in [name for name in os.environ if name.startswith("AWS_") and "META" not in name]:
        monkeypatch.delenv(name)
    folder = open_folder("s3://bucket-without-keys/run")
    for ask in (lambda: folder.exists("x"), folder.list, lambda: folder.commit("x", b"")):
        with pytest.raises(StorageFailed, match="credentials"):
            ask()


def test_a_disk_that_is_full_is_one_sentence():
    with pytest.raises(StorageFailed, match=r"No such file or directory.*run the same command"):
        open_folder("/proc/nosuch").commit("x", b"")


def test_only_a_command_that_writes_speaks_of_what_is_finished():
    with pytest.raises(StorageFailed, match=r"run the same command again: finished work is kept"):
        open_folder("/proc/nosuch").commit("x", b"")
    for ask in (lambda folder: folder.exists("x"), lambda folder: folder.list()):
        with pytest.raises(StorageFailed, match=r"Protocol not known.*the same command again$"):
            ask(open_folder("foo://bucket/run"))


def test_what_a_worker_does_not_see(tmp_path):
    root = open_folder(tmp_path / "run")
    root.commit(".probe-1", b"")
    assert unseen([str(tmp_path)], root.url, ".probe-1") == ""
    assert f"does not see {tmp_path}/pics" in unseen([f"{tmp_path}/pics"], root.url, ".probe-1")
    assert "has another folder" in unseen([], root.url, ".probe-2")
    assert "Protocol not known" in unseen([], "foo://bucket/run", ".probe-1")


def test_a_root_without_a_run_names_those_that_are_near(tmp_path, monkeypatch):
    for name in ("demo", "mine"):
        open_folder(tmp_path / "runs" / name).commit("summary.json", b'{"stages": {}}')
    for root in ("runs", "runs/dmeo", ".", "runs/demo/prior/0123"):
        with pytest.raises(ArtifactMissing) as caught:
            Store(str(tmp_path / root)).newest(BPE)
        assert "wanted a run under" in str(caught.value)
        assert f"{tmp_path}/runs/demo" in str(caught.value)
    with pytest.raises(ArtifactMissing, match=r"start one with"):
        Store(str(tmp_path / "else/where")).newest(BPE)


def test_files_of_our_names_that_somebody_else_wrote(tmp_path):
    for text in (b"", b"[]", b"{", b'{"name": "my app"}', b"\xff"):
        open_folder(tmp_path).commit("summary.json", text)
        with pytest.raises(SchemaMismatch, match="found another file of that name"):
            Store(str(tmp_path)).summary()
        open_folder(tmp_path / "bpe/x").commit("manifest.json", text)
        with pytest.raises(SchemaMismatch, match="found another file of that name"):
            Store(str(tmp_path)).manifest("bpe", "x")
