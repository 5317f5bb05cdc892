"""Walk a folder, on this machine or on an object store, and note unreadable files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError
from schemas.settings import SourceSettings
from stages.crawl.sources import links
from stages.crawl.sources.file_names import folder_to_pass_over, for_another_kind
from stages.storage import reaching, system_of
from stages.threads import in_threads

DEVICES = "pipes, sockets and devices"
FOLDER_LINKS = "links to folders of the source, which are read where they lie"
BLOBS = "blobs of a hub's cache, which are read through its snapshots"


@dataclass
class Tree:
    """Names of files relative to the folder `top`, sorted: the same on every file system."""

    system: Any
    top: str
    files: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)  # of some: `reason: detail`
    passed: list[tuple[str, str]] = field(default_factory=list)  # why, and the name

    def address(self, name: str) -> str:
        """Return where a file is, in fsspec's words."""
        return self.system.unstrip_protocol(f"{self.top}/{name}")


def is_local(system: Any) -> bool:
    """Return whether files are on this machine, where there are links."""
    return "file" in system.protocol


def read_tree(source: SourceSettings) -> Tree:
    """List the folder; raise ConfigError if there is none that can be read."""
    with reaching(source.path, "crawl.source.path"):
        system, top = system_of(source.path)
        if not source.path or not system.isdir(top):
            found = "a file" if source.path and system.exists(top) else "none"
            instead = for_another_kind([source.path], source.kind)
            raise ConfigError(
                f"wanted a folder of pictures at crawl.source.path, found {found} at "
                f"'{source.path}'; {instead or 'set crawl.source.path to a folder'}"
            )
        tree = Tree(system, top.rstrip("/"))
        if is_local(system):
            _walk(tree)
        else:
            tree.files = [name.removeprefix(tree.top + "/") for name in system.find(top)]
        _leave_out(tree)
    tree.files.sort()
    return tree


def _leave_out(tree: Tree) -> None:
    """Take out what lies in folders that are passed over; each counts once."""
    folders: dict[tuple[str, str], None] = {}
    kept = []
    for name in tree.files:
        if found := folder_to_pass_over(name):
            folders[found] = None
        elif not name.endswith("/"):
            kept.append(name)
    tree.files = kept
    tree.passed += [(why, name) for name, why in folders]
    tree.passed.sort()


def _walk(tree: Tree) -> None:
    """List a folder on this machine; a folder that is passed over is not entered."""
    top = tree.top or "/"
    allowed = links.roots(Path(top))

    def not_listed(error: OSError) -> None:
        name = os.path.relpath(error.filename, top)
        if name == ".":
            raise ConfigError(
                f"wanted to list the folder at crawl.source.path, found {error}; "
                "let this user read it"
            ) from error
        tree.files.append(name)
        tree.problems[name] = f"{links.MISSING}: a folder that cannot be listed ({error.strerror})"

    for parent, folders, files in os.walk(top, onerror=not_listed):
        inner = f"{parent.removeprefix(top).strip('/')}/".lstrip("/")
        is_of_hub = {links.SNAPSHOTS, links.BLOBS} <= {*folders, *files}
        for base in list(folders):
            if os.path.islink(path := f"{parent}/{base}"):
                _add(tree, inner + base, Path(path), allowed)
            elif is_of_hub and base == links.BLOBS:
                tree.passed.append((BLOBS, f"{inner}{base}/"))
                folders.remove(base)
            elif folder_to_pass_over(f"{inner}{base}/"):
                tree.files.append(f"{inner}{base}/")
                folders.remove(base)
        for base in files:
            _add(tree, inner + base, Path(parent, base), allowed)


def _add(tree: Tree, name: str, path: Path, allowed: list[Path]) -> None:
    is_link = path.is_symlink()
    if is_link and (problem := links.problem_of_link(path, allowed)):
        tree.files.append(name)
        tree.problems[name] = problem
    elif is_link and path.is_dir():
        tree.passed.append((FOLDER_LINKS, name))
    elif links.is_plain_file(path):
        tree.files.append(name)
    else:
        tree.passed.append((DEVICES, name))


def heads(tree: Tree, names: Sequence[str], size: int) -> list[bytes]:
    """Return the first bytes of some files; none of what cannot be read."""

    def head(name: str) -> bytes:
        try:
            return tree.system.cat_file(f"{tree.top}/{name}", start=0, end=size)
        except OSError:
            return b""

    return list(in_threads(head, names))
