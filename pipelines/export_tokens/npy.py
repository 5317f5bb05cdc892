"""Tokens as memory-mappable `.npy` files, all rows of a part (train/, val/) in one array.

text.npy (rows, 256) uint16    image.npy (rows, 1024) uint16    text_length.npy (rows,) uint16
rows.parquet: key, group, caption and crop of the same rows
"""

import io
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy

from pipelines.export_tokens.new_files import NewFiles
from schemas import rows
from stages.data.table import Columns, Table

ARRAYS = ("text", "image", "text_length")
KIND = "<u2"


def write_arrays(
    table: Table, schema: pa.Schema, files: NewFiles, part: str, advance: Callable[[int], None]
) -> list[str]:
    """Write a part's files one row group at a time; return their names."""
    names = {name: f"{part}{name}.npy" for name in ARRAYS}
    beside = pa.schema([field for field in schema if field.name not in ARRAYS])
    with ExitStack() as stack:
        arrays = {name: stack.enter_context(files.create(file)) for name, file in names.items()}
        for name, file in arrays.items():
            kind = schema.field(name).type
            width = (kind.list_size,) if pa.types.is_fixed_size_list(kind) else ()
            file.write(header((table.rows, *width)))
        others = stack.enter_context(files.create(f"{part}rows.parquet"))
        writer = stack.enter_context(pq.ParquetWriter(others, beside, compression="zstd"))
        for number in range(len(table.groups)):
            columns = table.read(number, schema.names)
            for name, file in arrays.items():
                file.write(content(columns[name]))
            writer.write_table(_others(columns, beside))
            advance(len(columns["key"]))
    return [*names.values(), f"{part}rows.parquet"]


def header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": KIND, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def content(values: np.ndarray) -> bytes:
    return values.astype(KIND, copy=False).tobytes()


def _others(columns: Columns, schema: pa.Schema) -> pa.Table:
    return pa.table(
        {
            name: rows.fixed_list(columns[name]) if columns[name].ndim == 2 else columns[name]
            for name in schema.names
        },
        schema,
    )
