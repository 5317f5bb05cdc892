"""The demo's world of captioned shapes, and the judge that looks at pictures of it.

`world` makes scenes and their captions, `drawing` renders them, `judge` finds the shapes in pixels,
without any learning.
"""

from stages.shapes.drawing import draw
from stages.shapes.judge import judge
from stages.shapes.world import COLOURS, HELD_OUT, SHAPES, Scene, ShapeKind, named, prompts, scene
