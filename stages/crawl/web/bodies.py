"""Read the body of a picture and undo its encoding, within bounds; refuse what is no picture."""

import http.client
import re
import threading
from collections.abc import Iterator

from stages.crawl.reasons import Refused
from stages.crawl.web.connections import Deadline
from stages.crawl.web.encodings import beginning, encodings, undone
from stages.crawl.web.first_bytes import LOOKED_AT, is_picture, is_text
from stages.crawl.web.replies import phrase, told

BUDGET_BYTES = 67_108_864  # of fetched pictures that wait for their turn to be decoded
CHUNK = 2**16
UNANNOUNCED = 2**20  # bytes that a body of unknown length is expected to have
RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+)")
PATIENCE_SECONDS = 2.0  # for the words of an answer that is none
SLOW_OR_BROKEN = (OSError, http.client.HTTPException)


class Budget:
    """Bytes of pictures that the threads of a process may hold; beyond it they wait.

    One picture may be larger than all of it: then it is alone.
    """

    def __init__(self, total: int = BUDGET_BYTES) -> None:
        self.total, self.held = total, 0
        self._changed = threading.Condition()

    def take(self, amount: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self.held or self.held + amount <= self.total)
            self.held += amount

    def give_back(self, amount: int) -> None:
        with self._changed:
            self.held -= amount
            self._changed.notify_all()


class Bodies:
    """Reads bodies for all threads of a process, never holding more than the budget has given."""

    def __init__(self, budget: Budget, max_bytes: int) -> None:
        self.budget, self.max_bytes = budget, max_bytes

    def picture(self, reply: http.client.HTTPResponse, deadline: Deadline) -> bytes:
        """Return a picture's bytes, which count in the budget; raise Refused if it is none."""
        _refuse_part(reply)
        if (reply.length or 0) > self.max_bytes:
            raise Refused("too_large", f"{reply.length} bytes announced")
        taken = self._exchange(0, UNANNOUNCED if reply.length is None else reply.length, deadline)
        try:
            body, names = bytearray(), list[str]()
            for chunk in _chunks(reply):
                if not body:
                    names = encodings(reply.headers, chunk)
                    start = beginning(chunk, names, LOOKED_AT)
                    if not names or is_text(start):  # else it may be the encoding that is wrong
                        _refuse_page(reply, start)
                body += chunk
                if len(body) > self.max_bytes:
                    raise Refused("too_large", f"more than {self.max_bytes} bytes")
                if len(body) > taken:
                    taken = self._exchange(taken, self.max_bytes, deadline)
            if not body:
                _refuse_empty(reply)
            if names:
                taken = self._exchange(taken, len(body) + self.max_bytes, deadline)
            found = undone(bytes(body), names, self.max_bytes)
            _refuse_page(reply, found[:LOOKED_AT])
        except BaseException:
            self.budget.give_back(taken)
            raise
        self.budget.give_back(taken - len(found))
        return found

    def _exchange(self, taken: int, wanted: int, deadline: Deadline) -> int:
        """Release before reserving more, so that downloads cannot deadlock."""
        with deadline.paused():
            self.budget.give_back(taken)
            self.budget.take(wanted)
        return wanted


def first_part(reply: http.client.HTTPResponse, most: int, deadline: Deadline) -> bytes:
    """Return the first decoded bytes of a body, or none if they do not arrive soon."""
    deadline.hurry(PATIENCE_SECONDS)
    try:
        start = reply.read(most)
        return beginning(start, encodings(reply.headers, start), most)
    except (*SLOW_OR_BROKEN, Refused):
        return b""


def _chunks(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it comes; raise Refused if the connection closes before its end."""
    came, announced = 0, reply.length
    try:
        while True:
            chunk = reply.read(CHUNK)
            came += len(chunk)
            # http.client reports a short body only when asked for all of it
            if len(chunk) < CHUNK and reply.length:
                raise Refused("connection_failed", f"closed after {came} of {announced} bytes")
            if not chunk:
                return
            yield chunk
    except http.client.IncompleteRead as error:
        came += len(error.partial)
        detail = f"closed in or before a chunk, after {came} bytes"
        raise Refused("connection_failed", detail) from error


def _refuse_part(reply: http.client.HTTPResponse) -> None:
    """Refuse a partial content that was not asked for."""
    found = RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    if reply.status == http.client.PARTIAL_CONTENT and found:
        first, last, whole = map(int, found.groups())
        if (first, last + 1) != (0, whole):
            raise Refused("http_206", f"a part of it only, {found[0]}")


def _refuse_empty(reply: http.client.HTTPResponse) -> None:
    """Refuse an answer without a body, which may have been cut before or within its head's end."""
    if reply.length is None and not reply.chunked:
        raise Refused("connection_failed", "closed before a length or a body came")
    _refuse_page(reply, b"")


def _refuse_page(reply: http.client.HTTPResponse, start: bytes) -> None:
    """Refuse by its first bytes what is no picture that we read, and say what it is instead.

    A picture is one whatever its content type, as to browsers.
    """
    if not is_picture(start):
        raise Refused("not_an_image", f"{reply.status} {phrase(reply)}, {told(reply, start)}")
