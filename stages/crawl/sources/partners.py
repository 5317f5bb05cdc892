"""Match captions with pictures of the same folder by their names.

A caption belongs to every picture whose name, with or without its ending, is the caption's name
without its own; only where there is none do letters' case and Unicode normalisation not matter.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from stages.crawl.sources.file_names import CAPTION_ENDINGS, JSON_ENDING, folded

Names = dict[str, list[str]]
Owners = dict[str, list[tuple[int, str]]]  # by stem: how close the stem is, and the picture


def is_json(name: str) -> bool:
    return name.lower().endswith(JSON_ENDING)


def texts_and_jsons(captions: Sequence[str]) -> tuple[list[str], list[str]]:
    return [name for name in captions if not is_json(name)], list(filter(is_json, captions))


def partners(
    pictures: Mapping[str, Sequence[str]], captions: Iterable[tuple[str, str, str]]
) -> tuple[Names, Names]:
    """Return the captions of each picture, the best first, and those of no picture, by their stem.

    Pictures are given with their stems, from the closest on; a caption by its name, its stem and
    its ending. A stem is with its folder.
    """
    exact, alike = _owners(pictures, str), _owners(pictures, in_any_letters)
    ranked: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    alone: Names = {}
    for name, stem, ending in captions:
        letters = 0 if stem in exact else 1
        owners = exact.get(stem) or alike.get(in_any_letters(stem), [])
        for rank, picture in owners:
            ranked[picture].append((rank, letters, CAPTION_ENDINGS.index(ending), name))
        if not owners:
            alone.setdefault(stem, []).append(name)
    of_pictures = {
        picture: [name for *_, name in sorted(found)] for picture, found in ranked.items()
    }
    return of_pictures, alone


def second(of_pictures: Names) -> list[str]:
    """Return captions that are read only if those before them are empty."""
    read = {
        name
        for captions in of_pictures.values()
        for kind in texts_and_jsons(captions)
        for name in kind[:1]
    }
    return sorted({name for captions in of_pictures.values() for name in captions} - read)


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
