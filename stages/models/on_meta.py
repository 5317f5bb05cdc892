"""Models without numbers: to count their parameters and operations, or to know their sizes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def on_meta() -> Iterator[None]:
    """Make models in the block without storage, and draw no random numbers for their weights.

    Torch's meta device alone takes seconds for that, first of all to import the compiler.
    """
    with torch.device("meta"), _NotDrawn():
        yield


class _NotDrawn(TorchFunctionMode):
    """Passes over the functions of torch.nn.init: each takes a tensor first, and returns it."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Any, args: Any = (), options: Any = None
    ) -> Any:
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else options["tensor"]
        return function(*args, **(options or {}))
