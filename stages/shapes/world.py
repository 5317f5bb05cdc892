"""The demo's world: scenes of one or two coloured shapes, their captions, and prompts.

A scene is a pure function of (seed, index). No shape touches another or the edge. Whoever changes
what scenes show, or their captions, raises `WorldSettings.revision`, so that finished crawls are
made again.
"""

import itertools
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from schemas.errors import ConfigError

Rgb = tuple[int, int, int]
PromptSet = Literal["held_out", "seen", "two_shapes"]

COLOURS: dict[str, Rgb] = {
    "red": (215, 25, 35),
    "yellow": (250, 225, 30),
    "green": (25, 150, 50),
    "blue": (30, 60, 220),
    "purple": (150, 30, 180),
    "black": (35, 35, 42),
}
BACKGROUNDS: tuple[Rgb, ...] = (  # muted, so far from every colour of COLOURS
    (214, 214, 214),
    (160, 160, 160),
    (227, 222, 201),
    (190, 170, 140),
    (169, 194, 214),
    (177, 209, 179),
    (214, 179, 184),
    (194, 179, 214),
)
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = ("small", "large")
PLACES = {
    "top": "at the top",
    "bottom": "at the bottom",
    "left": "on the left",
    "right": "on the right",
    "middle": "in the middle",
}
RELATIONS = {
    "above": "above",
    "below": "below",
    "left": "to the left of",
    "right": "to the right of",
}

# Each colour and each shape has two of its six combinations held out: all are often seen in others,
# so a result on these twelve is about new combinations, not about one colour or shape.
HELD_OUT = frozenset(
    {
        *(("red", "star"), ("red", "cross")),
        *(("yellow", "ring"), ("yellow", "star")),
        *(("green", "triangle"), ("green", "square")),
        *(("blue", "cross"), ("blue", "triangle")),
        *(("purple", "circle"), ("purple", "ring")),
        *(("black", "square"), ("black", "circle")),
    }
)

# All lengths are shares of the picture's side. Centres lie on multiples of 1/12 of it, so that a
# dVAE with 12 codes along the side sees the same patches again and again.
RADII = {  # half the side of the square that a shape fills
    "small": 0.235,
    "large": 0.30,
    "": 0.23,  # one of two shapes, which must fit beside each other and have no size in captions
}
FROM_MIDDLE = 2 / 12  # to the centre of a shape at the top, bottom, left or right
APART = 6 / 12  # between the centres of two shapes
TWO_SHAPES = 1 / 3  # share of pictures with two

# Standard deviation, in levels of 255, of each paint around its colour, drawn anew in each picture:
# else a dVAE spends its codes on ever more exact plain colours. Grain would prevent that too, but
# makes codes vary from position to position.
TINT = 3.0

ALONE = (
    "{figure} {place}",
    "{figure} on a plain background",
    "a drawing of {figure}",
    "there is {figure}",
    "there is {figure} {place}",
    "this is {figure}",
    "{place} there is {figure}",
    "a picture of {figure} {place}",
)
TOGETHER = (
    "{figure} is {relation} {other}",
    "there is {figure} {relation} {other}",
    "we see {figure} {relation} {other}",
    "{figure} and {other}",
)


class ShapeKind(NamedTuple):
    """A colour and a shape: what every caption names and the judge finds."""

    colour: str
    shape: str


SEEN = tuple(
    ShapeKind(*pair) for pair in itertools.product(COLOURS, SHAPES) if pair not in HELD_OUT
)


@dataclass(frozen=True)
class Figure:
    """One shape in a picture."""

    kind: ShapeKind
    paint: Rgb
    size: str  # "" for one of two
    x: float  # of its centre, from the left
    y: float  # of its centre, from the top
    radius: float


@dataclass(frozen=True)
class Scene:
    """One picture, its caption, and what the caption may mention."""

    figures: tuple[Figure, ...]
    background: Rgb
    place: str  # of the only figure, or "" where there are two
    relation: str  # of the first figure to the second, or "" where there is one
    caption: str  # always names colour and shape, sometimes size, place or relation


def scene(seed: int, index: int) -> Scene:
    """Make picture number `index` of the world of `seed`: one or two shapes, none held out."""
    rng = np.random.default_rng([seed, index])
    background = _mixed(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng)
    if rng.random() >= TWO_SHAPES:
        place = str(rng.choice(list(PLACES)))
        figure = _alone(SEEN[rng.integers(len(SEEN))], place, rng)
        caption = _say_alone(figure.kind, figure.size, place, rng)
        return Scene((figure,), background, place, "", caption)
    relation = str(rng.choice(list(RELATIONS)))
    pair = _related(*_two_kinds(rng), relation, rng)
    return Scene(pair, background, "", relation, _say_together(pair, relation, rng))


def named(prompt: str) -> list[ShapeKind]:
    """Return the colour and shape of everything a caption names, in its order."""
    return [ShapeKind(*pair) for pair in _NAMED.findall(prompt.lower())]


