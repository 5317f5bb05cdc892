"""The web page on Ray Serve: one replica holds the models and the queue."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp

from infra import session
from pipelines.draw.proxy import NO_PROXY, Proxy
from pipelines.draw.text_to_image import TextToImage, models, require_gpu
from schemas.errors import ConfigError, UserError

NAME = "draw"
# Requests in the replica at once: those in the queue, and others to which it answers 503. More wait
# in Ray Serve, and past those it answers 503 itself.
ONGOING, QUEUED = 1_000, 1_000


def serve(root: str, host: str, port: int, *, gpu: bool = False, proxy: Proxy = NO_PROXY) -> None:
    """Serve the page until the process is interrupted; print its address.

    Raises ArtifactMissing for a run that is not finished, ConfigError for an address or a GPU that
    is not available, and UserError if the models cannot be loaded.
    """
    models(root)
    root = root if "://" in root else str(Path(root).resolve())
    port = _free_port(host, port)
    joined = bool(os.environ.get("RAY_ADDRESS"))
    if gpu and not joined:  # a cluster's GPUs are on other machines
        require_gpu()
    try:
        session.start()
        _deploy(root, host, port, gpu=gpu, proxy=proxy)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{port}   (Ctrl-C ends it)", flush=True)
        ended.wait()
    finally:
        if joined:  # a private Ray ends with the deployment
            from ray import serve as ray_serve

            ray_serve.delete(NAME)
        session.stop()


def _deploy(root: str, host: str, port: int, *, gpu: bool, proxy: Proxy) -> None:
    """Start the replica and wait until it has loaded its models."""
    from ray import serve as ray_serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    ray_serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
    deployment = ray_serve.deployment(
        ray_serve.ingress(_builder(root, host, gpu, proxy))(),
        name=NAME,
        ray_actor_options={"num_gpus": 1 if gpu else 0},
        max_ongoing_requests=ONGOING,
        max_queued_requests=QUEUED,
        max_constructor_retry_count=1,
        graceful_shutdown_timeout_s=1,
        logging_config={"enable_access_log": False},
    )
    try:
        ray_serve.run(deployment.bind(), name=NAME)
    except RuntimeError as error:
        # the error is the last line of the replica's traceback
        message = ray_serve.status().applications[NAME].deployments[NAME].message
        last = message.strip().rpartition("\n")[2] or str(error)
        kind, _, sentence = last.partition(": ")
        if not kind.startswith(UserError.__module__):
            sentence = f"wanted the models of {root}, found {last}"
        raise UserError(sentence) from error


def _builder(root: str, host: str, gpu: bool, proxy: Proxy) -> Callable[[], ASGIApp]:
    """Return a function that the replica calls to make the application."""

    def build() -> ASGIApp:
        from pipelines.draw.web_app import WebApp
        from stages.cpu_threads import use_threads

        use_threads(_processors())  # Ray allows a replica one
        return WebApp(TextToImage(root, gpu=gpu)).application(host, proxy)

    return build


def _processors() -> int:
    """Return how many processors this process may use; on macOS, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"wanted to serve on {host}:{port}, found that this fails ({error}); choose another "
            "--port, or another --host of this machine"
        ) from error
