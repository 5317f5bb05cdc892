"""A small run's pipeline, and the page on a server of its own."""

import threading
from contextlib import contextmanager

import pytest
import uvicorn

from pipelines.draw.proxy import NO_PROXY
from pipelines.draw.web_app import WebApp

HOST = "127.0.0.1"


@contextmanager
def served(app, proxy=NO_PROXY):
    """Run the page on a free port while the block runs; yield its address."""
    application = app.application(HOST, proxy)
    config = uvicorn.Config(application, host=HOST, port=0, log_level="critical")
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
def address(pipeline):
    with served(WebApp(pipeline)) as address:
        yield address
