"""The systems that are compared: folders of pictures, and runs, whose favourites are shown."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from infra.nearby import SUMMARY
from infra.paths import is_remote
from infra.store import Store
from pipelines.rate.rating_plan import RatedCaption
from schemas.artifacts import SAMPLES
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.data.parquet import Row, read_rows
from stages.pictures import SUFFIXES, PictureError, Pixels, decode
from stages.storage import reaching


class RatedSystem(Protocol):
    """Whatever has a picture for each caption."""

    @property
    def name(self) -> str:
        """What the system is called in the tally."""

    @property
    def source(self) -> str:
        """Where its pictures are."""

    def lacks(self, captions: Collection[RatedCaption]) -> list[RatedCaption]:
        """Return the captions without a picture."""

    def pictures(self, captions: Collection[RatedCaption]) -> Iterator[tuple[RatedCaption, bytes]]:
        """Yield the picture file of each caption; a caption that it lacks is passed over."""


@dataclass(frozen=True)
class FolderOfPictures:
    """A folder, also of a program of other people; a caption's key is its picture's name."""

    name: str
    source: str

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Return the pictures by name below the folder, without its ending."""
        top = Path(self.source).expanduser()
        if not top.is_dir():
            raise ConfigError(
                f"wanted a folder of pictures or a run for --system {self.name}, found none at "
                f"{self.source}; mend the path"
            )
        found: dict[str, Path] = {}
        with reaching(self.source, f"--system {self.name}"):
            paths = sorted(path for path in top.rglob("*") if path.suffix.lower() in SUFFIXES)
        for path in paths:
            key = path.relative_to(top).with_suffix("").as_posix()
            if key in found:
                raise ConfigError(
                    f"wanted one picture of each name in {self.source}, found {found[key].name} "
                    f"and {path.name}; move one of them away"
                )
            found[key] = path
        return found

    def lacks(self, captions: Collection[RatedCaption]) -> list[RatedCaption]:
        return [one for one in captions if one.key not in self.files]

    def pictures(self, captions: Collection[RatedCaption]) -> Iterator[tuple[RatedCaption, bytes]]:
        for one in captions:
            path = self.files[one.key]
            with reaching(str(path), f"--system {self.name}"):
                data = path.read_bytes()
            yield one, data


@dataclass(frozen=True)
class FavouritesOfRun:
    """A finished run of ours; CLIP's favourite of each prompt is its picture."""

    name: str
    source: str

    @cached_property
    def samples(self) -> Folder:
        return Store(self.source).newest(SAMPLES)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """Return its different prompts, in order."""
        favourites = self._favourites(("prompt",))
        return tuple(dict.fromkeys(row["prompt"] for row in favourites))

    def lacks(self, captions: Collection[RatedCaption]) -> list[RatedCaption]:
        drawn = set(self.prompts)
        return [one for one in captions if one.caption not in drawn]

    def pictures(self, captions: Collection[RatedCaption]) -> Iterator[tuple[RatedCaption, bytes]]:
        wanted: dict[str, list[RatedCaption]] = {}
        for one in captions:
            wanted.setdefault(one.caption, []).append(one)
        for prompt, png in map(itemgetter("prompt", "png"), self._favourites(("prompt", "png"))):
            for one in wanted.pop(prompt, ()):
                yield one, png

    def _favourites(self, columns: tuple[str, ...]) -> Iterator[Row]:
        table = read_rows(self.samples, "table/", ("rank", *columns))
        return (row for row in table if row["rank"] == 0)


def system(text: str) -> RatedSystem:
    """Read NAME=FOLDER or NAME=ROOT; raise ConfigError if it is neither."""
    name, _, source = (part.strip() for part in text.partition("="))
    if not name or not source:
        raise ConfigError(
            f"wanted --system NAME=FOLDER or NAME=ROOT of a run, found '{text}'; write it so"
        )
    is_run = is_remote(source) or (Path(source).expanduser() / SUMMARY).is_file()
    return FavouritesOfRun(name, source) if is_run else FolderOfPictures(name, source)


def require_different(systems: Sequence[RatedSystem]) -> None:
    """Raise ConfigError unless there are two systems or more, each with a name of its own."""
    names = [system.name for system in systems]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(f"wanted a name for each system, found two '{doubled[0]}'; rename one")
    if len(systems) < 2:
        raise ConfigError(
            f"wanted two systems to compare, found {len(systems)}; give --system NAME=FOLDER twice"
        )


def shared_captions(
    systems: Sequence[RatedSystem], captions: Sequence[RatedCaption]
) -> list[RatedCaption]:
    """Return the captions for which systems have pictures, all of them or none.

    Raises ConfigError if some have a picture for a caption and some have not.
    """
    lacking = [set(system.lacks(captions)) for system in systems]
    nobodys = set.intersection(*lacking)
    for system, own in zip(systems, lacking, strict=True):
        missing = [one for one in captions if one in own - nobodys]
        if missing:
            first = missing[0]
            raise ConfigError(
                f"wanted pictures of all systems for the same captions, found {len(missing):,} "
                f'without one in {system.source}, first "{first.caption}" ({first.key}), which '
                "other systems have; add them, or give --captions without these"
            )
    shared = [one for one in captions if one not in nobodys]
    if not shared:
        raise ConfigError(
            f"wanted pictures that are called as --captions calls them, such as "
            f"{captions[0].key}.png, found none in {systems[0].source}; rename them"
        )
    return shared


def decoded(
    system: RatedSystem, captions: Sequence[RatedCaption]
) -> Iterator[tuple[RatedCaption, bytes, Pixels]]:
    """Yield each caption's picture; raise ConfigError for one that no decoder reads."""
    for one, data in system.pictures(captions):
        try:
            yield one, data, decode(data)
        except PictureError as error:
            raise ConfigError(
                f"wanted pictures of '{system.name}' that can be shown, found {one.key} of "
                f"{system.source} {error}; replace it"
            ) from error
