"""Token files: damage is found by whoever asks, wherever it lies."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from tests import token_shards


def is_readable(data):
    try:
        pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
    except (OSError, pa.ArrowException):
        return False
    return True


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    folder = open_folder(tmp_path_factory.mktemp("shards"))
    (name,) = token_shards.write(folder, 1, 2000)
    with folder.open(name) as file:
        return file.read()


def pages(data):
    """Yield each column of each row group: its name, and where its pages begin and end."""
    footer = pq.ParquetFile(pa.BufferReader(data)).metadata
    for group in range(footer.num_row_groups):
        for number in range(footer.num_columns):
            column = footer.row_group(group).column(number)
            start = column.dictionary_page_offset or column.data_page_offset
            yield column.path_in_schema, start, start + column.total_compressed_size


def test_one_flipped_bit_in_any_page_is_found(shard):
    assert is_readable(shard)
    for column, start, end in pages(shard):
        for place in (end - 1, (start + end) // 2):
            damaged = bytearray(shard)
            damaged[place] ^= 1
            assert not is_readable(bytes(damaged)), (column, place)


def test_a_file_of_tokens_is_the_same_bytes_again(shard, tmp_path):
    (name,) = token_shards.write(open_folder(tmp_path), 1, 2000)
    assert (tmp_path / name).read_bytes() == shard
