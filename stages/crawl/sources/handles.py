"""Names of files in tables: a file system's name may hold bytes that are no UTF-8."""

import urllib.parse

ESCAPED = "/"  # begins no name in a folder


def handle(name: str) -> str:
    """Return the name as a reader is to be given it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ESCAPED + urllib.parse.quote(name, errors="surrogateescape")
    return name


def name_of(given: str) -> str:
    """Undo `handle`."""
    if not given.startswith(ESCAPED):
        return given
    return urllib.parse.unquote(given.removeprefix(ESCAPED), errors="surrogateescape")


def shown(name: str) -> str:
    """Return the name for people, with escapes for what is no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
