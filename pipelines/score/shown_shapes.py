"""Whether drawings of the demo's world show what their captions say, by the judge of that world.

With several numbers of candidates it is the accuracy over N of figure 9(c), which the paper draws
for FID and IS.
"""

from collections.abc import Iterator

from pipelines.score.drawn import DrawnPictures
from pipelines.score.picture_files import file_batches
from pipelines.score.picture_set import in_reading_order
from pipelines.score.score_file import ShownShapes
from stages import shapes
from stages.evaluate.judgements import Judgement
from stages.evaluate.shares import share
from stages.pictures import Pixels
from stages.threads import in_threads


def judge_drawings(drawings: DrawnPictures) -> ShownShapes | None:
    """Judge all pictures as they are; None unless each caption names a shape of the world."""
    texts = {pair.picture: pair.caption.text for pair in drawings.pairs if pair.caption}
    if len(texts) < len(drawings.pairs) or not all(map(shapes.named, texts.values())):
        return None
    found = list(_judgements(drawings, texts))
    if not found:
        return None
    names = [one.names for one in found]
    return ShownShapes(
        captions=len(found),
        **share("right", [one.right(one.single) for one in found], names),
        **share("whole", [one.whole(one.single) for one in found], names),
    )


def _judgements(drawings: DrawnPictures, texts: dict[str, str]) -> Iterator[Judgement]:
    source, best_of = drawings.source, drawings.best_of

    def judged(picture: tuple[str, Pixels]) -> Judgement:
        name, pixels = picture
        seen = shapes.find_shapes(pixels)
        return Judgement(texts[name], "", seen, {best_of: seen}, {}, {})

    for files in file_batches(source, in_reading_order(source, texts), side=0):
        both = zip(files.names, files.pixels, strict=True)
        good = [(name, pixels) for name, pixels in both if pixels is not None]
        yield from in_threads(judged, good, threads=2)
