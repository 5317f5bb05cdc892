"""Url lists in Parquet, CSV, TSV and JSON, plain or packed; and the list of the demo's world."""

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import PurePosixPath

from stages.crawl.sources.found import FileKind, found_files
from stages.crawl.sources.listed import Row
from stages.crawl.sources.parquet_lists import PARQUET, packed_rows, rows_in
from stages.crawl.sources.source import Source
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.text_lists import TEXT_SUFFIXES, read_text_list, suffix_of
from stages.threads import in_threads

NO_ROWS = "lists without rows"
AS_CSV, AS_PARQUET = "save the table as CSV", "write it as Parquet"
LISTS = FileKind(
    "urls",
    "a url list",
    "url lists",
    (PARQUET, *TEXT_SUFFIXES),
    suffix_of,
    hidden=(".", "_"),  # as Spark and Delta name what is none of the table's parts
    otherwise={
        ".txt": "a list needs captions too, so write a CSV with the columns url and caption",
        **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers", ".db", ".sqlite"), AS_CSV),
        **dict.fromkeys((".arrow", ".feather", ".orc", ".avro", ".pkl", ".npy"), AS_PARQUET),
        **dict.fromkeys((".pq", ".parq"), f"give it the ending {PARQUET}"),
        **dict.fromkeys((".zst", ".lz4", ".zip", ".7z", ".rar"), "unpack it, or pack it with gzip"),
    },
    alone=(".json",),  # beside others it tells of them
)


class UrlLists(Source):
    """Lists of addresses on the web."""

    wants = "url lists, such as --set crawl.source.path=list.parquet"

    @cached_property
    def found(self) -> tuple[list[str], Survey]:
        """The addresses of the lists in order, and what else is there."""
        return found_files(self.settings.path, LISTS)

    def files(self) -> list[tuple[str, str | None]]:
        return [(file.rpartition("/")[2], file) for file in self.found[0]]

    def parquet_lists(self, survey: Survey) -> list[tuple[str, int]]:
        """Return the lists with their row counts if all are Parquet files."""
        files = self.found[0]
        if not all(file.lower().endswith(PARQUET) for file in files):
            return []
        survey.add(self.found[1])
        sizes = list(in_threads(partial(rows_in, source=self.settings), files))
        for file, size in zip(files, sizes, strict=True):
            if not size:
                survey.take_back(NO_ROWS, PurePosixPath(file).name)
        return list(zip(files, sizes, strict=True))

    def picture_count(self) -> int | None:
        """Return the number of rows if all lists are Parquet files, which say it."""
        return sum(rows for _, rows in self.parquet_lists(Survey("url lists"))) or None

    def rows(self, survey: Survey) -> Iterator[Row]:
        files, found = self.found
        survey.add(found)
        for file in files:
            # A Parquet list comes here if it is packed, or stands beside lists in text.
            read = packed_rows if suffix_of(file) == PARQUET else read_text_list
            rows = read(file, self.settings)
            yield from survey.unless_empty(rows, NO_ROWS, PurePosixPath(file).name)

    def paths_of_workers(self) -> list[str]:
        """Return the lists if they are Parquet: the driver reads those in text."""
        paths = super().paths_of_workers()
        return paths if all(path.endswith(PARQUET) for path in paths) else []


class World(UrlLists):
    """The list of the demo's world, which is a function of settings that a fingerprint has."""

    wants, is_surveyed = "", False

    def files(self) -> list[tuple[str, str | None]]:
        return []

    def picture_count(self) -> int:
        return self.settings.world.pictures

    def paths_of_workers(self) -> list[str]:
        """Return nothing: the demo has just written the list."""
        return []
