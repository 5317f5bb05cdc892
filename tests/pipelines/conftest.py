"""Token shards that a test may damage."""

import shutil

import pytest

from infra.store import Store
from tests import tiny_run


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    tiny_run.build(folder)
    return folder


@pytest.fixture
def run(built, tmp_path):
    """A small run of its own."""
    return Store(str(shutil.copytree(built, tmp_path / "run")))
