"""Match captions with pictures of the same folder by their names.

A caption belongs to every picture whose name, with or without its ending, is the caption's name
without its own; only where there is none do letters' case and Unicode normalisation not matter.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stages.crawl.sources.file_names import CAPTION_ENDINGS, JSON_ENDING, folded

Owners = dict[str, list[tuple[int, str]]]  # by stem: how close the stem is, and the picture


@dataclass
class Partners:
    """Captions of pictures, the best first, and captions that belong to none."""

    of_picture: dict[str, list[str]] = field(default_factory=dict)
    alone: dict[str, list[str]] = field(default_factory=dict)  # by their stem

    def texts_and_jsons(self, picture: str) -> tuple[list[str], list[str]]:
        """Return the texts and the JSON files of a picture, the best of each first."""
        found = self.of_picture.get(picture, [])
        return [name for name in found if not is_json(name)], list(filter(is_json, found))

    def second(self) -> list[str]:
        """Return captions that are read only if those before them are empty."""
        read = {
            name
            for picture in self.of_picture
            for kind in self.texts_and_jsons(picture)
            for name in kind[:1]
        }
        every = {name for found in self.of_picture.values() for name in found}
        return sorted(every - read)


def is_json(name: str) -> bool:
    return name.lower().endswith(JSON_ENDING)


def partners(
    pictures: Mapping[str, Sequence[str]], captions: Iterable[tuple[str, str, str]]
) -> Partners:
    """Join pictures, given with their stems from the closest on, with captions.

    A caption is given by its name, its stem and its ending; a stem is with its folder.
    """
    exact, alike = _owners(pictures, str), _owners(pictures, in_any_letters)
    ranked: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    made = Partners()
    for name, stem, ending in captions:
        letters = 0 if stem in exact else 1
        owners = exact.get(stem) or alike.get(in_any_letters(stem), [])
        for rank, picture in owners:
            ranked[picture].append((rank, letters, CAPTION_ENDINGS.index(ending), name))
        if not owners:
            made.alone.setdefault(stem, []).append(name)
    for picture, found in ranked.items():
        made.of_picture[picture] = [name for *_, name in sorted(found)]
    return made


def _owners(pictures: Mapping[str, Sequence[str]], form: Callable[[str], str]) -> Owners:
    owners: Owners = defaultdict(list)
    for picture, stems in pictures.items():
        for rank, stem in enumerate(stems):
            owners[form(stem)].append((rank, picture))
    return dict(owners)


def in_any_letters(stem: str) -> str:
    """Return a stem that is equal for other letters' case, in the same folder."""
    folder, slash, base = stem.rpartition("/")
    return folder + slash + folded(base)
