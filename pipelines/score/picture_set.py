"""Pictures that are handed in: a folder of files, or Parquet files that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ConfigError
from stages.data.parquet import picture_column, picture_names
from stages.pictures import SUFFIXES
from stages.storage import reaching, system_of

PARQUET = ".parquet"
SCORE = ("score", "clip_score")


class PictureSet(Protocol):
    """MeasuredSystem pictures in a fixed order, read one at a time."""

    @property
    def name(self) -> str:
        """The last part of the address: what the set is called in results."""

    @property
    def names(self) -> Sequence[str]:
        """The pictures' names, sorted."""

    def read(self, name: str) -> bytes:
        """Return the file of a picture."""


@dataclass(frozen=True)
class FolderPictures:
    """Files with a picture's ending, at any depth; their names are paths below the folder."""

    name: str
    names: Sequence[str]
    system: Any
    top: str

    def read(self, name: str) -> bytes:
        return bytes(self.system.cat_file(f"{self.top}/{name}"))


@dataclass
class TablePictures:
    """Rows of Parquet files; one row group is held in memory."""

    name: str
    names: Sequence[str]
    system: Any
    places: dict[str, tuple[str, int, int]]  # file, row group, row in it
    columns: dict[str, str]  # by file
    scores: dict[str, float]  # by name, where the table has them
    held: tuple[tuple[str, int], list[Any]] = field(default=(("", -1), []))

    def read(self, name: str) -> bytes:
        file, group, row = self.places[name]
        if self.held[0] != (file, group):
            with self.system.open(file, "rb") as opened, pq.ParquetFile(opened) as parquet:
                column = parquet.read_row_group(group, [self.columns[file]], use_threads=False)
            self.held = ((file, group), column[0].to_pylist())
        value = self.held[1][row]
        return bytes((value.get("bytes") if isinstance(value, dict) else value) or b"")


def open_pictures(address: str, flag: str) -> PictureSet:
    """Find the pictures at a path or fsspec address; raise ConfigError if there are none."""
    with reaching(address, flag):
        system, top = system_of(address)
        listed = sorted(system.find(top))
        name = PurePosixPath(top).name
        pictures = [file for file in listed if file.lower().endswith(SUFFIXES)]
        if pictures:
            below = [file.removeprefix(top).lstrip("/") for file in pictures]
            return FolderPictures(name, below, system, top)
        tables = [file for file in listed if file.endswith(PARQUET)]
        if tables:
            return _of_tables(name, system, tables)
    raise ConfigError(
        f"{flag}: wanted pictures ({', '.join(SUFFIXES)}) or Parquet files of them at '{address}', "
        "found none; give the folder that holds them"
    )


def _of_tables(name: str, system: Any, files: Sequence[str]) -> TablePictures:
    places: dict[str, tuple[str, int, int]] = {}
    columns: dict[str, str] = {}
    scores: dict[str, float] = {}
    for file in files:
        with system.open(file, "rb") as opened:
            try:
                with pq.ParquetFile(opened) as parquet:
                    columns[file] = picture_column(parquet.schema_arrow, file)
                    for group in range(parquet.num_row_groups):
                        names = picture_names(parquet, group, file)
                        places.update({n: (file, group, row) for row, n in enumerate(names)})
                        scores.update(zip(names, _scores(parquet, group), strict=False))
            except pa.ArrowException as error:
                raise ConfigError(
                    f"wanted a Parquet file of pictures at '{file}', found one that cannot be read "
                    f"({str(error).splitlines()[0]}); replace it"
                ) from error
    return TablePictures(name, list(places), system, places, columns, scores)


def _scores(parquet: pq.ParquetFile, group: int) -> list[float]:
    """Return the scores of a row group's pictures; none if the table has none."""
    for column in SCORE:
        if column in parquet.schema_arrow.names:
            return parquet.read_row_group(group, [column])[0].to_pylist()
    return []
