"""Reference pictures that the training set may have: a list of their names, left out of numbers."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.score.caption_files import TABLES, column, read_file, stem, table_rows
from pipelines.score.problems import Problem, problem
from pipelines.score.score_file import Overlap
from schemas.errors import ConfigError
from stages.data.parquet import NAME_COLUMNS
from stages.storage import text_lines

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
    listed = _listed(address)
    by_name: dict[str, list[str]] = {}
    for name in names:
        for called in {stem(name), Path(name).name, stem(Path(name).name)}:
            by_name.setdefault(called, []).append(name)
    by_name |= {name: [name] for name in names}
    found = frozenset(name for one in listed for name in by_name.get(one, ()))
    record = Overlap(
        name=Path(address).name,
        sha256=hashlib.sha256("".join(f"{one}\n" for one in sorted(listed)).encode()).hexdigest(),
        listed=len(listed),
        found=len(found),
    )
    foreign = problem("foreign_overlap", (one for one in listed if one not in by_name))
    return LeftOut(found, record, foreign)


def _listed(address: str) -> list[str]:
    if address.endswith(TABLES):
        rows = table_rows(address, "--overlap")
        named = column(rows, NAME_COLUMNS, address, "--overlap") if rows else ""
        found = [str(row[named]) for row in rows]
    else:
        lines = (line.strip() for line in _text(address))
        found = [line for line in lines if line and not line.startswith(COMMENT)]
    if not found:
        raise ConfigError(
            f"--overlap: wanted names of reference pictures in '{address}', found none; leave it "
            "out if there are no overlaps"
        )
    return list(dict.fromkeys(found))


def _text(address: str) -> list[str]:
    try:
        return text_lines(read_file(address, "--overlap"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"--overlap: wanted a list of reference pictures at '{address}', found {error}; give a "
            "file with one name a line"
        ) from error
