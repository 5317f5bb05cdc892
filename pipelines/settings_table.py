"""The table of all settings: value, default, what or how, and what each is."""

import difflib
import json
import textwrap
from operator import attrgetter
from typing import Any

from schemas.errors import ConfigError
from schemas.settings import Leaf, Settings, leaves
from stages.markdown import table

WIDTH = 80
HEAD = """\
what   decides what comes out: changed, its stage and those after it run again
how    how fast, where, how often: changes nothing that comes out
input  an address: what is there decides, not where it is"""


def show_settings(settings: Settings, prefix: str) -> None:
    """Print the settings below a dotted prefix, in 80 columns."""
    print(HEAD)
    usual = Settings()
    for leaf in below(prefix):
        value, default = _shown(settings, leaf.path), _shown(usual, leaf.path)
        line = f"{leaf.path} = {value}"
        line += "" if value == default else f"  (default {default})"
        print(f"\n{line:{WIDTH - 6}} {leaf.kind}")
        for part in textwrap.wrap(leaf.field.description or "", WIDTH - 4):
            print(f"    {part}")


def markdown(prefix: str = "") -> str:
    """Return the same table for documents: defaults alone."""
    rows = (
        (f"`{leaf.path}`", _shown(Settings(), leaf.path), leaf.kind, leaf.field.description or "")
        for leaf in below(prefix)
    )
    return table(("setting", "default", "kind", "meaning"), rows)


def below(prefix: str) -> list[Leaf]:
    """Return the settings below a dotted prefix; raise ConfigError if there are none."""
    start = f"{prefix}." if prefix else ""
    found = [leaf for leaf in leaves() if f"{leaf.path}.".startswith(start)]
    if not found:
        parts = {leaf.path.rpartition(".")[0] for leaf in leaves()}
        close = difflib.get_close_matches(prefix, parts, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(parts))}"
        raise ConfigError(f"--settings wants a part of the settings, found '{prefix}'; {hint}")
    return found


def _shown(settings: Settings, path: str) -> str:
    """Return a value as `--set` takes it."""
    value: Any = attrgetter(path)(settings)
    if isinstance(value, str):
        return value or '""'
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)
