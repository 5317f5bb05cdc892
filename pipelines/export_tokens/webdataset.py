"""Tokens as WebDataset tars, one per shard; equal rows give equal bytes.

<key>.text.npy    <key>.image.npy    <key>.txt: the caption
<key>.json: key, group, text_length and crop

In names, `_` replaces characters of the key that are unsafe there; names that collide are numbered.
"""

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from itertools import chain, count, groupby

import pyarrow as pa

from pipelines.export_tokens.new_files import NewFiles
from pipelines.export_tokens.npy import content, header
from stages.data.table import Columns, Table

UNFIT = re.compile(r"[^\w#~+=@,-]", re.ASCII)
LONGEST = 200  # letters; file systems take 255 bytes, with the ending


def write_tars(
    table: Table, schema: pa.Schema, files: NewFiles, part: str, advance: Callable[[int], None]
) -> list[str]:
    """Write a part's tars one row group at a time; return their names."""
    names: list[str] = []
    by_file = groupby(enumerate(table.groups), key=lambda numbered: numbered[1].file)
    for shard, groups in by_file:
        names.append(part + shard.rpartition("/")[2].removesuffix(".parquet") + ".tar")
        with files.create(names[-1]) as file, tarfile.open(mode="w|", fileobj=file) as tar:
            taken: set[str] = set()
            for number, group in groups:
                for name, data in _members(table.read(number, schema.names), taken):
                    _add(tar, name, data)
                advance(group.rows)
    return names


def sample_name(key: str, taken: set[str]) -> str:
    """Make a key safe: no dots, where WebDataset ends a sample's name, and no slashes.

    `taken` are the names in this tar, which differ even on case-insensitive disks.
    """
    base = UNFIT.sub("_", key)[:LONGEST] or "_"
    tries = chain([base], (f"{base}~{number}" for number in count(2)))
    name = next(name for name in tries if name.lower() not in taken)
    taken.add(name.lower())
    return name


def _members(columns: Columns, taken: set[str]) -> Iterator[tuple[str, bytes]]:
    tokens = {name: header(columns[name].shape[1:]) for name in ("text", "image")}
    for row, key in enumerate(columns["key"]):
        base = sample_name(key, taken)
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
    member = tarfile.TarInfo(name)  # no owner and no time
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
