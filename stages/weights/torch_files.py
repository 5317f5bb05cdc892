"""Read the named tensors in a file of torch.save or safetensors, without running anything in it.

torch.save has two formats: a zip with a pickle and the numbers of its tensors, and before torch 1.6
a few pickles with the numbers behind them. Both hold whole modules or dicts of tensors: see
`pickles`. TorchScript is the zip with a module, whose code is left alone. No more is read or
allocated than the file is long, whatever it says.
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from schemas.errors import SchemaMismatch
from stages.storage import opened, reaching
from stages.weights.pickles import Broken, Described, Holder, Storage, interpret

MOST_PICKLE_BYTES = 2**22  # the release's modules take 2**16
MOST_PARTS = 10_000  # modules and tensors; a module that holds itself would have no end of them
LONGEST_NAME = 1_000
ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
MAGIC = 0x1950A86A20F9469CFC6C  # the first thing in the form before torch 1.6
OLD_VERSION = 1001

# What the readers raise for damaged or forged bytes.
UNREADABLE = (ValueError, LookupError, ArithmeticError, RuntimeError, OSError, EOFError,
              zipfile.BadZipFile, SafetensorError)  # fmt: skip

Fetch = Callable[[Storage], bytes]


def read_tensors(address: str) -> dict[str, Tensor]:
    """Return a file's tensors on the CPU, named as the module's state_dict names them.

    `address` is a path or an fsspec address. Raises ConfigError if none can be opened, and
    SchemaMismatch for anything but such a file: one cut off, damaged, or malicious.
    """
    with reaching(address, "a model's weights"), opened(address) as file:
        try:
            return _read(file)
        except UNREADABLE as error:
            raise SchemaMismatch(
                f"wanted a model's tensors, as torch.save or safetensors writes them, in {address},"
                f" found {error}; fetch the file again, or save the model's state_dict"
            ) from error


def _read(file: BinaryIO) -> dict[str, Tensor]:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(len(ZIP))
    file.seek(0)
    if start == ZIP:
        with zipfile.ZipFile(file) as members:
            return _of_zip(members, size)
    if start.startswith(PICKLE):
        return _of_pickles(file, size)
    return safetensors.torch.load(file.read())


def _of_zip(members: zipfile.ZipFile, size: int) -> dict[str, Tensor]:
    def content(name: str, most: int) -> bytes:
        try:
            member = members.getinfo(name)
        except KeyError:
            raise Broken(f"no {name} in it") from None
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > most:
            raise Broken(f"{name} compressed or larger than it can be")
        return members.read(member)

    (top, *others) = [n for n in members.namelist() if n.endswith("/data.pkl")] or [""]
    if not top or others:
        raise Broken("a zip file of something else")
    folder = top.removesuffix("data.pkl")
    if folder + "byteorder" in members.namelist() and content(folder + "byteorder", 6) != b"little":
        raise Broken("numbers in another order of bytes")
    described = interpret(io.BytesIO(content(top, MOST_PICKLE_BYTES)))
    return _filled(
        tensors_by_name(described), lambda one: content(f"{folder}data/{one.key}", size), size
    )


def _of_pickles(file: BinaryIO, size: int) -> dict[str, Tensor]:
    pickles = io.BytesIO(file.read(MOST_PICKLE_BYTES))
    magic, version, _ = (interpret(pickles) for _ in range(3))
    if magic != MAGIC or version != OLD_VERSION:
        raise Broken("a pickle of something else")
    named, keys = tensors_by_name(interpret(pickles)), interpret(pickles)
    storages = {one.storage.key: one.storage for one in named.values()}
    places: dict[str, int] = {}
    place = pickles.tell()
    for key in keys if isinstance(keys, list) else []:
        if key not in storages:
            raise Broken("numbers that no tensor has")
        file.seek(place)
        if int.from_bytes(file.read(8), "little") != storages[key].count:
            raise Broken("another count of numbers than its tensors have")
        places[key] = place + 8
        place += 8 + storages[key].bytes

    def content(one: Storage) -> bytes:
        if one.key not in places:
            raise Broken("a tensor without its numbers")
        file.seek(places[one.key])
        return file.read(one.bytes)

    return _filled(named, content, size)


def _filled(named: Mapping[str, Described], fetch: Fetch, size: int) -> dict[str, Tensor]:
    """Make the tensors, each from its storage."""
    storages = {one.storage for one in named.values()}
    needed = (sum(one.bytes for one in storages), sum(one.bytes for one in named.values()))
    if max(needed) > size:
        raise Broken("more numbers than a file of its size can hold, as if cut off")
    numbers = {one: _numbers(fetch(one), one) for one in storages}
    return {
        name: numbers[one.storage].as_strided(one.size, one.stride, one.offset)
        for name, one in named.items()
    }


def _numbers(data: bytes, storage: Storage) -> Tensor:
    if len(data) != storage.bytes:
        raise Broken("fewer numbers than its tensors have, as if cut off")
    return torch.frombuffer(bytearray(data), dtype=storage.dtype)


def tensors_by_name(top: Any) -> dict[str, Described]:
    """Return the parameters and buffers of a module, as its state_dict names them.

    A dict of tensors is returned as it is. Raises Broken for anything else.
    """
    found = _of_module(top) if isinstance(top, Holder) else top
    if not isinstance(found, dict) or not found:
        raise Broken(f"a {_kind(top)} without a tensor in it")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Described):
            raise Broken(f"a {_kind(top)} with a {_kind(value)} for a tensor")
    return found


def _of_module(top: Holder) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", top)]
    parts = 0
    while waiting:
        prefix, module = waiting.pop()
        own, children = _parts(module)
        parts += 1 + len(own) + len(children)
        names = [*own, *children]
        if parts > MOST_PARTS or any(len(prefix) + len(name) > LONGEST_NAME for name in names):
            raise Broken("a module of more parts than a model has")
        found |= {prefix + name: value for name, value in own.items() if value is not None}
        waiting += [
            (f"{prefix}{name}.", child)
            for name, child in reversed(children.items())
            if child is not None
        ]
    return found


def _parts(module: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a module's tensors and its children.

    A module of TorchScript keeps both among its attributes, beside plain values.
    """
    state = module.state if isinstance(module, Holder) else None
    if isinstance(state, dict) and state and not state.keys() & {"_parameters", "_modules"}:
        named = {name: value for name, value in state.items() if isinstance(name, str)}
        own = {name: value for name, value in named.items() if isinstance(value, Described)}
        inner = {name: value for name, value in named.items() if isinstance(value, Holder)}
        return own, {name: value for name, value in inner.items() if isinstance(value.state, dict)}
    return _table(module, "_parameters", "_buffers"), _table(module, "_modules")


def _table(module: Any, *names: str) -> dict[str, Any]:
    """Join tables of a module, of which some may be missing."""
    state = module.state if isinstance(module, Holder) else None
    tables = [state.get(name, {}) for name in names] if isinstance(state, dict) else [None]
    joined: dict[str, Any] = {}
    for table in tables:
        if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
            raise Broken(f"a {_kind(module)} in place of a module")
        joined |= table
    return joined


def _kind(value: Any) -> str:
    return "object of a class" if isinstance(value, Holder) else type(value).__name__
