"""The systems that are compared: folders of pictures, and runs, whose favourites are shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.rate.rating_plan import RatedCaption
from pipelines.score.caption_files import read_captions
from pipelines.score.caption_set import Caption, CaptionSet, chosen
from pipelines.score.drawn import drawings, read_scores
from pipelines.score.picture_set import PictureSet, in_reading_order, open_pictures
from pipelines.score.problems import Problem
from pipelines.score.run_places import samples_of
from schemas.errors import ConfigError
from stages.pictures import PictureError, Pixels, decode


@dataclass(frozen=True)
class RatedSystem:
    """What one system drew: a picture for each caption, of several candidates the best by score."""

    name: str
    source: str  # where its pictures are
    pictures: PictureSet
    drawn: Mapping[str, str]  # the picture of each caption, by the caption's key
    problems: Sequence[Problem] = ()


def named_places(texts: Sequence[str]) -> dict[str, str]:
    """Read each NAME=PLACE; raise ConfigError unless there are two or more of different names."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, place = (part.strip() for part in text.partition("="))
        if not name or not place:
            raise ConfigError(
                f"wanted --system NAME=FOLDER or NAME=ROOT of a run, found '{text}'; write it so"
            )
        if name in found:
            raise ConfigError(f"wanted a name for each system, found two '{name}'; rename one")
        found[name] = place
    if len(found) < 2:
        raise ConfigError(
            f"wanted two systems to compare, found {len(found)}; give --system NAME=FOLDER twice"
        )
    return found


def captions_for(places: Sequence[str], address: str | None, seed: int) -> CaptionSet:
    """Read the captions, or where none are given and all systems are runs, the first one's prompts.

    Of each picture of MS-COCO one is chosen by the seed. Raises ConfigError if there are none.
    """
    for place in places if address is None else ():
        if samples_of(place) is None:
            raise ConfigError(
                f"wanted --captions FILE, which says what the pictures in {place} are to show, "
                "found none; give it"
            )
    return chosen(read_captions(address or places[0]), None, seed)


def key(caption: Caption) -> str:
    return caption.names[0]


def system(name: str, place: str, captions: CaptionSet) -> RatedSystem:
    """Find what a system drew for the captions; raise ConfigError if that is nothing."""
    pictures = open_pictures(place, f"--system {name}")
    found = drawings(pictures, captions, None, read_scores(pictures, place))
    drawn = {key(pair.caption): pair.picture for pair in found.pairs if pair.caption}
    problems = [one for one in found.problems if one.kind != "no_picture"]  # said of all at once
    return RatedSystem(name, place, pictures, drawn, problems)


def shared_captions(systems: Sequence[RatedSystem], captions: CaptionSet) -> list[RatedCaption]:
    """Return the captions for which systems have pictures, all of them or none.

    Raises ConfigError if some have a picture for a caption and some have not.
    """
    drawn = [one for one in captions.captions if any(key(one) in own.drawn for own in systems)]
    for own in systems:
        missing = [one for one in drawn if key(one) not in own.drawn]
        if missing:
            first = missing[0]
            raise ConfigError(
                f"wanted pictures of all systems for the same captions, found {len(missing):,} "
                f'without one in {own.source}, first "{first.text}" ({key(first)}), which '
                "other systems have; add them, or give --captions without these"
            )
    return [RatedCaption(key(one), one.text) for one in drawn]


def decoded(
    system: RatedSystem, captions: Sequence[RatedCaption]
) -> Iterator[tuple[RatedCaption, bytes, Pixels]]:
    """Yield each caption's picture; raise ConfigError for one that no decoder reads."""
    by_picture = {system.drawn[one.key]: one for one in captions}
    for name in in_reading_order(system.pictures, by_picture):
        one, data = by_picture[name], system.pictures.read(name)
        try:
            yield one, data, decode(data)
        except PictureError as error:
            raise ConfigError(
                f"wanted pictures of '{system.name}' that can be shown, found {one.key} of "
                f"{system.source} {error}; replace it"
            ) from error
