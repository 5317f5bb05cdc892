"""Source: the base class of the kinds of sources, one for each `crawl.source.kind`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Protocol

from schemas.settings import SourceSettings
from stages.crawl.sources.listed import Row
from stages.crawl.sources.survey import Survey


class Reader(Protocol):
    """Reads what a row's `picture`, or the name of a caption file, stands for."""

    def read(self, name: str) -> bytes:
        """Return the bytes; raise Refused if they cannot be read."""


class Source(ABC):
    """Where pairs come from. Its methods raise ConfigError where there is nothing to read."""

    wants: ClassVar[str] = ""  # what crawl.source.path must name; empty: nothing
    is_surveyed: ClassVar[bool] = True  # the log says once what was found

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    @abstractmethod
    def files(self) -> list[tuple[str, str | None]]:
        """Return the name and address of each file whose content is in the fingerprint.

        Where the address is None, only the name is."""

    @abstractmethod
    def rows(self, survey: Survey) -> Iterator[Row]:
        """Yield every row in the LISTED form; tell the survey what is read and passed over."""

    def parquet_lists(self, survey: Survey) -> list[tuple[str, int]]:
        """Return lists that are read where they lie, in place of `rows`, with their row counts."""
        return []

    def picture_count(self) -> int | None:
        """Return how many pictures are listed; None where only reading all of it would tell."""
        return None

    def reader(self, max_bytes: int) -> Reader | None:
        """Return what reads the rows' pictures and captions; None: pictures come from the web."""
        return None

    def paths_of_workers(self) -> list[str]:
        """Return the paths that every worker must be able to open."""
        return [part.strip() for part in self.settings.path.split(",")]
