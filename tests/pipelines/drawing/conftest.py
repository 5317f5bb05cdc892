"""A small run's painter, and the page on a server of its own."""

import threading
from contextlib import contextmanager

import pytest
import uvicorn

from pipelines.drawing.painter import Painter
from pipelines.drawing.site import Site
from tests import tiny_run

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    tiny_run.build(folder)
    return str(folder)


@pytest.fixture(scope="session")
def painter(root):
    return Painter(root)


@contextmanager
def served(site):
    """Run a site on a free port while the block runs; yield its address."""
    config = uvicorn.Config(site.application(HOST), host=HOST, port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.02)
    try:
        yield f"http://{HOST}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(painter):
    with served(Site(painter)) as address:
        yield address
