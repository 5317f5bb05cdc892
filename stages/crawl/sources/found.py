"""Find the files at a path: a file, a folder, a glob, or several of these."""

import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from schemas.errors import ConfigError
from stages.crawl.sources.folder_tree import is_local
from stages.crawl.sources.other_kinds import for_another_kind
from stages.crawl.sources.survey import Survey
from stages.storage import JOINT, reaching, system_of

HIDDEN = "hidden files"
TWICE = "files that are read under another name"
EXAMPLES = 5
BRACES = re.compile(r"\{(?:(?P<first>\d+)\.\.(?P<last>\d+)|(?P<some>[^{},]*(?:,[^{},]*)+))\}")


@dataclass(frozen=True)
class FileKind:
    """What files are looked for, by their endings."""

    name: str  # as crawl.source.kind has it
    what: str  # "a tar"
    many: str  # "tars"
    endings: tuple[str, ...]
    suffix_of: Callable[[str], str]
    hidden: tuple[str, ...] = (".",)  # how names begin that are not meant for us
    otherwise: Mapping[str, str] = field(default_factory=dict)  # what to do with other endings
    plain: tuple[str, ...] = ()  # the endings to give a file, if not all of them
    alone: tuple[str, ...] = ()  # endings that count where no other file does


@dataclass(frozen=True)
class _File:
    address: str
    real: str  # the same for all names of a file
    name: str  # below the folder that was named, or the name alone
    meant: bool  # named itself, so that nothing of it is hidden


def found_files(path: str, kind: FileKind) -> tuple[list[str], Survey]:
    """Return the addresses of the files at `path` with one of the endings, and what else is there.

    A path is a file, a folder, a glob (also with `{000..127}` and `{a,b}`), or several of them with
    commas or `::` between, on any store that fsspec knows. Raises ConfigError if there is nothing,
    or nothing with such an ending.
    """
    with reaching(path, "crawl.source.path"):
        every = {file.address: file for part in _parts(path) for file in _at(part, kind)}
    survey = Survey(kind.many)
    files: list[_File] = []
    others: list[_File] = []
    for file in every.values():
        if not file.meant and any(part.startswith(kind.hidden) for part in file.name.split("/")):
            survey.pass_over(HIDDEN, file.name)
        else:
            (files if kind.suffix_of(file.address) in kind.endings else others).append(file)
    alone = [file for file in files if kind.suffix_of(file.address) in kind.alone]
    if len(alone) < len(files):
        about_others = dict.fromkeys(file for file in alone if not file.meant)
        others += about_others
        files = [file for file in files if file not in about_others]
    for file in others:
        survey.pass_over(_other(file.name), file.name)
    files = _once(files, survey)
    survey.found = len(files)
    if not files:
        raise _nothing(path, kind, [file.name for file in others], survey)
    return [file.address for file in files], survey


def _once(files: Sequence[_File], survey: Survey) -> list[_File]:
    """Leave out all names of a file but the first: links to it, and paths written otherwise."""
    first: dict[str, _File] = {}
    for file in files:
        if first.setdefault(file.real, file) is not file:
            survey.pass_over(TWICE, file.name)
    return list(first.values())


def _other(name: str) -> str:
    suffix = PurePosixPath(name.lower()).suffix
    return f"files that end in {suffix}" if suffix else "files without an ending"


def _nothing(path: str, kind: FileKind, others: list[str], survey: Survey) -> ConfigError:
    todo = [
        f"{name}: {kind.otherwise[suffix]}"
        for name in others
        for suffix in [PurePosixPath(name.lower()).suffix]
        if suffix in kind.otherwise
    ]
    advice = "; ".join(todo[:EXAMPLES]) or "give the file one of these endings"
    hidden = survey.passed[HIDDEN]
    if instead := for_another_kind(others, kind.name):
        advice = instead
    elif hidden and not others:
        begins = " or ".join(kind.hidden)
        advice = f"rename it, or its folder, so that no name begins with {begins}"
    aside = f" but {hidden} hidden ones" if hidden else ""
    return ConfigError(
        f"wanted {kind.what} at '{path}', found none{aside} that ends in "
        f"{', '.join(kind.plain or kind.endings)}; {advice}"
    )


def _parts(path: str) -> Iterator[str]:
    """Cut at commas and `::`, but not in a name that is there, nor between braces."""
    parts = path.split(",")
    while parts:
        starts = [",".join(parts[:n]).strip() for n in range(1, len(parts) + 1)]
        if found := next(filter(_exists, reversed(starts)), None):
            yield found
        else:
            found = next((one for one in starts if one.count("{") == one.count("}")), starts[0])
            for part in _joined(found):
                yield from _written_out(part)
        parts = parts[starts.index(found) + 1 :]


def _joined(path: str) -> Iterator[str]:
    """Cut at `::`, with which WebDataset joins paths, but not in a name that is there."""
    parts = path.split(JOINT)
    while parts:
        ends = range(len(parts), 0, -1)
        taken = next((n for n in ends if _is_there(JOINT.join(parts[:n]))), 1)
        yield JOINT.join(parts[:taken]).strip()
        parts = parts[taken:]


def _is_there(path: str) -> bool:
    system, inner = system_of(path)
    return _exists(path) or (glob.has_magic(inner) and bool(system.glob(inner)))


def _exists(path: str) -> bool:
    system, inner = system_of(path)
    return bool(path) and bool(system.exists(inner))


def _written_out(path: str) -> Iterator[str]:
    """Yield the paths that `{a,b}` and `{000..127}` stand for, as a shell or WebDataset has it."""
    match = BRACES.search(path)
    if match is None:
        yield path
        return
    if match["first"] is None:
        middle: Iterator[str] = iter(match["some"].split(","))
    else:
        numbers = range(int(match["first"]), int(match["last"]) + 1)
        middle = (f"{number:0{len(match['first'])}d}" for number in numbers)
    for one in middle:
        yield from _written_out(path[: match.start()] + one + path[match.end() :])


def _at(path: str, kind: FileKind) -> list[_File]:
    system, inner = system_of(path)
    if path and system.isdir(inner):
        below = inner.rstrip("/") + "/"
        found = [(name, name.removeprefix(below), False) for name in system.find(inner)]
    elif path and system.exists(inner):
        found = [(inner, PurePosixPath(inner).name, True)]
    else:
        matches = system.glob(inner) if glob.has_magic(inner) else []
        found = [(name, PurePosixPath(name).name, False) for name in _files(system, matches)]
    if not path or not found:
        raise ConfigError(
            f"wanted {kind.what} at crawl.source.path, found nothing at '{path}'; "
            "set crawl.source.path to a file, a folder or a glob"
        )
    real = os.path.realpath if is_local(system) else str
    return [
        _File(system.unstrip_protocol(file), real(file), name, meant)
        for file, name, meant in sorted(found)
    ]


def _files(system: Any, matches: list[str]) -> list[str]:
    """Leave folders out, but those whose files a list is made of, such as Spark's x.parquet."""
    return [
        file
        for match in matches
        for file in (system.find(match) if system.isdir(match) else [match])
    ]
