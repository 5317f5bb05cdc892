"""The demo's world of captioned shapes, and the judge that looks at pictures of it.

`world` says what there is and in which words, `drawing` makes pixels of it, `judge` reads pixels
back without any learning.
"""

from stages.shapes.drawing import draw
from stages.shapes.judge import judge, right
from stages.shapes.world import (
    BACKGROUNDS,
    COLOURS,
    HELD_OUT,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Figure,
    Kind,
    Scene,
    caption,
    named,
    prompts,
    scene,
)

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "HELD_OUT",
    "PLACES",
    "RELATIONS",
    "SHAPES",
    "SIZES",
    "Figure",
    "Kind",
    "Scene",
    "caption",
    "draw",
    "judge",
    "named",
    "prompts",
    "right",
    "scene",
]
