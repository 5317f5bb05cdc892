"""Turn the messages of urllib, OpenCV and our own opener into a few words that can be counted."""

import re

# The first pattern that matches names the reason.
PATTERNS: tuple[tuple[str, str], ...] = (
    (
        r"^(bad_url|forbidden_address|not_an_image|too_large|missing_file|unreadable_row): ",
        r"\1",
    ),
    (r"X-Robots-Tag", "opted_out"),
    (r"infinite loop", "too_many_redirects"),
    (r"^HTTP Error (\d+)", r"http_\1"),
    (r"timed out|timeout", "timeout"),
    (r"unknown url type|no host given|control characters|nonnumeric port|Invalid IPv6", "bad_url"),
    (r"PIXELS", "too_large"),  # OpenCV's own cap
    (r"(?i)decod|imread|opencv", "not_an_image"),
)


def reason_of(message: str) -> str:
    """Name why a picture could not be had; what nothing else explains is `connection_failed`."""
    for pattern, reason in PATTERNS:
        if match := re.search(pattern, message):
            return match.expand(reason)
    return "connection_failed"
