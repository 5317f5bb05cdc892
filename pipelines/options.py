"""From a preset, a file and `--set` assignments to one checked tree of settings."""

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipelines.config_file import parse, read_file
from pipelines.places import make_absolute
from pipelines.presets import PRESETS
from pipelines.renamed import RENAMED
from schemas.errors import ConfigError
from schemas.settings import Settings, leaves

NOTHING = {"", "none", "null", "~"}  # what people write for a setting that is not there


def resolve(preset: str, file: Path | None = None, assignments: Sequence[str] = ()) -> Settings:
    """Return the preset with the file's values, then the assignments, over it.

    Every path among them means the folder that the command was called in. Raises ConfigError, in
    one sentence, for a name that does not exist (with the nearest one that does) and for a value
    that is out of range.
    """
    tree = Settings().model_dump()
    for path, value in PRESETS[preset].items():
        _assign(tree, path, value, where=f"preset {preset}")
    if file is not None:
        for path, value in read_file(file).items():
            _assign(tree, path, value, where=str(file))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set wants path=value, found '{assignment}'")
        _assign(tree, path.strip(), _parse(text.strip() or text), where=f"--set {assignment}")
    make_absolute(tree, Path.cwd())
    return _checked(tree)


def given_paths(file: Path | None = None, assignments: Sequence[str] = ()) -> set[str]:
    """Return the dotted paths that somebody has set, beside a preset."""
    of_file = set() if file is None else set(read_file(file))
    return of_file | {assignment.partition("=")[0].strip() for assignment in assignments}


def with_values(settings: Settings, values: Mapping[str, Any], *, where: str) -> Settings:
    """Return the settings with other values, by their dotted paths; `where` names who sets them."""
    tree = settings.model_dump()
    for path, value in values.items():
        _assign(tree, path, value, where=where)
    return _checked(tree)


def _checked(tree: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def _assign(tree: dict[str, Any], path: str, value: Any, *, where: str) -> None:
    known = {leaf.path: leaf.field for leaf in leaves()}
    if path not in known:
        close = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
        parts = [name for name in known if name.startswith(path + ".")]
        if parts and value == {}:
            return  # an empty part of a file changes nothing
        if path in RENAMED:
            raise ConfigError(f"{where}: '{path}' is called '{RENAMED[path]}' now; use that name")
        hint = f"did you mean '{close[0]}'?" if close else "--settings prints all of them"
        if parts:
            hint = f"it has parts, such as '{parts[0]}'"
        raise ConfigError(f"{where}: there is no setting '{path}'; {hint}")
    *parents, leaf = path.split(".")
    node = tree
    for name in parents:
        node = node[name]
    node[leaf] = _shaped(value, known[path])


def _shaped(value: Any, field: FieldInfo) -> Any:
    """Give one text the shape that its field wants: nothing, or a list."""
    if not isinstance(value, str):
        return value
    kinds = get_args(field.annotation)
    if type(None) in kinds and value.lower() in NOTHING:
        return None
    if get_origin(field.annotation) is tuple:
        return [part for part in (part.strip() for part in value.split(",")) if part]
    return value


def _parse(text: str) -> Any:
    """Keep text as it is, without the quotes around it; lists and null are YAML."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        return parse(text, "--set") if text.startswith("[") or text == "null" else text
    except ConfigError:
        raise ConfigError(f"--set wants a list such as [a, b], found '{text}'") from None


def _sentence(error: ValidationError) -> str:
    """Say the first problem in one line: the setting, the rule, and what was found."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    where = f"{path}: " if path else ""  # a rule about several parts names them itself
    message = first["msg"].removeprefix("Value error, ")
    found = first.get("input")
    shown = "" if isinstance(found, dict | BaseModel) else f", found {reprlib.repr(found)}"
    return f"{where}{message[:1].lower()}{message[1:]}{shown}"
