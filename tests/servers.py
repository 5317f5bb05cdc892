"""A server of socketserver, up on a thread while a test needs it."""

import threading
from contextlib import contextmanager


@contextmanager
def up(*servers):
    """Have servers up while the block runs; clients that linger hold nobody."""
    for server in servers:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
