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


def said_otherwise(**said):
    """Return what changes the metadata of a shard."""
    more = {name.encode(): value.encode() for name, value in said.items()}

    def change(table):
        return table.replace_schema_metadata(table.schema.metadata | more)

    return lambda path: rewrite(path, change)


def all_alike(name, value):
    """Return what gives every row of a shard the same value."""
    return lambda path: rewrite(path, lambda table: with_column(table, name, [value] * len(table)))


other_dvae = said_otherwise(dvae_sha256="e" * 64)


def no_metadata(path):
    rewrite(path, lambda table: table.replace_schema_metadata(None))


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
    (said_otherwise(grid="two"), "wrong value of grid"),
    (all_alike("image", [16] * 4), "image code 16 is out of range"),
    (all_alike("text_length", 13), "text_length 13 is out of range"),
    (all_alike("text", [300] * 12), "ids below 300, then pads of 300"),
    (all_alike("text_length", 5), "ids below 300, then pads of 300"),
    (null_codes, "'image' has nulls"),
    (column_missing, "missing 'crop'"),
    (flipped_bytes, "broken"),
    (flipped_bit, "broken"),
]
