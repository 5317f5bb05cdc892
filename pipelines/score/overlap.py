"""Reference pictures that the training set may have: a list of their names, left out of numbers."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.score.caption_files import TABLES, column, read_rows, stem
from pipelines.score.problems import Problem, problem
from pipelines.score.score_file import Overlap
from schemas.errors import ConfigError
from stages.data.parquet import NAME_COLUMNS

COMMENT = "#"


class LeftOut(NamedTuple):
    """The reference pictures that a list names."""

    names: frozenset[str]
    record: Overlap
    problems: list[Problem]


def read_overlap(address: str, names: Sequence[str]) -> LeftOut:
    """Find the pictures of a list: one name a line, or a table with a column of them.

    A name may be a path below the reference or a file's name, with its ending or without. Raises
    ConfigError if the list cannot be read or names nothing.
    """
    path = Path(address)
    listed = _listed(path)
    by_name: dict[str, list[str]] = {}
    for name in names:
        for called in {name, stem(name), Path(name).name, stem(Path(name).name)}:
            by_name.setdefault(called, []).append(name)
    found = frozenset(name for one in listed for name in by_name.get(one, ()))
    record = Overlap(
        name=path.name,
        sha256=hashlib.sha256("".join(f"{one}\n" for one in sorted(listed)).encode()).hexdigest(),
        listed=len(listed),
        found=len(found),
    )
    foreign = problem("foreign_overlap", (one for one in listed if one not in by_name))
    return LeftOut(found, record, foreign)


def _listed(path: Path) -> list[str]:
    try:
        if path.suffix in TABLES:
            rows = read_rows(path, "--overlap")
            named = column(rows, NAME_COLUMNS, path, "--overlap")
            found = [str(row[named]) for row in rows]
        else:
            lines = (line.strip() for line in path.read_text("utf-8").splitlines())
            found = [line for line in lines if line and not line.startswith(COMMENT)]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--overlap: wanted a list of reference pictures at '{path}', found {error}; give a "
            "file with one name a line"
        ) from error
    if not found:
        raise ConfigError(
            f"--overlap: wanted names of reference pictures in '{path}', found none; leave it out "
            "if there are no overlaps"
        )
    return list(dict.fromkeys(found))
