"""A small run, its pipeline, and a copy that a test may damage."""

import shutil

import pytest

from infra.store import Store
from pipelines.draw.text_to_image import TextToImage
from tests import tiny_run


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    tiny_run.build(folder)
    return folder


@pytest.fixture(scope="session")
def root(built):
    return str(built)


@pytest.fixture(scope="session")
def pipeline(root):
    return TextToImage(root)


@pytest.fixture
def run(built, tmp_path):
    """A small run of its own."""
    return Store(str(shutil.copytree(built, tmp_path / "run")))
