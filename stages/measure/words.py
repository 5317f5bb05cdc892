"""Words that say which language a short caption is in: what words.toml lists, ready to look up."""

import tomllib
from collections.abc import Mapping
from pathlib import Path


def _others(shared: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for languages, words in shared.items():
        for word in words.split():
            found[word] = found.get(word, frozenset()) | frozenset(languages.split())
    return found


_LISTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

ENGLISH = frozenset(_LISTS["english"].split())
FOREIGN = frozenset(_LISTS["foreign"].split())
OTHERS = _others(_LISTS["shared"])  # word -> the other languages that write it
