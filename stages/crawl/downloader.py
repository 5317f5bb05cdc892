"""The downloader of img2dataset (Beaumont 2021), without the rest of that package.

The package imports all its parts, and so wandb, albumentations, webdataset and torch: seconds of a
core and hundreds of megabytes in every worker, for nothing that the downloader uses.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

PACKAGE, UNUSED = "img2dataset", "wandb"  # the downloader's own imports name both


@contextmanager
def _bare_package() -> Iterator[None]:
    """Within the block, importing a part of the package imports that part only."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    bare = ModuleType(PACKAGE)
    bare.__path__ = spec.submodule_search_locations or []
    before = _taken_out()
    sys.modules |= {PACKAGE: bare, UNUSED: ModuleType(UNUSED)}
    try:
        yield
    finally:
        _taken_out()
        sys.modules |= before


def _taken_out() -> dict[str, ModuleType]:
    """Forget that the two packages are imported; return their modules."""
    names = [name for name in sys.modules if name.partition(".")[0] in (PACKAGE, UNUSED)]
    return {name: sys.modules.pop(name) for name in names}


with _bare_package():
    Downloader = import_module(f"{PACKAGE}.downloader").Downloader
