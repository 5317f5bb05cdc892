"""What a caption of the world says, taken apart into atoms that a picture shows or does not.

"a small red star on the left" says four things: there is a red star (shape), it is small (size), it
is on the left (place), and there is one shape in the picture (count). Two shapes may also have a
relation. Captions of complex scenes are so questioned by Cho et al. 2024 (Davidsonian scene graph);
what counts as left or above is the rule of Ghosh et al. 2023 (GenEval).

Words that no caption of the world has are not read, as `named` does not read them.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import ClassVar, Literal, NamedTuple

from stages.shapes.world import (
    COLOURS,
    FROM_MIDDLE,
    PLACES,
    RADII,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    ShapeKind,
)

Aspect = Literal["shape", "size", "place", "relation", "count"]
ASPECTS: tuple[Aspect, ...] = ("shape", "size", "place", "relation", "count")

BETWEEN_SIZES = math.sqrt(RADII["small"] * RADII["large"])  # a smaller radius is small
NEAR = FROM_MIDDLE / 2  # an offset up to here has no direction
CONE = 0.5  # cosine of 60 degrees: an offset that far from up is above no more
TOWARDS = {  # x to the right, y down
    **{"top": (0, -1), "bottom": (0, 1), "left": (-1, 0), "right": (1, 0)},
    **{"above": (0, -1), "below": (0, 1)},
}


class SeenShape(NamedTuple):
    """A shape in a picture; lengths are shares of the picture's side."""

    kind: ShapeKind
    x: float  # of its centre, from the left
    y: float  # of its centre, from the top
    radius: float  # half the side of the square that it fills


Seen = Sequence[SeenShape]  # all shapes of a picture


@dataclass(frozen=True)
class ShapeAtom:
    """There are at least `number` shapes of a kind."""

    aspect: ClassVar[Aspect] = "shape"
    kind: ShapeKind
    number: int = 1  # 2 for "and a red circle" behind "a red circle"

    def holds(self, seen: Seen) -> bool:
        return len(_of(self.kind, seen)) >= self.number

    @property
    def about(self) -> frozenset[ShapeKind]:
        return frozenset()


@dataclass(frozen=True)
class SizeAtom:
    """A shape of this kind is small, or large."""

    aspect: ClassVar[Aspect] = "size"
    kind: ShapeKind
    size: str  # one of SIZES

    def holds(self, seen: Seen) -> bool:
        small = self.size == "small"
        return any((one.radius < BETWEEN_SIZES) == small for one in _of(self.kind, seen))

    @property
    def about(self) -> frozenset[ShapeKind]:
        return frozenset({self.kind})


@dataclass(frozen=True)
class PlaceAtom:
    """A shape of this kind is in this part of the picture."""

    aspect: ClassVar[Aspect] = "place"
    kind: ShapeKind
    place: str  # one of PLACES

    def holds(self, seen: Seen) -> bool:
        return any(self._is_at(one.x - 0.5, one.y - 0.5) for one in _of(self.kind, seen))

    def _is_at(self, x: float, y: float) -> bool:
        if self.place == "middle":
            return max(abs(x), abs(y)) <= NEAR
        return lies(self.place, x, y)

    @property
    def about(self) -> frozenset[ShapeKind]:
        return frozenset({self.kind})


@dataclass(frozen=True)
class RelationAtom:
    """A shape of one kind is above, below, to the left or to the right of one of another."""

    aspect: ClassVar[Aspect] = "relation"
    kind: ShapeKind
    relation: str  # one of RELATIONS
    other: ShapeKind

    def holds(self, seen: Seen) -> bool:
        return any(
            lies(self.relation, first.x - second.x, first.y - second.y)
            for first, second in permutations(seen, 2)
            if (first.kind, second.kind) == (self.kind, self.other)
        )

    @property
    def about(self) -> frozenset[ShapeKind]:
        return frozenset({self.kind, self.other})


@dataclass(frozen=True)
class CountAtom:
    """There are so many shapes in the picture, whatever their kinds, and no more."""

    aspect: ClassVar[Aspect] = "count"
    number: int

    def holds(self, seen: Seen) -> bool:
        return len(seen) == self.number

    @property
    def about(self) -> frozenset[ShapeKind]:
        return frozenset()


Atom = ShapeAtom | SizeAtom | PlaceAtom | RelationAtom | CountAtom


def shown(scene: Scene) -> list[SeenShape]:
    """Return what a perfect eye sees in the picture of a scene."""
    return [SeenShape(one.kind, one.x, one.y, one.radius) for one in scene.figures]


def lies(direction: str, x: float, y: float) -> bool:
    """Say whether an offset points that way: far enough, and within 60 degrees of it."""
    right, down = TOWARDS[direction]
    along = x * right + y * down
    return along > NEAR and along >= CONE * math.hypot(x, y)


def atoms(caption: str) -> tuple[Atom, ...]:
    """Return everything that a caption says, in its order; nothing if it names no shape.

    Articles say how many shapes there are, so a caption without them says nothing of the count.
    """
    text = caption.lower()
    phrases = list(_PHRASE.finditer(text))
    kinds = [ShapeKind(phrase["colour"], phrase["shape"]) for phrase in phrases]
    found: list[Atom] = []
    for place, (phrase, kind) in enumerate(zip(phrases, kinds, strict=True)):
        found.append(ShapeAtom(kind, kinds[: place + 1].count(kind)))
        if phrase["size"]:
            found.append(SizeAtom(kind, phrase["size"]))
        where = _AFTER.match(text, phrase.end()) or _BEFORE.search(text[: phrase.start()])
        if where:
            found.append(PlaceAtom(kind, _named(PLACES, where[1])))
    for (first, kind), (second, other) in pairwise(zip(phrases, kinds, strict=True)):
        if between := _BETWEEN.fullmatch(text[first.end() : second.start()]):
            found.append(RelationAtom(kind, _named(RELATIONS, between[1]), other))
    if phrases and all(phrase["article"] for phrase in phrases):
        found.append(CountAtom(len(phrases)))
    return tuple(found)


_PHRASE = re.compile(
    rf"(?:\b(?P<article>an?)\s+)?(?:\b(?P<size>{'|'.join(SIZES)})\s+)?"
    rf"\b(?P<colour>{'|'.join(COLOURS)})\s+(?P<shape>{'|'.join(SHAPES)})\b"
)
_AFTER = re.compile(rf"\s+({'|'.join(PLACES.values())})\b(?! of\b)")
_BEFORE = re.compile(rf"\b({'|'.join(PLACES.values())}) there is\s+$")
_BETWEEN = re.compile(rf"\s+(?:is\s+)?({'|'.join(RELATIONS.values())})\s+")


def _of(kind: ShapeKind, seen: Seen) -> list[SeenShape]:
    return [one for one in seen if one.kind == kind]


def _named(words: dict[str, str], said: str) -> str:
    return next(name for name, phrase in words.items() if phrase == said)
