"""From a preset, a file and `--set` assignments to one checked tree of settings."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipelines.presets import PRESETS
from schemas.configs import Settings
from schemas.errors import ConfigError


def resolve(preset: str, file: Path | None, assignments: Sequence[str]) -> Settings:
    """Return the preset with the file's values, then the assignments, over it.

    Raises ConfigError, in one sentence, for a name that does not exist (with the nearest one that
    does) and for a value that is out of range.
    """
    tree = PRESETS[preset]().model_dump()
    if file is not None:
        for path, value in _leaves(_read(file)):
            _assign(tree, path, value, where=str(file))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set wants path=value, found '{assignment}'")
        _assign(tree, path, _parse(text), where=f"--set {assignment}")
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def leaf_paths(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every setting."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaf_paths(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _read(file: Path) -> Mapping[str, Any]:
    """Parse a YAML file of nested settings."""
    try:
        tree = yaml.safe_load(file.read_text()) or {}
    except OSError as error:
        raise ConfigError(f"--config wants a readable YAML file: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} must map names to values, found a {type(tree).__name__}")
    return tree


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _assign(tree: dict[str, Any], path: str, value: Any, *, where: str) -> None:
    known = list(leaf_paths())
    if path not in known:
        close = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
        parts = [name for name in known if name.startswith(path + ".")]
        hint = f"did you mean '{close[0]}'?" if close else "see schemas/configs.py for all names"
        if parts:
            hint = f"it has parts, such as '{parts[0]}'"
        raise ConfigError(f"{where}: there is no setting '{path}'; {hint}")
    *parents, leaf = path.split(".")
    node = tree
    for name in parents:
        node = node[name]
    node[leaf] = value


def _parse(text: str) -> Any:
    """Keep text as it is, for pydantic turns it into the field's type; lists and null are YAML."""
    try:
        return yaml.safe_load(text) if text.startswith("[") or text == "null" else text
    except yaml.YAMLError:
        raise ConfigError(f"--set wants a list such as [a, b], found '{text}'") from None


def _sentence(error: ValidationError) -> str:
    """Say the first problem in one line: the setting, the rule, and what was found."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    where = f"{path}: " if path else ""  # a rule about several parts names them itself
    message = first["msg"].removeprefix("Value error, ")
    found = first.get("input")
    shown = "" if isinstance(found, dict | BaseModel) else f", found {found!r}"
    return f"{where}{message[:1].lower()}{message[1:]}{shown}"
