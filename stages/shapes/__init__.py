"""The demo's world of captioned shapes, and the judge that looks at pictures of it.

`world` makes scenes and their captions, `drawing` renders them, `atoms` takes apart what captions
say, `judge` finds the shapes in pixels, without any learning.
"""

from stages.shapes.atoms import (
    ASPECTS,
    Aspect,
    Atom,
    CountAtom,
    PlaceAtom,
    RelationAtom,
    Seen,
    SeenShape,
    ShapeAtom,
    SizeAtom,
    atoms,
    shown,
)
from stages.shapes.drawing import draw
from stages.shapes.judge import find_shapes, judge
from stages.shapes.world import (
    COLOURS,
    HELD_OUT,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    ShapeKind,
    named,
    prompts,
    scene,
)
