"""A web server that costs little: the pictures of a folder, on many loopback addresses.

`python -m tests.bench.answers FOLDER [SECONDS]` answers `/<number>.jpg` after so many seconds with
the picture of that number, counted around, and everything else with 404. It prints its port.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.watched import started

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 65))  # a crawl is polite to each host
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
HEADER = "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nConnection: close"


class Answer(asyncio.Protocol):
    """One connection, one request, one answer."""

    def __init__(self, answers: list[bytes], seconds: float) -> None:
        self.answers, self.seconds, self.request = answers, seconds, b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.request += data
        if not self.request.endswith(b"\r\n\r\n"):
            return
        name = self.request.split(b" ", 2)[1].strip(b"/").removesuffix(b".jpg")
        answer = self.answers[int(name) % len(self.answers)] if name.isdigit() else MISSING
        if self.seconds:
            asyncio.get_running_loop().call_later(self.seconds, self.send, answer)
        else:
            self.send(answer)

    def send(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()


async def serve(folder: Path, seconds: float) -> None:
    """Print the port, then serve until the process is ended."""
    answers = []
    for file in sorted(folder.iterdir()):
        body = file.read_bytes()
        answers.append(HEADER.format(len(body)).encode() + b"\r\n\r\n" + body)
    loop, port, servers = asyncio.get_running_loop(), 0, []
    for host in HOSTS:
        server = await loop.create_server(
            lambda: Answer(answers, seconds), host, port, backlog=4096
        )
        port = server.sockets[0].getsockname()[1]
        servers.append(server)
    print(port, flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


@contextmanager
def serving(folder: Path, seconds: float = 0.0) -> Iterator[tuple[int, int]]:
    """Serve in a process of its own while the block runs; yield its port and its number."""
    command = [sys.executable, "-m", "tests.bench.answers", str(folder), str(seconds)]
    with started(command) as process:
        yield int(process.stdout.readline()), process.pid


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2])))
