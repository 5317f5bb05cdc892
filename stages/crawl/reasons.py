"""The reasons why a picture could not be fetched, and which of them are temporary.

Our own opener names its reasons; the words of img2dataset, urllib and OpenCV are read from their
messages.
"""

import http.client
import re
import socket
import ssl

from schemas.errors import worded

OWN = (
    "bad_url",  # no address of the web: another scheme, no host, letters that cannot be
    "forbidden_address",  # not on the public internet, also at the end of a redirect
    "host_unknown",  # there is no such name
    "connection_failed",  # refused, reset, cut off, or the look-up of the name failed for now
    "tls_failed",  # a certificate that is not to be trusted, or no common language
    "timeout",
    "too_many_redirects",
    "robots_txt",  # the site's robots.txt asks us to stay away
    "robots_unreachable",  # the site answers, but with an error in place of its robots.txt
    "opted_out",  # by a header of the picture itself
    "not_an_image",
    "bad_encoding",  # a Content-Encoding that cannot be undone
    "truncated",  # a picture file whose end is missing, and pixels with it
    "too_large",  # in bytes or in pixels
    "missing_file",  # of a folder or a tar: also a caption without its picture
    "link_outside",  # a link out of the folder
    "outside_folder",  # a name in metadata that leads out of it
    "unreadable_row",  # of the list
    "quarantined",  # its shard killed three workers
)
# The server, not the request, was at fault: worth another try, now or in a second pass.
HEALING = frozenset(
    {"timeout", "connection_failed", "robots_unreachable", "quarantined"}
    | {f"http_{status}" for status in (408, 429, 500, 502, 503, 504)}
)

# The first pattern that matches names the reason.
PATTERNS: tuple[tuple[str, str], ...] = (
    (rf"^({'|'.join(OWN)}|http_\d+): ", r"\1"),
    (r"unknown url type|no host given|control characters|nonnumeric port|Invalid IPv6", "bad_url"),
    (r"netloc|IPv6 address|port out of range", "bad_url"),
    (r"PIXELS", "too_large"),  # OpenCV's own cap
    (r"(?i)decod|imread|opencv", "not_an_image"),
)


MOST = 400  # characters of a detail: some of it is what strangers say


def printable(text: str, most: int = MOST) -> str:
    """Return a text on one line, of letters that a terminal can show, and not for ever."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * most])
    one_line = " ".join(shown.split())
    return one_line if len(one_line) <= most else f"{one_line[:most].rstrip()}..."


class Refused(Exception):
    """We do not have this picture; the text is `reason: detail`. Not an OSError, on purpose.

    `wait` is after how many seconds the server wants to be asked again, if it said so; `again`
    says that another try at once could do better.
    """

    def __init__(
        self, reason: str, detail: str, *, wait: float | None = None, again: bool = True
    ) -> None:
        super().__init__(f"{reason}: {printable(detail)}")
        self.reason, self.wait, self.again = reason, wait, again and reason in HEALING


def reason_of(message: str) -> str:
    """Name why a picture could not be had; what nothing else explains is `connection_failed`."""
    for pattern, reason in PATTERNS:
        if match := re.search(pattern, message):
            return match.expand(reason)
    return "connection_failed"


def refusal(error: Exception) -> Refused:
    """Give an error of sockets, TLS, HTTP or text encodings its reason."""
    detail = worded(error)
    match error:
        case Refused():
            return error
        case TimeoutError():
            return Refused("timeout", detail)
        case socket.gaierror() if error.errno != socket.EAI_AGAIN:
            return Refused("host_unknown", detail)
        case ssl.SSLEOFError():  # cut off, like any other connection
            return Refused("connection_failed", detail)
        case ssl.SSLError():
            return Refused("tls_failed", detail)
        case http.client.InvalidURL():
            return Refused("bad_url", detail)
        case OSError() | http.client.HTTPException():
            return Refused("connection_failed", detail)
        case _:
            return Refused("bad_url", detail)
