"""Shared by all tests: one Ray for the session, shape checks, and what a machine may lack."""

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

from tests.pipelines.runs import full

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # of img2dataset's: else it asks PyPI at import
settings.register_profile("ours", deadline=None)  # a busy machine is not slow code
settings.load_profile("ours")
signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts ignore it in `make test &`
torch.set_num_threads(1)  # for what modules of tests prepare; each test says it again

if not torch.cuda.is_available():  # where models are compiled; compilers cannot read such checks
    install_import_hook("stages.models", "beartype.beartype")


def pytest_collection_modifyitems(config, items):
    no_gpu = pytest.mark.skip(reason="needs a CUDA device, and this machine has none")
    soak = pytest.mark.skip(reason="takes long; `make soak` runs it")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        if "soak" in item.keywords and config.getoption("-m") != "soak":
            item.add_marker(soak)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Start one private Ray for all tests that need it, and stop it after the last."""
    from infra import session

    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        session.start(temp_dir=folder)
        yield
        session.stop()


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """One whole run of the tiny preset, for every test that looks at finished artifacts."""
    root = tmp_path_factory.mktemp("tiny")
    (root / "log.txt").write_text(full(root=root))
    return root


@pytest.fixture(autouse=True)
def _few_threads():
    """Tiny models are faster on one thread, and leave the other core to Ray."""
    torch.set_num_threads(1)
