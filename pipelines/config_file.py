"""A file of settings: YAML in any encoding that names itself, read strictly and bounded.

Values stay the text they are written as, for pydantic turns text into each field's type, the same
way for a file as for `--set`. YAML 1.1 would read `no` as false, `010` as eight, `1:30` as ninety
and `1e-3` as a word.
"""

import codecs
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from schemas.errors import ConfigError

MOST_BYTES = 2**20
MOST_NODES = 20_000  # with every alias written out: a few lines of aliases can mean billions
MARKS = {  # longest first: UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"


def read_file(file: Path) -> dict[str, Any]:
    """Return each setting of a file by its dotted path. Raises ConfigError, in one sentence."""
    tree = parse(_text(file), str(file))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{file} must map names to values, found {_short(tree)}; write YAML such as "
            "`prior: {layers: 12}`"
        )
    leaves: dict[str, Any] = {}
    for path, value in _leaves(tree):
        if path in leaves:
            raise ConfigError(f"{file} says '{path}' twice; leave one of the two out")
        leaves[path] = value
    return leaves


def parse(text: str, where: str) -> Any:
    """Parse YAML whose values stay text. Raises ConfigError, in one sentence."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        hint = "; indent with spaces" if "'\\t'" in str(error) else ""
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}{hint}") from None
    except RecursionError:
        raise ConfigError(f"{where} wants settings, found YAML nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """Knows text, null, lists and maps with each name once."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        first: [rule for rule in rules if rule[0] in (NULL, MERGE)]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a name that is there twice, which YAML lets the last one win."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != MERGE and isinstance(key.value, str):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"found '{key.value}' twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Return how many nodes there are with every alias written out; raise YAMLError for too many.

    `known` has None for a node that is being counted: an alias within itself has no end.
    """
    if id(node) not in known:
        known[id(node)] = None
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [n for part in parts for n in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_count(part, known) for part in flat)
    total = known[id(node)]
    if total is None or total > MOST_NODES:
        raise yaml.YAMLError(f"its aliases stand for more than {MOST_NODES:,} values")
    return total


def _text(file: Path) -> str:
    try:
        with file.open("rb") as handle:
            data = handle.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"--config wants a readable YAML file: {error}") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(
            f"--config wants settings, found more than {MOST_BYTES:,} bytes in {file}"
        )
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{file} is not {encoding.upper()} (line {line}); save it as UTF-8"
        ) from None
    if "\0" in text:
        raise ConfigError(f"{file} is UTF-16 without its mark, or no text; save it as UTF-8")
    return text


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:  # a part without settings stands for itself
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
