"""Stream rows into Parquet lists under `input/`, so that workers can take pieces of them."""

import logging
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.folder import Folder
from stages.crawl.sources.listed import FAMILY, LISTED, Row

LIST_ROWS = 100_000  # of one file
GROUP_ROWS = 10_000
GROUP_CHARS, LIST_CHARS = 30_000_000, 100_000_000  # what memory holds of very long captions
LOG_ROWS = 1_000_000

LOG = logging.getLogger(__name__)


def write_lists(
    rows: Iterator[Row], out: Folder, prefix: str, rows_per_shard: int
) -> list[tuple[str, int]]:
    """Write the rows into `<prefix>list-*.parquet`; return each file's name and number of rows.

    A further row of a picture that was listed before gets a key beside that of the first, which is
    made of the first one's place when the files are cut into pieces of `rows_per_shard` rows.
    """
    listing: list[tuple[str, int]] = []
    families: dict[str, tuple[str, int]] = {}
    shards = total = 0
    more = True
    while more:
        writer = _ListFile()
        for row in rows:
            if (family := row.pop(FAMILY, None)) is not None:
                shard, number = divmod(writer.rows, rows_per_shard)
                first = f"{shards + shard:05d}-{number:06d}"
                first, members = families.get(family, (first, 0))
                families[family] = first, members + 1
                row["key"] = f"{first}.{members}" if members else None
            if writer.add(row):
                break
        else:
            more = False
        if writer.rows:
            name = f"{prefix}list-{len(listing):05d}.parquet"
            listing.append((name, writer.rows))
            out.commit(name, writer.finish())
            shards += -(-writer.rows // rows_per_shard)
            if (total + writer.rows) // LOG_ROWS > total // LOG_ROWS:
                LOG.info("crawl: %d rows listed", total + writer.rows)
            total += writer.rows
    return listing


class _ListFile:
    """One Parquet list in memory, written group by group."""

    def __init__(self) -> None:
        self.buffer = pa.BufferOutputStream()
        self.writer = pq.ParquetWriter(self.buffer, LISTED)
        self.group: list[Row] = []
        self.rows = self.chars = self.group_chars = 0

    def add(self, row: Row) -> bool:
        """Take a row; say whether the file is full."""
        self.group.append(row)
        self.rows += 1
        self.group_chars += _size(row)
        if len(self.group) >= GROUP_ROWS or self.group_chars >= GROUP_CHARS:
            self._write_group()
        return self.rows >= LIST_ROWS or self.chars >= LIST_CHARS

    def _write_group(self) -> None:
        columns = {name: [row[name] for row in self.group] for name in LISTED.names}
        self.writer.write_table(pa.table(columns, LISTED))
        self.chars += self.group_chars
        self.group, self.group_chars = [], 0

    def finish(self) -> bytes:
        if self.group:
            self._write_group()
        self.writer.close()
        return self.buffer.getvalue().to_pybytes()


def _size(row: Row) -> int:
    texts = (row["url"], row["caption"], row["source"], *(row["more"] or ()))
    return sum(len(text) for text in texts if text is not None)
