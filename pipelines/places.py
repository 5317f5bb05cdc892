"""Make settings that are paths absolute: relative to where the command was called."""

import glob
import os
import re
from pathlib import Path
from typing import Any

import fsspec

from infra.paths import is_remote, normal
from schemas.settings import Input, Settings, leaves
from stages.crawl.sources import source_of
from stages.storage import JOINT

COMMA = re.compile(r",(?![^{]*\})")  # none of those in {a,b}


def make_absolute(tree: dict[str, Any], folder: Path) -> None:
    """Make every path among the settings absolute: relative to `folder`, `~` is one's home."""
    for path, field, _ in leaves():
        for mark in (m for m in field.metadata if isinstance(m, Input)):
            *parents, leaf = path.split(".")
            node = tree
            for name in parents:
                node = node[name]
            node[leaf] = _made_absolute(node[leaf], mark, folder, path)


def _made_absolute(value: Any, mark: Input, folder: Path, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_made_absolute(part, mark, folder, name) for part in value]
    if not isinstance(value, str) or not value.strip():
        return value
    if mark.or_name and not _is_path(value, folder):
        return value
    return _several(value, folder, name) if mark.commas else absolute(value, folder, name)


def _several(value: str, folder: Path, name: str) -> str:
    """Take a path, or several with commas or `::` between, as the crawl does."""
    if (folder / value).exists():
        return absolute(value, folder, name)
    if "," in value and "," in str(folder):
        return value  # the folder's own commas would split it
    return ",".join(_joined(part.strip(), folder, name) for part in COMMA.split(value))


def _joined(value: str, folder: Path, name: str) -> str:
    """Take a path, or several with `::` between, unless that makes an address of a storage."""
    first, *others = parts = value.split(JOINT)
    if others and (is_remote(first) or first in fsspec.available_protocols()):
        return value
    return JOINT.join(absolute(part.strip(), folder, name) for part in parts)


def absolute(value: str, folder: Path, name: str) -> str:
    """Make one path absolute; an object-store address stays. Raises ConfigError if malformed."""
    if is_remote(value) and not value.lower().startswith("file:"):
        return value
    place = normal(value, name=name)
    if os.path.isabs(place):
        return place
    above = glob.escape(str(folder)) if glob.has_magic(place) else folder
    return str(Path(above) / place)


def _is_path(value: str, folder: Path) -> bool:
    """Whether a value that may be a name on a hub is a folder here."""
    return value.startswith((".", "/", "~", "file:")) or (folder / value).exists()


def of_workers(settings: Settings) -> list[str]:
    """List the local paths that workers on all machines read."""
    named = [
        *source_of(settings.crawl.source).paths_of_workers(),
        settings.crawl.earlier,
        settings.measure.clip,
        *settings.filter.decontaminate,
    ]
    # What is not there is read by the driver, which says so.
    return [place for place in named if os.path.isabs(place) and os.path.exists(place)]
