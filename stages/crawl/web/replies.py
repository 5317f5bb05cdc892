"""Parse HTTP responses, and describe them in error messages.

Python's client takes an interim answer for the last one, waits for the end of a chunk that is -1
bytes long, and knows one transfer coding only.
"""

import http.client
import re
from http import HTTPStatus

from stages.crawl.reasons import printable
from stages.crawl.web.first_bytes import words
from stages.pictures.kinds import unread

MAX_INTERIM = 16  # answers before the one that counts


class Reply(http.client.HTTPResponse):
    """What http.client hands out, with the gaps that servers find closed."""

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line of the final answer, past 100, 102, 103 and the like."""
        for _ in range(MAX_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INTERIM} interim answers (1xx)")

    def begin(self) -> None:
        """Read the head; `gzip, chunked` is chunked too."""
        super().begin()
        if re.search(r",\s*chunked\s*$", self.headers.get("Transfer-Encoding", ""), re.IGNORECASE):
            self.chunked, self.chunk_left, self.length = True, None, None

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise ValueError(f"a chunk of {size} bytes")
        return size


def phrase(reply: http.client.HTTPResponse) -> str:
    """Return what the status line says in words."""
    return reply.reason or http.client.responses.get(reply.status, "a status without a name")


def what_came(reply: http.client.HTTPResponse, start: bytes) -> str:
    """Say what kind of body an answer has, and how it begins."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    parts = [kind or "no content type"]
    for name in ("Content-Encoding", "Refresh"):
        parts += [f"{name}: {value}" for value in reply.headers.get_all(name, [])]
    head = ", ".join(printable(part, 100) for part in parts)
    if not start:
        return f"{head}: an empty answer"
    if first := words(start):
        return f"{head}: '{first}'"
    return f"{head}: {unread(start) or 'bytes ' + start[:12].hex(' ')}"
