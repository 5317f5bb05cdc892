"""What the reader fetches and holds: the row groups of the rows it was asked for."""

import io
import itertools
import weakref
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import digest_all, open_folder
from schemas import rows
from schemas.artifacts import TOKEN_PAIRS, TRAIN
from schemas.errors import SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import Result
from stages.data.intact import require_intact
from stages.data.loader import prepared_batches, read_batches
from stages.data.parquet import TOKEN_FILE, parquet_bytes
from stages.data.table import open_table
from tests import s3
from tests.stages.finished import finish

SCHEMA = rows.token_pair(text_len=2, grid=2)
FILES, GROUPS, SIZE = 6, 5, 8  # row groups a file, rows a group
WINDOW = 4 * SIZE
ALL = range(FILES * GROUPS * SIZE)


def pair_table(numbers):
    """Rows whose tokens are all the row's number."""
    count = len(numbers)
    number = np.array(numbers, np.uint16)
    return pa.table(
        {
            "key": [str(n) for n in numbers],
            "group": [str(n) for n in numbers],
            "caption": ["a caption"] * count,
            "text": rows.fixed_list(np.repeat(number, 2).reshape(-1, 2)),
            "text_length": np.full(count, 2, np.uint16),
            "image": rows.fixed_list(np.repeat(number, 4).reshape(-1, 4)),
            "crop": rows.fixed_list(np.zeros((count, 4), np.float32)),
        },
        schema=SCHEMA,
    )


def write(folder):
    for file in range(FILES):
        numbers = ALL[file * GROUPS * SIZE : (file + 1) * GROUPS * SIZE]
        data = parquet_bytes(pair_table(numbers), dict(TOKEN_FILE) | {"row_group_size": SIZE})
        folder.commit(f"train/shard-{file:05d}.parquet", data)


def image_column(footer, group):
    columns = [footer.row_group(group).column(n) for n in range(footer.num_columns)]
    return next(one for one in columns if one.path_in_schema == "image.list.element")


class Noted(io.BytesIO):
    """A file that notes where readings begin."""

    def __init__(self, name, data, notes):
        super().__init__(data)
        self.name, self.notes = name, notes

    def read(self, size=-1):
        self.notes.append((self.name, self.tell()))
        return super().read(size)


@dataclass
class Watched:
    """A folder that knows which row groups were read of its files."""

    folder: Folder
    notes: list = field(default_factory=list)

    @property
    def url(self):
        return self.folder.url

    def list(self, prefix=""):
        return self.folder.list(prefix)

    def open(self, name):
        with self.folder.open(name) as file:
            return Noted(name, file.read(), self.notes)

    def groups_read(self):
        """Every reading of a row group's codes, by the group's number in the whole table."""
        begins = {}
        for name in self.folder.list("train/"):
            with self.folder.open(name) as source:
                footer = pq.ParquetFile(source).metadata
            for group in range(GROUPS):
                begins[name, image_column(footer, group).dictionary_page_offset] = len(begins)
        return sorted(begins[note] for note in self.notes if note in begins)


@pytest.fixture
def watched(folder):
    write(folder)
    return Watched(folder)


def opened(folder):
    table = open_table(folder, "train/", SCHEMA)
    folder.notes.clear()
    return table


def options(**changes):
    return {"seed": 1, "batch_size": 8, "window_rows": WINDOW} | changes


def groups_of(columns):
    return sorted({number // SIZE for number in columns["image"][:, 0].tolist()})


@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize("step", [0, 1, 3, 17, 29, 31, 64])
def test_a_resumed_reader_reads_the_row_groups_of_its_rows_and_no_other(watched, step, world):
    table = opened(watched)
    found = read_batches(table, ("image",), **options(step=step, rank=world - 1, world_size=world))
    columns = next(found).columns()
    found.close()
    assert watched.groups_read() == groups_of(columns)


def test_batches_prepared_ahead_read_nothing_of_later_ones(watched):
    table, step, depth = opened(watched), 17, 3
    expected = set()
    for batch in itertools.islice(read_batches(table, ("image",), **options(step=step)), depth + 1):
        expected |= set(groups_of(batch.columns()))
    watched.notes.clear()
    found = prepared_batches(table, ("image",), dict, **options(step=step), threads=1, depth=depth)
    next(found)
    found.close()
    assert set(watched.groups_read()) <= expected


def test_an_epoch_reads_every_row_group_once(watched):
    for batch in itertools.islice(
        read_batches(opened(watched), ("image",), **options()), len(ALL) // 8
    ):
        batch.columns()
    assert watched.groups_read() == list(range(FILES * GROUPS))


def test_no_more_than_two_windows_are_held(watched):
    held = weakref.WeakSet()
    for batch in itertools.islice(read_batches(opened(watched), ("image",), **options()), 100):
        held |= weakref.WeakSet(batch.reading.values())
        batch.columns()
        assert len(held) <= 2 * WINDOW // SIZE


def test_tokens_stay_16_bits_wide(watched):
    found = read_batches(opened(watched), ("text", "image"), **options())
    columns = next(found).columns()
    assert {name: columns[name].dtype for name in ("text", "image")} == {
        "text": np.uint16,
        "image": np.uint16,
    }
    assert (columns["image"] == columns["text"][:, :1]).all()


def test_an_object_store_gives_the_same_rows(watched):
    with s3.served("tokens") as bucket:
        far = open_folder(f"{bucket}/run/token_pairs")
        write(far)
        here, there = opened(watched), open_table(far, "train/", SCHEMA)
        result = Result(rows_in=len(ALL), rows_out=len(ALL), files=digest_all(far, {}))
        manifest = finish(far, TOKEN_PAIRS, result).manifest(TOKEN_PAIRS)
        require_intact(far, manifest, (TRAIN,), there.rows)
        for near, distant in itertools.islice(
            zip(*(read_batches(t, ("key", "text"), **options(step=9)) for t in (here, there)),
                strict=True), 40
        ):  # fmt: skip
            for name, values in near.columns().items():
                assert (values == distant.columns()[name]).all()


def test_a_flipped_bit_is_found_when_its_page_is_read(watched):
    name = "train/shard-00002.parquet"
    with watched.folder.open(name) as file:
        data = bytearray(file.read())
    column = image_column(pq.ParquetFile(io.BytesIO(data)).metadata, group=3)
    end = column.dictionary_page_offset + column.total_compressed_size
    data[end - 3] ^= 1  # the last of the codes
    watched.folder.commit(name, bytes(data))
    table = opened(watched)  # the footer is as it was
    damaged = [n for n, group in enumerate(table.groups) if (group.file, group.number) == (name, 3)]
    for group in range(len(table.groups)):
        if group not in damaged:
            table.read(group, ("image",))
    with pytest.raises(SchemaMismatch, match=r"shard-00002.*cannot be read .*checksum.*put back"):
        table.read(damaged[0], ("image",))
