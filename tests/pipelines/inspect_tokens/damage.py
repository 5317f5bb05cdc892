"""What can happen to a token shard, and the sentence that names it."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.inspect_tokens import __main__ as inspect_tokens
from schemas.artifacts import TOKEN_PAIRS
from stages.data.parquet import TOKEN_FILE
from tests import tiny_run


def shard(run, split="train"):
    return tiny_run.folder(run, TOKEN_PAIRS).path / split / "shard-00000.parquet"


def printed(capsys, *arguments):
    """Run the command; return its exit code and what it printed, without line breaks."""
    code = inspect_tokens.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def rewrite(path, change):
    pq.write_table(change(pq.read_table(path)), path, **TOKEN_FILE)


def with_column(table, name, values):
    """Return the table with another column of the same type."""
    field = table.schema.field(name)
    array = pa.array(values, field.type)
    return table.set_column(table.column_names.index(name), field, array)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path):
    path.write_bytes(b"")


def other_dvae(path):
    def change(table):
        return table.replace_schema_metadata(table.schema.metadata | {b"dvae_sha256": b"e" * 64})

    rewrite(path, change)


def no_metadata(path):
    rewrite(path, lambda table: table.replace_schema_metadata(None))


def odd_sizes(path):
    def change(table):
        return table.replace_schema_metadata(table.schema.metadata | {b"grid": b"two"})

    rewrite(path, change)


def code_too_large(path):
    rewrite(path, lambda table: with_column(table, "image", [[16] * 4] * len(table)))


def text_too_long(path):
    rewrite(path, lambda table: with_column(table, "text_length", [13] * len(table)))


def pad_inside_text(path):
    rewrite(path, lambda table: with_column(table, "text", [[300] * 12] * len(table)))


def no_pads(path):
    rewrite(path, lambda table: with_column(table, "text_length", [5] * len(table)))


def null_codes(path):
    def change(table):
        kind = table.schema.field("image").type
        images = pa.array([[1, 2, 3, 4]] * (len(table) - 1) + [None], kind)
        field = pa.field("image", images.type)
        return table.set_column(table.column_names.index("image"), field, images)

    rewrite(path, change)


def column_missing(path):
    rewrite(path, lambda table: table.drop_columns(["crop"]))


def flipped_bytes(path):
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(bytes(data))


def flipped_bit(path):
    """Flip the last bit of the last column's last page."""
    footer = pq.ParquetFile(path).metadata.row_group(0)
    column = footer.column(footer.num_columns - 1)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(bytes(data))


ALL = [
    (cut_short, "ArrowInvalid"),
    (emptied, "ArrowInvalid"),
    (other_dvae, "dvae_sha256 is eee"),
    (no_metadata, "wrong value of bpe_fingerprint"),
    (odd_sizes, "wrong value of grid"),
    (code_too_large, "image code 16 is out of range"),
    (text_too_long, "text_length 13 is out of range"),
    (pad_inside_text, "ids below 300, then pads of 300"),
    (no_pads, "ids below 300, then pads of 300"),
    (null_codes, "'image' has nulls"),
    (column_missing, "missing 'crop'"),
    (flipped_bytes, "broken"),
    (flipped_bit, "broken"),
]
