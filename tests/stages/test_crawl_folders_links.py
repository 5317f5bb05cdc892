"""Folders: links that stay inside are followed, a hub's snapshot is read, and nothing else is."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from stages.crawl.reasons import Refused
from stages.crawl.sources.picture_folder import FolderReader, PictureFolder
from stages.crawl.sources.survey import Survey
from tests.stages.folders import captions, digest, folder, listed, passed_over

HUB = "datasets--a--b/snapshots/0123abcd"
BLOBS = "datasets--a--b/blobs"


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def snapshot(tmp_path):
    """A repository as the hub's library keeps it."""
    source = folder(tmp_path, {f"{BLOBS}/11aa": b"picture", f"{BLOBS}/22bb": "a caption"})
    for name, blob in (("0.jpg", "11aa"), ("0.txt", "22bb")):
        link(tmp_path / "pics" / HUB / name, f"../../blobs/{blob}")
    link(tmp_path / "pics" / HUB / "train" / "1.jpg", "../../../blobs/11aa")
    link(tmp_path / "pics" / HUB / "metadata.csv", "../../blobs/33cc")
    table = "file_name,caption\ntrain/1.jpg,from metadata\n"
    (tmp_path / "pics" / BLOBS / "33cc").write_text(table)
    return source


@pytest.mark.parametrize("top", ["", "datasets--a--b", "datasets--a--b/snapshots", HUB])
def test_a_snapshot_of_the_hub_is_read(tmp_path, top):
    source = snapshot(tmp_path)
    source = source.model_copy(update={"path": f"{source.path}/{top}"})
    before = HUB[len(top) :].lstrip("/") + "/" if top != HUB else ""
    assert captions(source, tmp_path / "out") == {
        f"{before}0.jpg": "a caption",
        f"{before}train/1.jpg": "from metadata",
    }
    assert FolderReader(source, 1_000).read(f"{before}0.jpg") == b"picture"
    seen = digest(source)
    (tmp_path / "pics" / BLOBS / "11aa").write_bytes(b"another picture")
    assert digest(source) != seen


def test_a_snapshot_through_a_link_to_its_cache_is_read(tmp_path):
    source = snapshot(tmp_path)
    link(tmp_path / "cache", tmp_path / "pics")
    source = source.model_copy(update={"path": str(tmp_path / "cache" / HUB)})
    assert captions(source, tmp_path / "out")["0.jpg"] == "a caption"


def test_a_snapshot_without_its_blobs_says_what_to_do(tmp_path):
    source = folder(tmp_path, {})
    link(tmp_path / "pics" / "0.jpg", "../../blobs/11aa")
    (problem,) = captions(source, tmp_path / "out").values()
    assert problem.startswith("missing_file: 0.jpg: a link to nowhere; copy the files themselves")
    assert "blobs/ beside snapshots/" in problem


def test_blobs_that_are_themselves_a_link_out_are_not_followed(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "11aa").write_text("secret")
    source = folder(tmp_path, {f"{HUB}/x.jpg": b""})
    link(tmp_path / "pics" / BLOBS, tmp_path / "secrets")
    link(tmp_path / "pics" / HUB / "0.jpg", "../../blobs/11aa")
    source = source.model_copy(update={"path": f"{source.path}/{HUB}"})
    assert captions(source, tmp_path / "out")["0.jpg"].startswith("link_outside: 0.jpg: ")


