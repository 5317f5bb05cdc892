"""What a pickle says about tensors, told without unpickling it.

torch.save writes a pickle, and a pickle is a program that may call anything. Here its instructions
are interpreted by hand: a class or function that it names is never imported, what it calls is never
called, and an object is only a holder of the state it was given. Three names are understood: the
two by which torch puts tensors together, and OrderedDict. Of other values only plain ones are kept.

Time and memory are bounded by the size of the pickle; the numbers of the tensors stay in the file.
"""

import math
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

MOST_AXES = 8

DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch DoubleStorage": torch.float64,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}


class Broken(ValueError):
    """The bytes are not what torch.save writes for a model; says in a few words what they are."""


@dataclass(frozen=True)
class Name:
    """A class or function, as `module name`: only ever compared with the few known ones."""

    text: str


class Holder:
    """Stands for an object of any class."""

    def __init__(self) -> None:
        self.state: Any = None


@dataclass(frozen=True)
class Storage:
    """A row of numbers somewhere in the file."""

    dtype: torch.dtype
    key: str
    count: int

    @property
    def bytes(self) -> int:
        """Size of all numbers."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class Described:
    """Which numbers of a storage make a tensor: all of them are there, and each is used once."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of all numbers."""
        return math.prod(self.size) * self.storage.dtype.itemsize


def interpret(pickle: BinaryIO) -> Any:
    """Return what the pickle describes; raise Broken, or ValueError where it is cut off.

    Afterwards `pickle` stands behind its last instruction.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def last(count: int) -> list[Any]:
        if len(stack) < count:
            raise Broken("a pickle whose stack runs empty")
        items = stack[-count:]
        del stack[-count:]
        return items

    try:
        for instruction, argument, _ in pickletools.genops(pickle):
            value: Any = argument
            match instruction.name:
                case "PROTO":
                    if value != 2:
                        raise Broken(f"a pickle of protocol {value}, where torch.save takes 2")
                case "STOP":
                    return stack.pop()
                case "MARK":
                    marks.append(len(stack))
                case "BINPUT" | "LONG_BINPUT":
                    memo[value] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[value])
                case "NONE":
                    stack.append(None)
                case "NEWTRUE":
                    stack.append(True)
                case "NEWFALSE":
                    stack.append(False)
                case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                    stack.append(value)
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    stack.append(tuple(last(int(instruction.name[-1]))))
                case "TUPLE":
                    stack.append(tuple(since_mark()))
                case "APPEND":
                    extend(stack[-2], last(1))
                case "APPENDS":
                    added = since_mark()
                    extend(stack[-1], added)
                case "SETITEM":
                    fill(stack[-3], last(2))
                case "SETITEMS":
                    added = since_mark()
                    fill(stack[-1], added)
                case "GLOBAL":
                    stack.append(Name(value))
                case "NEWOBJ":
                    last(2)
                    stack.append(Holder())
                case "REDUCE":
                    stack.append(made_by(*last(2)))
                case "BUILD":
                    (state,) = last(1)
                    if isinstance(stack[-1], Holder):
                        stack[-1].state = state
                case "BINPERSID":
                    stack.append(kept_apart(stack.pop()))
                case other:
                    raise Broken(f"the instruction {other}, which torch.save does not write")
    except LookupError:
        raise Broken("a pickle that takes from an empty stack") from None
    raise Broken("a pickle without an end")


def extend(target: Any, items: list[Any]) -> None:
    """Add to a list; what is added to an object of an unknown class is of no interest."""
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Holder):
        raise Broken(f"a {type(target).__name__} that is extended")


def fill(target: Any, items: Sequence[Any]) -> None:
    """Add keys and values, in turn, to a dict; only plain keys, whose hash is soon known."""
    if isinstance(target, Holder):
        return
    if not isinstance(target, dict) or len(items) % 2:
        raise Broken(f"a {type(target).__name__} that is filled")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int):
            raise Broken(f"a dict with a {type(key).__name__} for a key")
        target[key] = value


def made_by(function: Any, arguments: Any) -> Any:
    """Return what a call would, for the calls that put tensors together; else a holder."""
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise Broken("a call of something without a name")
    match function.text:
        case "torch._utils _rebuild_tensor_v2" if len(arguments) >= 4:
            return described(*arguments[:4])
        case "torch._utils _rebuild_parameter" if arguments:
            return arguments[0]
        case "collections OrderedDict" if not arguments:
            return {}
    return Holder()


def described(storage: Any, offset: Any, size: Any, stride: Any) -> Described:
    """Check that a tensor lies within its storage."""
    if not isinstance(storage, Storage) or not isinstance(size, tuple | list):
        raise Broken("a tensor without a storage and a size")
    if not isinstance(stride, tuple | list) or not len(stride) == len(size) <= MOST_AXES:
        raise Broken("a tensor whose size and stride differ in length")
    if not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise Broken("a tensor whose size is no row of whole numbers")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 in size or math.prod(size) > storage.count or last >= storage.count:
        raise Broken("a tensor that is empty, or larger than its storage")
    return Described(storage, offset, tuple(size), tuple(stride))


def kept_apart(mark: Any) -> Any:
    """Return what stands beside the pickle: a storage, or (before torch 1.6) a module's class."""
    match mark:
        case ("module", Name() as name, *_):
            return name
        case ("storage", Name(text=kind), str(key), str(), int(count), *view):
            if kind in DTYPES and count >= 0 and view in ([], [None]):
                return Storage(DTYPES[kind], key, count)
    raise Broken("a storage of a kind that is not known")
