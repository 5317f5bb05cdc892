"""What people write for a place, made into one form: an absolute path, or scheme://bucket/path."""

import re
from pathlib import Path

from schemas.errors import ConfigError

FILE = re.compile(r"file:(//(localhost)?(?=/))?(?!//)", re.IGNORECASE)
SLIPPED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)(.*)", re.DOTALL)  # as Path() leaves it
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
ODD = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and bytes that are no text
STORES = "such as s3://bucket/run"


def is_remote(text: str) -> bool:
    """Say whether the text is an address on an object store, in the form that `normal` returns."""
    return "://" in text


def normal(text: str, *, name: str = "the address") -> str:
    """Return a place in its one form; a path stays relative, `~` is the home of who runs this.

    Raises ConfigError for what is neither a path nor an address; `name` says who asks.
    """
    if not text.strip():
        raise ConfigError(f"{name} wants a path or an address {STORES}, found nothing; give one")
    if (odd := ODD.search(text)) is not None:
        raise ConfigError(f"{name} wants a path, found {text!r} with {odd[0]!r} in it; take it out")
    if (file := FILE.match(text)) is not None:
        return _path(text[file.end() :], name)
    if "://" in text:
        return _address(text, name)
    if (slipped := SLIPPED.fullmatch(text)) is not None:
        raise ConfigError(
            f"{name} wants a path or an address {STORES}, found '{text}'; write "
            f"{slipped[1].lower()}://{slipped[2]}"
        )
    if DRIVE.match(text):
        raise ConfigError(
            f"{name} wants a path of this machine, found '{text}', which is one of Windows; "
            "in WSL write /mnt/c/... for C:\\..."
        )
    return _path(text, name)


def _address(text: str, name: str) -> str:
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme == "file":
        raise ConfigError(
            f"{name} wants file:///path or a path of this machine, found '{text}', which names "
            "another machine; mount its folder here"
        )
    if scheme == "memory" or "::" in scheme:
        raise ConfigError(
            f"{name} wants a path or an address {STORES}, found '{text}', which only this process "
            "would see; workers are others"
        )
    if not rest.strip("/") or rest.startswith("/"):
        raise ConfigError(
            f"{name} wants {scheme}://bucket/path, found '{text}' without a bucket; name it"
        )
    return f"{scheme}://{rest.rstrip('/')}"


def _path(text: str, name: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:  # no such user, or no home
        raise ConfigError(f"{name} wants a path, found '{text}': {error}; write it out") from None
