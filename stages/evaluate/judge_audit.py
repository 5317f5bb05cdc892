"""The judge judged: on pictures whose shapes are known, and on what the dVAE leaves of them.

Whatever can be said of a picture is said, true or false, and the judge is right where it tells
which. The truth comes from the scene, through the same definitions (`stages.shapes.atoms`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations, product

from schemas.run_report.accuracy_part import JudgeAudit
from stages import shapes
from stages.evaluate.intervals import wilson
from stages.evaluate.reconstructions import through_dvae
from stages.models.dvae import Dvae
from stages.pictures import Pixels
from stages.pictures.tensors import from_tensor

JUDGE_SEED = 20_210_224  # so that the judge is tested on other pictures than the world's
COUNTS = (0, 1, 2, 3)  # of shapes, that are said of each picture


def judge_itself(dvae: Dvae, side: int, count: int) -> JudgeAudit:
    """Measure the judge on `count` scenes, drawn `side` pixels large."""
    scenes = [shapes.scene(JUDGE_SEED, index) for index in range(count)]
    pictures = [shapes.draw(scene, side) for scene in scenes]
    decoded = (from_tensor(drawn) for _, drawn, _ in through_dvae(dvae, pictures))
    reconstructed = (picture for tile in decoded for picture in tile)
    found = {"world": audit(scenes, pictures), "reconstructions": audit(scenes, reconstructed)}
    return JudgeAudit(
        pictures=count,
        **{name: exact / count for name, (exact, _) in found.items()},
        **{f"{name}_interval": list(wilson(exact, count)) for name, (exact, _) in found.items()},
        by_aspect={name: shares for name, (_, shares) in found.items()},
    )


def audit(
    scenes: Sequence[shapes.Scene], pictures: Iterable[Pixels]
) -> tuple[int, dict[str, dict[str, float]]]:
    """Count the pictures in which exactly the right kinds are found, and judge every statement.

    The second part has for each aspect the share of `true` statements that the judge holds for
    true, and the share of `false` ones that it holds for false.
    """
    exact, right = 0, defaultdict[tuple[str, bool], list[bool]](list)
    for scene, picture in zip(scenes, pictures, strict=True):
        truth, seen = shapes.shown(scene), shapes.find_shapes(picture)
        exact += Counter(one.kind for one in seen) == Counter(one.kind for one in truth)
        for atom in statements(truth):
            so = atom.holds(truth)
            right[atom.aspect, so].append(atom.holds(seen) == so)
    shares: dict[str, dict[str, float]] = {
        aspect: {
            name: sum(right[aspect, so]) / len(right[aspect, so])
            for name, so in (("true", True), ("false", False))
            if right[aspect, so]
        }
        for aspect in shapes.ASPECTS
    }
    return exact, shares


def statements(truth: shapes.Seen) -> Iterator[shapes.Atom]:
    """Yield all that a caption could say of a picture with these shapes, be it true or false."""
    for colour, shape in product(shapes.COLOURS, shapes.SHAPES):
        yield shapes.ShapeAtom(shapes.ShapeKind(colour, shape))
    for one in truth:
        yield from (shapes.SizeAtom(one.kind, size) for size in shapes.SIZES)
        yield from (shapes.PlaceAtom(one.kind, place) for place in shapes.PLACES)
    for (one, other), relation in product(permutations(truth, 2), shapes.RELATIONS):
        yield shapes.RelationAtom(one.kind, relation, other.kind)
    yield from map(shapes.CountAtom, COUNTS)
