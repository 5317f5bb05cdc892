"""A real S3 server on this machine, and the environment that leads to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem


@contextmanager
def served(bucket: str) -> Iterator[str]:
    """Serve an empty bucket while the block runs; yield its address."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    forget = Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urlopen(forget).close()  # a process has one store, however many servers it starts
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # those of an earlier server remember its port
        S3FileSystem().mkdir(bucket)
        yield f"s3://{bucket}"
        S3FileSystem.clear_instance_cache()
    server.stop()
