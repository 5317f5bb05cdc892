"""Tokens as WebDataset tars, one for each shard, the same bytes for the same rows.

<key>.text.npy    <key>.image.npy    <key>.txt: the caption
<key>.json: key, group, text_length and crop
"""

import io
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator

import pyarrow as pa

from pipelines.exporting.arrays import content, header
from pipelines.exporting.files import NewFiles
from stages.training.table import Columns, Table


def write_tars(
    table: Table, schema: pa.Schema, files: NewFiles, part: str, advance: Callable[[int], None]
) -> list[str]:
    """Write a part's tars, a row group in memory at a time; return their names."""
    names = []
    by_file = itertools.groupby(enumerate(table.groups), key=lambda numbered: numbered[1].file)
    for shard, groups in by_file:
        names.append(part + shard.rpartition("/")[2].removesuffix(".parquet") + ".tar")
        with files.create(names[-1]) as file, tarfile.open(mode="w|", fileobj=file) as tar:
            for number, group in groups:
                for name, data in _members(table.read(number, schema.names)):
                    _add(tar, name, data)
                advance(group.rows)
    return names


def _members(columns: Columns) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of every file of every row."""
    tokens = {name: header(columns[name].shape[1:]) for name in ("text", "image")}
    for row, key in enumerate(columns["key"]):
        base = key.replace(".", "_")  # readers end a sample's name at the first dot
        for name, start in tokens.items():
            yield f"{base}.{name}.npy", start + content(columns[name][row])
        yield f"{base}.txt", columns["caption"][row].encode()
        about = {
            "key": key,
            "group": columns["group"][row],
            "text_length": int(columns["text_length"][row]),
            "crop": columns["crop"][row].tolist(),
        }
        yield f"{base}.json", json.dumps(about, ensure_ascii=False).encode()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # of nobody, and of no time
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
