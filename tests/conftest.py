"""Shared by all tests: one Ray for the session, shape checks, and what a machine may lack."""

import signal
import tempfile
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

from tests.pipelines.runs import full

settings.register_profile("ours", deadline=None)  # a busy machine is not slow code
settings.load_profile("ours")
signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts ignore it in `make test &`
torch.set_num_threads(1)  # for what modules of tests prepare; each test says it again

if not torch.cuda.is_available():  # where models are compiled; compilers cannot read such checks
    install_import_hook("stages.models", "beartype.beartype")


SHARED = ("tiny_run", "ray_cluster")  # fixtures too dear to make in each process of `-n 2`


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    share_between_processes(items)
    no_gpu = pytest.mark.skip(reason="needs a CUDA device, and this machine has none")
    soak = pytest.mark.skip(reason="takes long; `make soak` runs it")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        if "soak" in item.keywords and config.getoption("-m") != "soak":
            item.add_marker(soak)


def share_between_processes(items):
    """Keep a file's tests in one process, and those of a shared fixture; begin with the longest."""
    fixtures = {}
    for item in items:
        fixtures.setdefault(item.path, set()).update(item.fixturenames)
    groups = {
        path: next((name for name in SHARED if name in used), str(path))
        for path, used in fixtures.items()
    }
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))
    items.sort(key=lambda i: (groups[i.path] not in SHARED, "ray" not in i.keywords))


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
