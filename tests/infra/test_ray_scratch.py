"""Where Ray's sockets go: TMPDIRs as batch systems, containers and typing errors give them."""

import os
import shutil
from pathlib import Path

import pytest

from infra import ray_scratch
from infra.ray_scratch import SOCKET, SOCKET_BYTES, own_folder, unfit
from schemas.errors import ConfigError


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def long(folder, total):
    """Make a folder whose path has so many bytes."""
    path = f"{folder}/{'x' * (total - len(os.fsencode(str(folder))) - 1)}"
    os.makedirs(path)
    return path


def test_the_usual_place_will_do():
    assert own_folder() is None


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("kind", ["long", "no folder", "a file", "relative", "below a file"])
def test_a_place_that_will_not_do_is_replaced_by_a_short_one(name, kind, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    place = {
        "long": long(tmp_path, 180), "no folder": tmp_path / "nosuch", "relative": "tmp",
        "a file": tmp_path / "file", "below a file": tmp_path / "file/x",
    }[kind]  # fmt: skip
    monkeypatch.setenv(name, str(place))
    folder = own_folder()
    try:
        assert len(folder) < 40
        assert list(Path(folder).iterdir()) == []
        assert (Path(folder).stat().st_mode & 0o777) == 0o700
    finally:
        shutil.rmtree(folder)


def test_the_longest_path_that_fits_and_one_more(tmp_path_factory):
    with_room = SOCKET_BYTES - len(SOCKET)
    folder = Path(long("/tmp", with_room))
    try:
        assert unfit(str(folder)) is None
        assert unfit(f"{folder}x") == "too long for a socket's path"
        assert unfit(f"{folder}/") is None
    finally:
        folder.rmdir()
    assert unfit("/tmp/" + "ü" * (with_room - 5)) == "too long for a socket's path"


def test_rays_own_variable_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nosuch")
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert own_folder() is None


def test_a_place_that_cannot_be_written_to_says_why():
    assert unfit("/proc").startswith("not writable (")


def test_no_place_at_all_is_one_sentence(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nosuch")
    monkeypatch.setattr(ray_scratch, "SHORT", ("/proc", "/sys"))
    with pytest.raises(ConfigError, match="set RAY_TMPDIR to a short path with space"):
        own_folder()
