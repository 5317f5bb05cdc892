"""Read opt-outs from a picture's headers: X-Robots-Tag and TDMRep."""

import re
from email.message import Message

OPT_OUT = {"noai", "noimageai", "noml", "noindex", "noimageindex", "none"}
VALUED = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}


def opts_out(headers: Message, agent: str) -> str | None:
    """Return the header by which the picture's owner asks `agent` not to use it, or None."""
    for value in headers.get_all("X-Robots-Tag", []):
        if found := _directives(value, agent.lower()) & OPT_OUT:
            return f"X-Robots-Tag: {', '.join(sorted(found))}"
    for value in headers.get_all("tdm-reservation", []):
        if value.strip() == "1":
            return "tdm-reservation: 1"
    return None


def _directives(value: str, agent: str) -> set[str]:
    """Return the directives that are meant for all robots or for `agent`.

    The name of a robot before a colon holds for what follows it, up to the next such name.
    """
    meant, found = True, set()
    for part in value.lower().split(","):
        name, colon, rest = (text.strip() for text in part.partition(":"))
        if colon and name not in VALUED and re.fullmatch(r"[\w.*/-]+", name):
            meant, name = name in ("*", agent), rest
        if meant:
            found.add(name)
    return found
