"""The tensors that a pickle describes, found without unpickling it.

torch.save writes a pickle, and a pickle is a program that may call anything. Here its instructions
are interpreted by hand: no class or function that it names is imported or called, and an object
only holds the state it was given. Three names are understood: the two with which torch rebuilds
tensors, and OrderedDict. Of other values only plain ones are kept.

Time and memory are bounded by the size of the pickle; the numbers of the tensors stay in the file.
"""

import math
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

MOST_AXES = 8

DTYPES = {
    f"torch {name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
        "Double": torch.float64, "Long": torch.int64, "Int": torch.int32, "Short": torch.int16,
        "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool,
    }.items()
}  # fmt: skip


class Broken(ValueError):
    """The bytes are not what torch.save writes for a model; its text says what they are."""


@dataclass(frozen=True)
class Name:
    """A class or function, as `module name`; only compared with the few known ones."""

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
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class Described:
    """A tensor: which numbers of a storage it has, all of them inside it."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.size) * self.storage.dtype.itemsize


# Instructions that only push a value, by what they make of their argument.
PUSHES: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None, "NEWTRUE": lambda _: True, "NEWFALSE": lambda _: False,
    "BININT": int, "BININT1": int, "BININT2": int, "LONG1": int, "BINFLOAT": float,
    "BINUNICODE": str, "EMPTY_DICT": lambda _: {}, "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (), "GLOBAL": Name,
}  # fmt: skip


class Stack(list[Any]):
    """The values of a pickle that is being interpreted, and the marks among them."""

    def __init__(self) -> None:
        self.marks: list[int] = []

    def since_mark(self) -> list[Any]:
        return self.last(len(self) - self.marks.pop())

    def last(self, count: int) -> list[Any]:
        if not 0 <= count <= len(self):
            raise Broken("a pickle whose stack runs empty")
        start = len(self) - count
        items = self[start:]
        del self[start:]
        return items


def interpret(pickle: BinaryIO) -> Any:
    """Return what the pickle describes; raise Broken, or ValueError where it is cut off.

    Afterwards `pickle` is positioned after its last instruction.
    """
    stack, memo = Stack(), dict[int, Any]()
    try:
        for instruction, argument, _ in pickletools.genops(pickle):
            value: Any = argument
            match instruction.name:
                case push if push in PUSHES:
                    stack.append(PUSHES[push](value))
                case "PROTO":
                    if value != 2:
                        raise Broken(f"a pickle of protocol {value}, where torch.save takes 2")
                case "STOP":
                    return stack.pop()
                case "MARK":
                    stack.marks.append(len(stack))
                case "BINPUT" | "LONG_BINPUT":
                    memo[value] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[value])
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    stack.append(tuple(stack.last(int(instruction.name[-1]))))
                case "TUPLE":
                    stack.append(tuple(stack.since_mark()))
                case "APPEND":
                    extend(stack[-2], stack.last(1))
                case "APPENDS":
                    added = stack.since_mark()
                    extend(stack[-1], added)
                case "SETITEM":
                    fill(stack[-3], stack.last(2))
                case "SETITEMS":
                    added = stack.since_mark()
                    fill(stack[-1], added)
                case "NEWOBJ":
                    stack.last(2)
                    stack.append(Holder())
                case "REDUCE":
                    stack.append(called(*stack.last(2)))
                case "BUILD":
                    (state,) = stack.last(1)
                    if isinstance(stack[-1], Holder):
                        stack[-1].state = state
                case "BINPERSID":
                    stack.append(persistent(stack.pop()))
                case other:
                    raise Broken(f"the instruction {other}, which torch.save does not write")
    except LookupError:
        raise Broken("a pickle that takes from an empty stack") from None
    raise Broken("a pickle without an end")


def extend(target: Any, items: list[Any]) -> None:
    """Add to a list; ignore what is added to an object of an unknown class."""
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Holder):
        raise Broken(f"a {type(target).__name__} that is extended")


def fill(target: Any, items: Sequence[Any]) -> None:
    """Add keys and values, in turn, to a dict; only plain keys, which are quick to hash."""
    if isinstance(target, Holder):
        return
    if not isinstance(target, dict) or len(items) % 2:
        raise Broken(f"a {type(target).__name__} that is filled")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int):
            raise Broken(f"a dict with a {type(key).__name__} for a key")
        target[key] = value


def called(function: Any, arguments: Any) -> Any:
    """Return the result of the calls that rebuild tensors; of any other, a holder."""
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


def persistent(identity: Any) -> Any:
    """Return what lies outside the pickle: a storage, or (before torch 1.6) a module's class."""
    match identity:
        case ("module", Name() as name, *_):
            return name
        case ("storage", Name(text=kind), str(key), str(), int(count), *view):
            if kind in DTYPES and count >= 0 and view in ([], [None]):
                return Storage(DTYPES[kind], key, count)
    raise Broken("a storage of a kind that is not known")