def test_links_out_are_refused_for_a_reason_of_their_own(tmp_path):
    (tmp_path / "secret").write_text("a secret")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "z.jpg").write_text("a secret")
    source = folder(tmp_path, {"a.jpg": b"1", "b.jpg": b"2"})
    pics = tmp_path / "pics"
    link(pics / "a.txt", tmp_path / "secret")
    link(pics / "c.jpg", "/etc/passwd")
    link(pics / "d.jpg", "../secret")
    link(pics / "e.jpg", "f.jpg")
    link(pics / "f.jpg", "../secret")
    link(pics / "more", tmp_path / "other")
    link(pics / "README.md", "../secret")
    seen = digest(source)
    found = captions(source, tmp_path / "out")
    refused = ("a.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "more")
    assert list(found) == ["a.jpg", "b.jpg", *refused[1:]]
    assert all(found[name].startswith("link_outside: ") for name in refused)
    assert all("copy the files themselves in" in found[name] for name in refused)
    assert found["b.jpg"] is None
    reader = FolderReader(source, 1_000)
    for name in ("a.txt", "c.jpg", "e.jpg", "more/z.jpg"):
        with pytest.raises(Refused, match="link_outside"):
            reader.read(name)
    (tmp_path / "secret").write_text("another secret")
    assert digest(source) == seen, "what is not read is in no fingerprint"


def test_metadata_that_are_a_link_out_are_one_sentence(tmp_path):
    source = folder(tmp_path, {"a.jpg": b"1"})
    link(tmp_path / "pics" / "metadata.csv", "/etc/passwd")
    with pytest.raises(ConfigError, match=r"wanted to read metadata.csv in .*, found link_outside"):
        digest(source)


def test_links_inside_are_followed_and_loops_and_nowhere_are_rows(tmp_path):
    source = folder(tmp_path, {"a.jpg": b"1", "a.txt": "one", "deep/er/b.jpg": b"2"})
    pics = tmp_path / "pics"
    link(pics / "c.jpg", "a.jpg")
    link(pics / "c.txt", pics / "a.txt")  # an absolute link
    link(pics / "d.jpg", "c.jpg")  # a link to a link
    link(pics / "deep" / "e.jpg", "../a.jpg")
    link(pics / "again", "deep")  # its pictures are read where they lie
    link(pics / "deep" / "er" / "up", "../..")  # a loop of folders
    link(pics / "l.jpg", "l.jpg")
    link(pics / "m.jpg", "n.jpg")
    link(pics / "n.jpg", "m.jpg")
    link(pics / "o.jpg", "nowhere")
    os.link(pics / "a.jpg", pics / "p.jpg")
    found = captions(source, tmp_path / "out")
    loop = "a link that leads back to itself"
    assert {name: found[name] for name in sorted(found)} == {
        "a.jpg": "one",
        "c.jpg": "one",
        "d.jpg": None,
        "deep/e.jpg": None,
        "deep/er/b.jpg": None,
        **{f"{name}.jpg": f"missing_file: {name}.jpg: {loop}" for name in "lmn"},
        "o.jpg": found["o.jpg"],
        "p.jpg": None,
    }
    assert found["o.jpg"].startswith("missing_file: o.jpg: a link to nowhere; ")
    assert passed_over(tmp_path / "out") == {
        "links to folders of the source, which are read where they lie": 2
    }
    reader = FolderReader(source, 1_000)
    assert [reader.read(f"{name}.jpg") for name in "acdp"] == [b"1"] * 4
    assert digest(source)


def test_pipes_and_devices_are_passed_over_and_never_opened(tmp_path):
    source = folder(tmp_path, {"a.jpg": b"1"})
    os.mkfifo(tmp_path / "pics" / "b.jpg")
    link(tmp_path / "pics" / "c.jpg", "b.jpg")
    assert captions(source, tmp_path / "out") == {"a.jpg": None}
    assert passed_over(tmp_path / "out") == {"pipes, sockets and devices": 2}
    with pytest.raises(Refused, match=r"missing_file: 'b.jpg' is no file that can be read"):
        FolderReader(source, 1_000).read("b.jpg")


def test_a_link_that_is_swapped_after_the_listing_is_refused(tmp_path):
    source = folder(tmp_path, {"a.jpg": b"1"})
    (row,) = listed(source, tmp_path / "out")
    (tmp_path / "pics" / "a.jpg").unlink()
    link(tmp_path / "pics" / "a.jpg", "/etc/passwd")
    with pytest.raises(Refused, match="link_outside"):
        FolderReader(source, 1_000).read(row["picture"])


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/../../secret", "", ".."])
def test_names_that_lead_out_are_refused(tmp_path, name):
    (tmp_path / "secret").write_text("a secret")
    source = folder(tmp_path, {"a.jpg": b"1"})
    with pytest.raises(Refused, match=r"^(outside_folder|missing_file): "):
        FolderReader(source, 1_000).read(name)


def test_what_is_gone_is_told_without_a_path_of_this_machine(tmp_path):
    source = folder(tmp_path, {"a.jpg": b"1"})
    with pytest.raises(Refused) as refused:
        FolderReader(source, 1_000).read("b.jpg")
    assert str(refused.value).startswith("missing_file: ")
    assert str(tmp_path) not in str(refused.value)


@contextmanager
def nobody():
    """Whoever runs the tests may read everything; this user may not."""
    before = os.geteuid()
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_what_this_user_may_not_read_is_told():
    with tempfile.TemporaryDirectory() as above:  # whose own folders anybody may enter
        os.chmod(above, 0o755)
        source = folder(Path(above), {"a.jpg": b"1", "b.jpg": b"2", "closed/c.jpg": b"3"})
        os.chmod(f"{source.path}/b.jpg", 0)
        os.chmod(f"{source.path}/closed", 0)
        with nobody():
            found = {
                row["url"]: row["problem"] for row in PictureFolder(source).rows(Survey("pictures"))
            }
            with pytest.raises(Refused, match=r"missing_file: b.jpg: Permission denied"):
                FolderReader(source, 1_000).read("b.jpg")
            assert digest(source)
        os.chmod(source.path, 0)
        with nobody(), pytest.raises(ConfigError, match=r"wanted to list .*; let this user read"):
            digest(source)
    why = "a folder that cannot be listed (Permission denied)"
    assert found == {"a.jpg": None, "b.jpg": None, "closed": f"missing_file: closed: {why}"}
