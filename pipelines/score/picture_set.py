"""Pictures that are handed in: a folder of files, Parquet files with them inside, or a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.score.run_places import drawings_of, held_out_of
from schemas.errors import ConfigError
from stages.data.parquet import CANDIDATE_COLUMNS, picture_column, picture_names
from stages.pictures import SUFFIXES
from stages.storage import reaching, system_of

PARQUET = ".parquet"
REFERENCE = "--reference"
SCORES = ("score", "clip_score")  # columns


class PictureSet(Protocol):
    """Pictures in a fixed order, read one at a time."""

    @property
    def name(self) -> str:
        """The last part of the address: what the set is called in results."""

    @property
    def flag(self) -> str:
        """The flag of the command line that named the set."""

    @property
    def names(self) -> Sequence[str]:
        """The pictures' names, in the order in which they are read fastest."""

    def read(self, name: str) -> bytes:
        """Return the file of a picture; nothing for one that cannot be opened."""


@dataclass(frozen=True)
class FolderPictures:
    """Files with a picture's ending, at any depth; their names are paths below the folder."""

    name: str
    flag: str
    names: Sequence[str]
    system: Any
    top: str

    def read(self, name: str) -> bytes:
        try:
            return bytes(self.system.cat_file(f"{self.top}/{name}"))
        except (FileNotFoundError, PermissionError):  # a dangling link, or somebody else's file
            return b""


@dataclass
class TablePictures:
    """Rows of Parquet files; one row group is held in memory."""

    name: str
    flag: str
    system: Any
    places: dict[str, tuple[str, int, int]] = field(default_factory=dict)  # file, group, row in it
    columns: dict[str, str] = field(default_factory=dict)  # by file
    scores: dict[str, float] = field(default_factory=dict)  # by name, where the table has them
    prompts: dict[str, str] = field(default_factory=dict)  # by name, of a run's samples
    held: tuple[tuple[str, int], list[Any]] = field(default=(("", -1), []))

    @property
    def names(self) -> Sequence[str]:
        return list(self.places)

    def read(self, name: str) -> bytes:
        file, group, row = self.places[name]
        if self.held[0] != (file, group):
            with self.system.open(file, "rb") as opened, pq.ParquetFile(opened) as parquet:
                column = parquet.read_row_group(group, [self.columns[file]], use_threads=False)
            self.held = ((file, group), column[0].to_pylist())
        value = self.held[1][row]
        return bytes((value.get("bytes") if isinstance(value, dict) else value) or b"")


def open_pictures(address: str, flag: str) -> PictureSet:
    """Find the pictures at a path or fsspec address; raise ConfigError if there are none.

    Of a run they are its drawings, and its validation pictures as a reference.
    """
    place = held_out_of(address) if flag == REFERENCE else drawings_of(address)
    name = PurePosixPath(address).name
    with reaching(place, flag):
        system, top = system_of(place)
        listed = sorted(system.find(top))
        pictures = [file for file in listed if file.lower().endswith(SUFFIXES)]
        if pictures:
            below = [file.removeprefix(top).lstrip("/") for file in pictures]
            return FolderPictures(name, flag, below, system, top)
        if tables := [file for file in listed if file.endswith(PARQUET)]:
            found = TablePictures(name, flag, system)
            for file in tables:
                _add_table(found, file)
            return found
    raise ConfigError(
        f"{flag}: wanted pictures ({', '.join(SUFFIXES)}) or Parquet files of them at '{address}', "
        "found none; give the folder that holds them"
    )


def in_reading_order(source: PictureSet, names: Iterable[str]) -> list[str]:
    """Return names of a set as they lie in it, for a table is slow to read in any other order."""
    place = {name: number for number, name in enumerate(source.names)}
    return sorted(names, key=place.__getitem__)


def _add_table(found: TablePictures, file: str) -> None:
    try:
        with found.system.open(file, "rb") as opened, pq.ParquetFile(opened) as parquet:
            found.columns[file] = picture_column(parquet.schema_arrow, file)
            for group in range(parquet.num_row_groups):
                names = picture_names(parquet, group, file)
                found.places.update({n: (file, group, row) for row, n in enumerate(names)})
                scores = _column(parquet, group, SCORES)
                if set(CANDIDATE_COLUMNS) <= set(parquet.schema_arrow.names):
                    prompts = _column(parquet, group, ("prompt",))
                    found.prompts.update(zip(names, prompts, strict=False))
                    # whatever the run ranked by
                    scores = [-rank for rank in _column(parquet, group, ("rank",))] or scores
                found.scores.update(zip(names, scores, strict=False))
    except pa.ArrowException as error:
        raise ConfigError(
            f"{found.flag}: wanted a Parquet file of pictures at '{file}', found one that cannot "
            f"be read ({str(error).splitlines()[0]}); replace it"
        ) from error


def _column(parquet: pq.ParquetFile, group: int, called: Sequence[str]) -> list[Any]:
    """Return the first of these columns that a table has; nothing if it has none."""
    for column in called:
        if column in parquet.schema_arrow.names:
            return parquet.read_row_group(group, [column])[0].to_pylist()
    return []