def prompts(kind_of: PromptSet, count: int, seed: int) -> list[str]:
    """Return `count` different prompts of a set; raise ConfigError if there are not so many.

    Each kind is named equally often, also by any first few prompts. Those of `held_out` and `seen`
    name one shape; no scene shows what a prompt of `held_out` names.
    """
    rng = np.random.default_rng([seed, *kind_of.encode()])
    if kind_of == "two_shapes":
        return _two_shapes(count, rng)
    kinds = sorted(ShapeKind(*pair) for pair in HELD_OUT) if kind_of == "held_out" else list(SEEN)
    ways = [rng.permutation(_all_ways_to_say(kind)).tolist() for kind in kinds]
    in_turn = [prompt for turn in zip(*ways, strict=True) for prompt in turn]
    if count > len(in_turn):
        raise ConfigError(
            f"crawl.source.world.prompts is {count}, but only {len(in_turn)} different prompts "
            f"of the set '{kind_of}' exist; lower it"
        )
    return in_turn[:count]


def _two_shapes(count: int, rng: np.random.Generator) -> list[str]:
    """Pair off all kinds, again and again, each pair in words that are new."""
    found: dict[str, None] = {}
    while len(found) < count:  # 6,240 exist, and the other sets have fewer
        for kinds in _all_in_pairs(rng):
            said = _said_anyhow(kinds, rng)
            while said in found:
                said = _said_anyhow(kinds, rng)
            found[said] = None
    return list(found)[:count]


def _all_in_pairs(rng: np.random.Generator) -> list[tuple[ShapeKind, ShapeKind]]:
    """Return each seen kind in one pair; the two of a pair differ in colour."""
    while True:
        order = [SEEN[place] for place in rng.permutation(len(SEEN))]
        pairs = list(zip(order[::2], order[1::2], strict=True))
        if all(first.colour != second.colour for first, second in pairs):
            return pairs


def _said_anyhow(kinds: tuple[ShapeKind, ShapeKind], rng: np.random.Generator) -> str:
    relation = str(rng.choice(list(RELATIONS)))
    return _say_together(_related(*kinds, relation, rng), relation, rng)


_NAMED = re.compile(rf"\b({'|'.join(COLOURS)})\s+({'|'.join(SHAPES)})\b")


def _mixed(tone: Rgb, rng: np.random.Generator) -> Rgb:
    """Return a colour near this one, drawn anew each time."""
    red, green, blue = np.clip(np.round(tone + rng.normal(0, TINT, 3)), 0, 255).astype(int).tolist()
    return red, green, blue


def _two_kinds(rng: np.random.Generator) -> tuple[ShapeKind, ShapeKind]:
    """Return two kinds of different colours, so that the judge can tell which shape has which."""
    first = SEEN[rng.integers(len(SEEN))]
    others = [kind for kind in SEEN if kind.colour != first.colour]
    return first, others[rng.integers(len(others))]


def _alone(kind: ShapeKind, place: str, rng: np.random.Generator) -> Figure:
    size = str(rng.choice(SIZES))
    towards = {"top": (0, -1), "bottom": (0, 1), "left": (-1, 0), "right": (1, 0), "middle": (0, 0)}
    x, y = 0.5 + FROM_MIDDLE * np.array(towards[place])
    return Figure(kind, _mixed(COLOURS[kind.colour], rng), size, float(x), float(y), RADII[size])


def _related(
    first: ShapeKind, second: ShapeKind, relation: str, rng: np.random.Generator
) -> tuple[Figure, Figure]:
    """Place two shapes on either side of the middle."""
    towards = {"above": (0, -1), "below": (0, 1), "left": (-1, 0), "right": (1, 0)}
    half = APART / 2 * np.array(towards[relation])
    one, two = (
        Figure(kind, _mixed(COLOURS[kind.colour], rng), "", float(x), float(y), RADII[""])
        for kind, (x, y) in zip((first, second), (0.5 + half, 0.5 - half), strict=True)
    )
    return one, two


def _say_alone(kind: ShapeKind, size: str, place: str, rng: np.random.Generator) -> str:
    wording = ALONE[rng.integers(len(ALONE))]
    said = size if rng.random() < 0.5 else ""
    return wording.format(figure=_phrase(kind, said), place=PLACES[place])


def _all_ways_to_say(kind: ShapeKind) -> list[str]:
    """Return every caption that a picture of this kind alone may have."""
    ways = itertools.product(ALONE, ("", *SIZES), PLACES.values())
    said = (
        wording.format(figure=_phrase(kind, size), place=place) for wording, size, place in ways
    )
    return list(dict.fromkeys(said))


def _say_together(pair: tuple[Figure, Figure], relation: str, rng: np.random.Generator) -> str:
    figure, other = (_phrase(each.kind, each.size) for each in pair)
    wording = TOGETHER[rng.integers(len(TOGETHER))]
    return wording.format(figure=figure, other=other, relation=RELATIONS[relation])


def _phrase(kind: ShapeKind, size: str) -> str:
    words = " ".join((size, *kind)).strip()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
