"""Normalise what people write for a place: a path, or an address scheme://bucket/path."""

import re
from pathlib import Path

from schemas.errors import ConfigError

FILE = re.compile(r"file:(//(localhost)?(?=/))?(?!//)", re.IGNORECASE)
SLIPPED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)(.*)", re.DOTALL)  # as Path() leaves it
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
ODD = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and bytes that are no text
STORES = "such as s3://bucket/run"


def is_remote(text: str) -> bool:
    """Whether a place that `normal` returned is on an object store."""
    return "://" in text


def normal(text: str, *, name: str = "the address") -> str:
    """Normalise a place: file:// and `~` become paths, and a relative path stays relative.

    Raises ConfigError, which begins with `name`, for what is neither a path nor an address.
    """
    if not text.strip():
        raise ConfigError(f"{name} must be a path or an address {STORES}, found nothing; give one")
    if (odd := ODD.search(text)) is not None:
        raise ConfigError(f"{name} must be a path, found {text!r}; remove the {odd[0]!r} from it")
    if (file := FILE.match(text)) is not None:
        return _path(text[file.end() :], name)
    if "://" in text:
        return _address(text, name)
    if (slipped := SLIPPED.fullmatch(text)) is not None:
        raise ConfigError(
            f"{name} must be a path or an address {STORES}, found '{text}'; write "
            f"{slipped[1].lower()}://{slipped[2]}"
        )
    if DRIVE.match(text):
        raise ConfigError(
            f"{name} must be a path of this machine, found '{text}', a Windows path; "
            "in WSL write /mnt/c/... for C:\\..."
        )
    return _path(text, name)


def _address(text: str, name: str) -> str:
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme == "file":
        raise ConfigError(
            f"{name} must be file:///path or a path of this machine, found '{text}' on another "
            "machine; mount its folder here"
        )
    if scheme == "memory" or "::" in scheme:
        raise ConfigError(
            f"{name} must be a path or an address {STORES}, found '{text}', which exists in one "
            "process only and not in its workers"
        )
    if not rest.strip("/") or rest.startswith("/"):
        raise ConfigError(
            f"{name} must be {scheme}://bucket/path, found '{text}' without a bucket; name it"
        )
    return f"{scheme}://{rest.rstrip('/')}"


def _path(text: str, name: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:  # no such user, or no home
        raise ConfigError(f"{name} must be a path, found '{text}': {error}; write it out") from None
